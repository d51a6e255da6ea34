import { globalId, newId } from '#libs/identity';
import { al, attacks, JSON_TYPE, query, type Attack, type Cast, type Message, type Table } from './attack.js';

const INPUT = { code: 'BAD_USER_INPUT', ran: true };
const INVALID = 'GRAPHQL_VALIDATION_FAILED';
type Who = keyof Cast['people'];

/** Asked by this person through the social graph's gateway. */
export const by =
  (who: Who, text: string, variables: object | ((cast: Cast) => object) = {}) =>
  (cast: Cast): Message => ({
    headers: { ...JSON_TYPE, authorization: `Bearer ${cast.people[who].token}` },
    body: query(text, { variables: typeof variables === 'function' ? variables(cast) : variables }),
  });
export const nobody = (text: string, variables: object = {}): Message => ({ body: query(text, { variables }) });

const EDIT_POST = 'mutation($i:EditPostInput!){editPost(input:$i){id body}}';
const EDIT = 'mutation($i:EditProfileInput!){editProfile(input:$i){handle displayName bio avatarUrl}}';
const PUBLISH = 'mutation($b:String!){publishPost(input:{body:$b}){body}}';
const USERS_AFTER = 'query($a:String){users(first:2,after:$a){edges{node{id}}}}';
const SIGN_UP = 'mutation($i:SignUpInput!){signUp(input:$i){user{handle}}}';
const card = (more: object): object => ({
  i: { handle: 'mallory', email: 'm@example.org', password: 'correct horse', displayName: 'M', ...more },
});

/** A post under a key. */
const keyed = ({ people }: Cast, who: Who, key: string | undefined, b: string): Message => ({
  headers: {
    ...JSON_TYPE,
    authorization: `Bearer ${people[who].token}`,
    ...(key === undefined ? {} : { 'idempotency-key': key }),
  },
  body: query(PUBLISH, { variables: { b } }),
});

/** As a text it is nobody's prototype, and it names two people who cannot be. */
const EVIL = '@__proto__ @constructor {"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}';
const IS_EVIL = { says: /@__proto__ @constructor \{\\"__proto__\\":\{\\"polluted\\":true\}/ };

const SAVED: Table = {
  'C7 a text that is such a value, saved': [by('alice', PUBLISH, { b: EVIL }), 200, IS_EVIL],
  'C7 a person who is called like that': [nobody(SIGN_UP, card({ handle: '__proto__' })), 200, INPUT],
  'C7 two people who are called like that, and not there': [
    nobody('{__proto__:userByHandle(handle:"__proto__"){id} constructor:userByHandle(handle:"constructor"){id}}'),
    200,
    { says: /"__proto__":null,"constructor":null/ },
  ],
};
const READ_BACK: Table = {
  'C7 the text, read back by somebody else out of the cache': [
    by('bob', '{userByHandle(handle:"alice"){posts(first:3){edges{node{body}}}}}'),
    200,
    IS_EVIL,
  ],
};

const WRITES: Table = {
  'G1 thirty-one log-ins in one request': [
    nobody(`mutation{${al(31, 'logIn(input:{handle:"alice",password:"wrong horse"}){token}')}}`),
    400,
    INVALID,
  ],
  'G2 somebody else’s post is edited': [
    by('bob', EDIT_POST, ({ dansPost }) => ({ i: { id: dansPost, body: 'mine' } })),
    200,
    { code: 'FORBIDDEN', ran: true },
  ],
  'G2 somebody else’s post is deleted': [
    by('bob', 'mutation($i:ID!){deletePost(id:$i){id}}', ({ dansPost }) => ({ i: dansPost })),
    200,
    { code: 'FORBIDDEN', ran: true },
  ],
  'G2 somebody else’s deletion is undone': [
    by('bob', 'mutation($i:ID!){restorePost(id:$i){id}}', ({ dansPost }) => ({ i: dansPost })),
    200,
    { code: 'FORBIDDEN', ran: true },
  ],
  // Nothing says whose: a profile is always the editor's own.
  'G2 somebody else’s profile is edited': [
    by('bob', EDIT, ({ people }) => ({ i: { id: people.alice.id, displayName: 'mine' } })),
    400,
    'BAD_USER_INPUT',
  ],
  'G2 the profile is as it was': [
    by('bob', '{userByHandle(handle:"alice"){displayName bio}}'),
    200,
    { says: /"displayName":"Alice"/ },
  ],
  // Null, as D6.
  'G2 what is private of somebody who blocks': [
    by('eve', '{userByHandle(handle:"dan"){handle email posts(first:5){edges{node{id}}}}}'),
    200,
    { says: /^\{"data":\{"userByHandle":\{"handle":"dan","email":null,"posts":\{"edges":\[\]\}\}\}\}$/ },
  ],
  'G2 the post is as it was': [
    by('alice', 'query($i:ID!){post(id:$i){body}}', ({ dansPost }) => ({ i: dansPost })),
    200,
    { says: /"body":"(?!mine)/ },
  ],
  'G2 somebody who blocks is read': [
    by('eve', 'query($i:ID!){post(id:$i){body}}', ({ dansPost }) => ({ i: dansPost })),
    200,
    { says: /^\{"data":\{"post":null\}\}/ },
  ],
  'G3 a post that is not there': [
    by('eve', 'query($i:ID!){post(id:$i){body}}', { i: globalId('post', newId()) }),
    200,
    { says: /^\{"data":\{"post":null\}\}/ },
  ],
  'G3 a like of what one may not see': [
    by('eve', 'mutation($i:ID!){likePost(postId:$i){id}}', ({ dansPost }) => ({ i: dansPost })),
    200,
    { code: 'NOT_FOUND', ran: true, says: /There is no such post/ },
  ],
  'G3 a like of what is not there': [
    by('eve', 'mutation($i:ID!){likePost(postId:$i){id}}', { i: globalId('post', newId()) }),
    200,
    { code: 'NOT_FOUND', ran: true, says: /There is no such post/ },
  ],
  'G4 oneself is followed': [
    by('alice', 'mutation($i:ID!){follow(userId:$i){id}}', ({ people }) => ({ i: people.alice.id })),
    200,
    INPUT,
  ],
  'G4 nobody is followed': [
    by('alice', 'mutation($i:ID!){follow(userId:$i){id}}', { i: globalId('user', newId()) }),
    200,
    { code: 'NOT_FOUND', ran: true },
  ],
  'G5 the same key of somebody else': [
    (cast) => keyed(cast, 'bob', '"g5"', 'bob’s own'),
    200,
    { says: /"body":"bob’s own"/, hides: /the first/ },
  ],
  'G5 a key that is none': [(cast) => keyed(cast, 'alice', '"a", "b"', 'none'), 400, 'BAD_REQUEST'],
  'G5 a key of 8 KB': [(cast) => keyed(cast, 'alice', `"${'k'.repeat(8_000)}"`, 'none'), 400, 'BAD_REQUEST'],
  'G6 a cursor that is none': [by('alice', '{users(first:2,after:"AAAA"){edges{node{id}}}}'), 200, INPUT],
  'G6 a cursor of 60 KB': [by('alice', USERS_AFTER, { a: 'A'.repeat(60_000) }), 200, INPUT],
  'G6 a cursor of 64 KB': [by('alice', USERS_AFTER, { a: 'A'.repeat(65_536) }), 400, 'BAD_USER_INPUT'],
  'G7 a text of 60 KB': [by('alice', PUBLISH, { b: 'x'.repeat(60_000) }), 200, INPUT],
  'G7 a text of 1 MB': [by('alice', PUBLISH, { b: 'x'.repeat(1_000_000) }), 413, 'BAD_REQUEST'],
  'G7 a text with NUL': [by('alice', PUBLISH, { b: 'a\u0000b' }), 200, INPUT],
  ...Object.fromEntries(
    ['displayName', 'bio', 'handle', 'avatarUrl'].map((field): [string, Table[string]] => [
      `G7 NUL as ${field}`,
      [by('alice', EDIT, { i: { [field]: 'ab\u0000cd' } }), 200, INPUT],
    ]),
  ),
  ...Object.fromEntries(
    ['handle', 'email', 'displayName'].map((field): [string, Table[string]] => [
      `G7 NUL as ${field} of somebody new`,
      [nobody(SIGN_UP, card({ handle: 'mallory_7', [field]: 'a\u0000bcdefgh@example.org' })), 200, INPUT],
    ]),
  ),
  'G7 NUL in a password, of which only a hash is kept': [
    nobody(SIGN_UP, card({ handle: 'mallory_7', password: 'correct\u0000horse' })),
    200,
    { says: /"handle":"mallory_7"/ },
  ],
  'G7 NUL as a handle that is looked for': [
    nobody('query($h:String!){userByHandle(handle:$h){id}}', { h: 'a\u0000' }),
    200,
    INPUT,
  ],
  'G7 NUL as a cursor': [by('alice', USERS_AFTER, { a: 'a\u0000' }), 200, INPUT],
  'G7 a text that turns around': [
    by('alice', PUBLISH, { b: 'abc \u202edef\u202c' }),
    200,
    { says: /"body":"abc \u202edef\u202c"/ },
  ],
  'G7 letters and marks, which are one character': [
    by('alice', PUBLISH, { b: 'e\u0301 n\u0303' }),
    200,
    { says: /"body":"\u00e9 \u00f1"/ },
  ],
  'G7 a family, which is one character': [
    by('alice', PUBLISH, { b: '👨‍👩‍👧‍👦'.repeat(200) }),
    200,
    { says: /"body":"(👨‍👩‍👧‍👦){200}"/u },
  ],
  'G7 a text that nobody sees': [by('alice', PUBLISH, { b: '\u200b\u200d' }), 200, INPUT],
  'G7 half a character': [
    (cast) => ({
      headers: { ...JSON_TYPE, authorization: `Bearer ${cast.people.alice.token}` },
      body: `{"query":${JSON.stringify(PUBLISH)},"variables":{"b":"\\uD800"}}`,
    }),
    200,
    INPUT,
  ],
  'G7 a name that turns around': [by('alice', EDIT, { i: { displayName: 'ecila\u202e' } }), 200, INPUT],
  'G7 a handle that looks like another': [nobody(SIGN_UP, card({ handle: '\u0430lice' })), 200, INPUT],
  'G7 a handle in other letters is the same': [
    nobody(SIGN_UP, card({ handle: 'ALICE' })),
    200,
    { code: 'CONFLICT', ran: true },
  ],
  'G7 a reserved handle': [nobody(SIGN_UP, card({ handle: 'admin' })), 200, INPUT],
  'G7 a password of 60 KB': [nobody(SIGN_UP, card({ password: 'x'.repeat(60_000) })), 200, INPUT],
  'G8 a script': [
    by('alice', PUBLISH, { b: '<script>alert(1)</script>' }),
    200,
    { says: /<script>/, headers: { 'x-content-type-options': /^nosniff$/, 'content-type': /^application\/json/ } },
  ],
  'G8 an address that is a script': [by('alice', EDIT, { i: { avatarUrl: 'javascript:alert(1)' } }), 200, INPUT],
  'G9 an e-mail address that is known, in other characters': [
    nobody(SIGN_UP, card({ handle: 'mallory_0', email: 'a\u0301lice@example.org' })),
    200,
    { says: /"handle":"mallory_0"/ },
  ],
  'G9 an e-mail address that is known': [
    nobody(SIGN_UP, card({ handle: 'mallory_1', email: 'alice@example.org' })),
    200,
    { says: /"handle":"mallory_1"/ },
  ],
  'G9 one that is not': [
    nobody(SIGN_UP, card({ handle: 'mallory_2', email: 'nobody@example.org' })),
    200,
    { says: /"handle":"mallory_2"/ },
  ],
  'S22 another’s e-mail address': [
    by('eve', '{userByHandle(handle:"alice"){handle email}}'),
    200,
    { says: /"email":null/, hides: /@/ },
  ],
  'S22 another’s e-mail address, by a list': [
    by('eve', '{users(first:100){edges{node{handle email}}}}'),
    200,
    { says: /"email":null/, hides: /alice@/ },
  ],
  'S22 another’s e-mail address, by an author': [
    by('eve', '{userByHandle(handle:"alice"){posts(first:1){edges{node{author{a:email b:email}}}}}}'),
    200,
    { says: /"a":null,"b":null/ },
  ],
};

const REPEATED: Table = {
  // Not CONFLICT with 409: by the draft of Idempotency-Key (IETF httpapi, 2.7) that is a key that is in use, which may be tried again; this may not.
  'G5 a key that comes with another body': [
    (cast, turn) => keyed(cast, 'alice', '"g5"', turn === 1 ? 'the first' : 'another'),
    422,
    { code: 'IDEMPOTENCY_KEY_REUSED', hides: /the first/, ran: true },
  ],
  'G5 a key as only the gateway tells it, from a client': [
    (cast, turn) => {
      const { headers, body } = keyed(cast, 'alice', undefined, `forged ${turn}`);
      return { headers: { ...headers, 'tributary-idempotency-key': `${'a'.repeat(43)}.${'b'.repeat(43)}` }, body };
    },
    200,
    { says: /"body":"forged 2"/ },
  ],
};

export const abuse: readonly Attack[] = [
  ...attacks('social', SAVED),
  ...attacks('social', READ_BACK, { repeat: 3 }),
  ...attacks('social', REPEATED, { repeat: 2 }),
  ...attacks('social', WRITES),
];
