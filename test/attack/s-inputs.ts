import { attacks, JSON_TYPE, type Attack, type Cast, type Message, type Table } from './attack.js';
import { by, nobody } from './g-abuse.js';

const INPUT = { code: 'BAD_USER_INPUT', ran: true };

/** Each mutation that takes an object: its type, what it answers, and one that would be taken. */
const OBJECTS: Readonly<Record<string, readonly [type: string, answers: string, given: (cast: Cast) => object]>> = {
  signUp: [
    'SignUpInput',
    'user{id}',
    () => ({ handle: 'mallory_24', email: 'm@example.org', password: 'correct horse', displayName: 'M' }),
  ],
  logIn: ['LogInInput', 'token', () => ({ handle: 'alice', password: 'wrong horse' })],
  changePassword: ['ChangePasswordInput', 'token', () => ({ password: 'wrong horse', newPassword: 'correct horse' })],
  editProfile: ['EditProfileInput', 'id', () => ({ bio: 'mine' })],
  deleteAccount: ['DeleteAccountInput', 'id', () => ({ password: 'wrong horse' })],
  publishPost: ['PublishPostInput', 'id', () => ({ body: 'mine' })],
  editPost: ['EditPostInput', 'id', ({ dansPost }) => ({ id: dansPost, body: 'mine' })],
};

/** What is for nobody to set; as JSON, since no object of ours can have the last. */
const NOT_THEIRS = ['role', 'isAdmin', 'userId', 'authorId', 'createdAt', 'joinedAt', 'emailVerified', '__proto__'];

const assigned: Table = Object.fromEntries(
  Object.entries(OBJECTS).flatMap(([mutation, [type, answers, given]]) =>
    [...NOT_THEIRS, ...(mutation === 'editPost' ? [] : ['id'])].map((field): [string, Table[string]] => [
      `S24 ${field} for ${mutation}`,
      [
        (cast): Message => {
          const i = JSON.stringify(given(cast)).replace('{', `{"${field}":"1",`);
          const text = `mutation($i:${type}!){${mutation}(input:$i){${answers}}}`;
          return {
            headers: { ...JSON_TYPE, authorization: `Bearer ${cast.people.alice.token}` },
            body: `{"query":${JSON.stringify(text)},"variables":{"i":${i}}}`,
          };
        },
        400,
        { code: 'BAD_USER_INPUT', says: new RegExp(field), hides: /(correct|wrong) horse/ },
      ],
    ]),
  ),
);

const UNCHANGED: Table = {
  'S24 all of them in the document': [
    by('alice', 'mutation{editProfile(input:{bio:"mine",role:"admin",isAdmin:true,id:"1",createdAt:"2000"}){id}}'),
    400,
    'GRAPHQL_VALIDATION_FAILED',
  ],
  'S24 nothing of it was taken': [
    by('alice', '{me{id handle bio joinedAt}}'),
    200,
    { says: /"handle":"alice","bio":"(?!mine)/ },
  ],
};

/** Wherever a client says which rows it means. */
const FILTERS: Readonly<Record<string, readonly [text: string, type: string]>> = {
  'a handle': ['{userByHandle(handle:$v){id}}', 'String!'],
  'a post': ['{post(id:$v){id}}', 'ID!'],
  'a node': ['{node(id:$v){id}}', 'ID!'],
  'one of several nodes': ['{nodes(ids:[$v]){id}}', 'ID!'],
  'a cursor of people': ['{users(first:1,after:$v){edges{node{id}}}}', 'String'],
  'a cursor of posts': ['{userByHandle(handle:"alice"){posts(after:$v){edges{node{id}}}}}', 'String'],
  'a cursor of followers': ['{userByHandle(handle:"alice"){followers(after:$v){edges{node{id}}}}}', 'String'],
  'a cursor of a timeline': ['{homeTimeline(first:1,after:$v){edges{node{id}}}}', 'String'],
  'a cursor of notifications': ['{notifications(first:1,after:$v){edges{node{id}}}}', 'String'],
  'a deletion': ['{accountDeletion(id:$v){id}}', 'ID!'],
  'whom to follow': ['mutation($v:ID!){follow(userId:$v){id}}', ''],
  'whom to block': ['mutation($v:ID!){block(userId:$v){id}}', ''],
  'what to like': ['mutation($v:ID!){likePost(postId:$v){id}}', ''],
  'what to delete': ['mutation($v:ID!){deletePost(id:$v){id}}', ''],
  'what to edit': ['mutation($v:ID!){editPost(input:{id:$v,body:"b"}){id}}', ''],
  'up to which notification': ['mutation($v:ID){markNotificationsRead(upTo:$v){unreadNotificationCount}}', ''],
};

const VALUES: Readonly<Record<string, unknown>> = {
  'a quote': "'",
  'two quotes': '"',
  'the end of a table': "'; DROP TABLE users; --",
  'all rows': "x' OR '1'='1",
  'a condition as text': '{"where":1}',
  'a condition': { where: 1 },
  'nothing of it': { $ne: null },
  'a pattern': '%',
  'an end of escaping': '\\',
  'no text': '',
  'a list': [1, 2],
  true: true,
};

const injected: Table = Object.fromEntries(
  Object.entries(FILTERS).flatMap(([filter, [text, type]]) =>
    Object.entries(VALUES).map(([what, v]): [string, Table[string]] => [
      `S25 ${what} as ${filter}`,
      [by('alice', type === '' ? text : `query($v:${type})${text}`, { v }), [200, 400], INPUT],
    ]),
  ),
);

/** `null` where an id has to be, or nothing: every row is nobody's. */
const NOTHING: Table = Object.fromEntries(
  Object.entries(FILTERS)
    .filter(([, [text, type]]) => /!/.test(type || text))
    .flatMap(([filter, [text, type]]): [string, Table[string]][] => {
      const whole = type === '' ? text : `query($v:${type})${text}`;
      return [
        [`S25 null as ${filter}`, [by('alice', whole, { v: null }), 400, 'BAD_USER_INPUT']],
        [`S25 nothing as ${filter}`, [by('alice', whole), 400, 'BAD_USER_INPUT']],
      ];
    }),
);

const PATTERNS: Table = {
  'S25 a handle of wildcards': [
    nobody('query($h:String!){userByHandle(handle:$h){id}}', { h: '_____' }),
    200,
    { says: /^\{"data":\{"userByHandle":null\}\}$/ },
  ],
  'S25 a log-in that is SQL': [
    nobody('mutation($i:LogInInput!){logIn(input:$i){token}}', { i: { handle: "alice' --", password: 'wrong horse' } }),
    200,
    { code: ['UNAUTHENTICATED', 'BAD_USER_INPUT'], ran: true },
  ],
  'S25 a time that is SQL': [
    by('alice', 'query($i:ID!,$v:DateTime!){post(id:$i){asOf(at:$v){body}}}', ({ dansPost }) => ({
      i: dansPost,
      v: "2026-01-01'; DROP TABLE posts; --",
    })),
    [200, 400],
    INPUT,
  ],
  'S25 everybody is still there': [
    nobody('{users(first:100){edges{node{handle}}}}'),
    200,
    { says: /"alice".*"bob"|"bob".*"alice"/ },
  ],
};

export const inputs: readonly Attack[] = [
  ...attacks('social', { ...assigned, ...UNCHANGED }),
  ...attacks('social', { ...injected, ...NOTHING, ...PATTERNS }),
];
