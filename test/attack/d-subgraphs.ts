import { ASSERTION_HEADER, AssertionSigner, globalId, newId } from '#libs/identity';
import { attacks, JSON_TYPE, PREFLIGHT, query, type Attack, type Cast, type Message, type Table } from './attack.js';

type Service = 'users' | 'posts' | 'followers';
const SERVICES: readonly Service[] = ['users', 'posts', 'followers'];
const REFUSED = { code: 'UNAUTHENTICATED', hides: /"data"|type Query|@key/ };

/** How somebody who is not the gateway may try to be it. */
const CREDENTIALS: Readonly<Record<string, (cast: Cast, service: Service) => string | undefined>> = {
  'no credential': () => undefined,
  'an empty one': () => '',
  'a guess': (_, service) => signer('x'.repeat(64)).sign(service, null),
  'that of another service': ({ secrets }, service) => {
    const other = SERVICES.find((name) => name !== service)!;
    return signer(secrets[other]).sign(other, null);
  },
  'its own secret, said for another service': ({ secrets }, service) =>
    signer(secrets[service]).sign(
      SERVICES.find((name) => name !== service)!,
      null,
    ),
  'one of a minute ago': ({ secrets }, service) => signer(secrets[service], -60_000).sign(service, null),
  'one of tomorrow': ({ secrets }, service) => signer(secrets[service], 86_400_000).sign(service, null),
  'one that was changed': ({ secrets, people }, service) => {
    const [head, payload, signature] = signer(secrets[service]).sign(service, null).split('.');
    const claims = JSON.parse(Buffer.from(payload!, 'base64url').toString()) as object;
    return [head, b64({ ...claims, sub: people.alice.id }), signature].join('.');
  },
  'one without a signature': ({ secrets }, service) =>
    signer(secrets[service]).sign(service, null).split('.').slice(0, 2).join('.'),
  'one that says alg none': ({ secrets }, service) => {
    const [, payload] = signer(secrets[service]).sign(service, null).split('.');
    return `${b64({ alg: 'none', typ: 'assertion+jwt' })}.${payload}.`;
  },
};

const QUESTIONS: Readonly<Record<string, (cast: Cast) => string>> = {
  'D1 the SDL': () => query('{_service{sdl}}'),
  'D2 an entity': ({ people }) =>
    query('query($r:[_Any!]!){_entities(representations:$r){...on User{id}}}', {
      variables: { r: [{ __typename: 'User', id: people.alice.id }] },
    }),
  'D3 what clients ask': () => query('{__typename}'),
};

const refused: Attack[] = SERVICES.flatMap((service) =>
  Object.entries(CREDENTIALS).flatMap(([how, credential]) =>
    attacks(
      service,
      Object.fromEntries(
        Object.entries(QUESTIONS).map(([what, body]) => [
          `${what} of ${service}, with ${how}`,
          [(cast) => posted(body(cast), credential(cast, service)), 401, REFUSED],
        ]),
      ),
    ),
  ),
);

/** Said with the gateway's own credential: what the gateway could be made to say. */
const as = (service: Service, body: string | ((cast: Cast) => string), who?: keyof Cast['people']) => (cast: Cast) => {
  const { [service]: secret } = cast.secrets;
  const subject = who === undefined ? null : cast.people[who].id;
  return posted(typeof body === 'string' ? body : body(cast), signer(secret).sign(service, subject));
};
const entities = (representations: readonly unknown[], fields = '__typename'): string =>
  query(`query($r:[_Any!]!){_entities(representations:$r){${fields}}}`, { variables: { r: representations } });
const USERS = '...on User{id handle email}';
const rows = (count: number): unknown[] =>
  Array.from({ length: count }, () => ({ __typename: 'User', id: globalId('user', newId()) }));
const INPUT = { code: 'BAD_USER_INPUT', ran: true };

const USERS_ROWS: Table = {
  'D4 a thousand representations': [as('users', entities(rows(1_000))), 200],
  'D4 one more': [as('users', entities(rows(1_001))), 200, INPUT],
  'D5 a type that is not there': [as('users', entities([{ __typename: 'Nothing', id: '1' }])), 200, INPUT],
  'D5 a type called __proto__': [as('users', entities([{ __typename: '__proto__', id: '1' }])), 200, INPUT],
  'D5 no type': [as('users', entities([{ id: '1' }])), 200, INPUT],
  'D5 no object': [as('users', entities(['x'])), 200, INPUT],
  'D5 an id that is an object': [
    as('users', entities([{ __typename: 'User', id: { toString: 'x' } }], USERS)),
    200,
    INPUT,
  ],
  'D5 fields that are not the caller’s to say': [
    as('users', ({ people }) =>
      entities([{ __typename: 'User', id: people.alice.id, handle: 'root', email: 'forged@evil.example' }], USERS),
    ),
    200,
    { says: /"handle":"alice","email":null/, hides: /root|forged/ },
  ],
  'D6 another’s e-mail address': [
    as('users', ({ people }) => entities([{ __typename: 'User', id: people.bob.id }], USERS), 'alice'),
    200,
    { says: /"email":null/ },
  ],
  'D6 control: one’s own': [
    as('users', ({ people }) => entities([{ __typename: 'User', id: people.bob.id }], USERS), 'bob'),
    200,
    { says: /"email":"[^"]+"/ },
  ],
  'D7 a trace': [
    (cast) => {
      const message = as('users', query('{__typename}'))(cast);
      return { ...message, headers: { ...message.headers, 'apollo-federation-include-trace': 'ftv1' } };
    },
    200,
    { hides: /ftv1|extensions/ },
  ],
  'X3 a body of 1.1 MB': [as('users', query('x'.repeat(1_100_000))), 400, 'BAD_REQUEST'],
  'X3 a batch': [as('users', `[${query('{__typename}')}]`), 400, 'BAD_REQUEST'],
  'X3 introspection': [as('users', query('{__schema{types{name}}}')), 400, 'GRAPHQL_VALIDATION_FAILED'],
  'X3 no such field': [as('users', query('{nothing}')), 400, 'GRAPHQL_VALIDATION_FAILED'],
  'X3 no GraphQL': [as('users', query('{')), 400, 'GRAPHQL_PARSE_FAILED'],
  'X3 no JSON': [as('users', '{"query":'), 400, 'BAD_REQUEST'],
  'X3 JSON with __proto__': [as('users', '{"query":"{__typename}","__proto__":{"polluted":true}}'), [200, 400]],
};

const POSTS_ROWS: Table = {
  'D6 a post of somebody who blocks': [
    as('posts', ({ dansPost }) => entities([{ __typename: 'Post', id: dansPost }], '...on Post{id body}'), 'eve'),
    200,
    { says: /^\{"data":\{"_entities":\[null\]\}\}/ },
  ],
  'D6 control: of somebody who does not': [
    as('posts', ({ dansPost }) => entities([{ __typename: 'Post', id: dansPost }], '...on Post{id body}'), 'alice'),
    200,
    { says: /"body":/ },
  ],
};

const PATHS: Table = Object.fromEntries(
  ['/metrics', '/health', '/graphiql', '/playground', '/', '/graphql/', '/%67raphql'].map((path) => [
    `D8 ${path}`,
    [{ bytes: `GET ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n` }, [401, 404]],
  ]),
);

export const subgraphs: readonly Attack[] = [
  ...refused,
  ...attacks('users', USERS_ROWS),
  ...attacks('posts', POSTS_ROWS),
  ...SERVICES.flatMap((service) => attacks(service, PATHS)),
];

function posted(body: string, assertion: string | undefined): Message {
  return {
    headers: { ...JSON_TYPE, ...PREFLIGHT, ...(assertion === undefined ? {} : { [ASSERTION_HEADER]: assertion }) },
    body,
  };
}

function signer(secret: string, aheadMs = 0): AssertionSigner {
  return new AssertionSigner({ secrets: () => secret, clock: () => Date.now() + aheadMs });
}

function b64(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}
