import { createHmac } from 'node:crypto';
import { ASSERTION_HEADER, AssertionSigner, globalId, IDEMPOTENCY_HEADER, newId } from '#libs/identity';
import { attacks, JSON_TYPE, PREFLIGHT, query, type Attack, type Cast, type Message, type Table } from './attack.js';

type Service = 'users' | 'posts' | 'followers';
const SERVICES: readonly Service[] = ['users', 'posts', 'followers'];
const REFUSED = { code: 'UNAUTHENTICATED', hides: /"data"|type Query|@key/ };

/** How somebody who is not the gateway may try to be it: what is shown with this body. */
const CREDENTIALS: Readonly<Record<string, (cast: Cast, service: Service, body: string) => string | undefined>> = {
  'no credential': () => undefined,
  'an empty one': () => '',
  'a guess': (_, service, body) => signer('x'.repeat(64)).sign(service, null, { body }),
  'that of another service': ({ secrets }, service, body) => {
    const other = otherThan(service);
    return signer(secrets[other]).sign(other, null, { body });
  },
  'its own secret, said for another service': ({ secrets }, service, body) =>
    signer(secrets[service]).sign(otherThan(service), null, { body }),
  'one of a minute ago': ({ secrets }, service, body) =>
    signer(secrets[service], -60_000).sign(service, null, { body }),
  'one of tomorrow': ({ secrets }, service, body) => signer(secrets[service], 86_400_000).sign(service, null, { body }),
  'one that was changed': ({ secrets, people }, service, body) => {
    const [head, payload, signature] = signer(secrets[service]).sign(service, null, { body }).split('.');
    const claims = JSON.parse(Buffer.from(payload!, 'base64url').toString()) as object;
    return [head, b64({ ...claims, sub: people.alice.id }), signature].join('.');
  },
  'one without a signature': ({ secrets }, service, body) =>
    signer(secrets[service]).sign(service, null, { body }).split('.').slice(0, 2).join('.'),
  'one that says alg none': ({ secrets }, service, body) => {
    const [, payload] = signer(secrets[service]).sign(service, null, { body }).split('.');
    return `${b64({ alg: 'none', typ: 'assertion+jwt' })}.${payload}.`;
  },
  'that of another body': ({ secrets }, service) => signer(secrets[service]).sign(service, null, { body: '{}' }),
  'that of a body with a space more': ({ secrets }, service, body) =>
    signer(secrets[service]).sign(service, null, { body: `${body} ` }),
  'that of a key by which it may be repeated': ({ secrets }, service, body) =>
    signer(secrets[service]).sign(service, null, { body, headers: { [IDEMPOTENCY_HEADER]: 'k' } }),
  'that of a GET': ({ secrets }, service, body) =>
    signer(secrets[service]).sign(service, null, { body, method: 'GET' }),
  'one for every call of its time': ({ secrets }, service) => timed(secrets[service], service),
};

const QUESTIONS: Readonly<Record<string, (cast: Cast) => string>> = {
  'D1 the SDL': () => query('{_service{sdl}}'),
  'D2 an entity': ({ people }) =>
    query('query($r:[_Any!]!){_entities(representations:$r){...on User{id}}}', {
      variables: { r: [{ __typename: 'User', id: people.alice.id }] },
    }),
  'D3 what clients ask': () => query('{__typename}'),
};

/** Control: who the credentials are of is told all of it; a gateway may compose by what its services say (SUBGRAPHS). */
const told: Attack[] = SERVICES.flatMap((service) =>
  attacks(service, {
    [`D1 control: the SDL of ${service}, for its gateway`]: [
      as(service, query('{_service{sdl}}')),
      200,
      { says: /@key/ },
    ],
  }),
);

const refused: Attack[] = SERVICES.flatMap((service) =>
  Object.entries(CREDENTIALS).flatMap(([how, credential]) =>
    attacks(
      service,
      Object.fromEntries(
        Object.entries(QUESTIONS).map(([what, body]) => [
          `${what} of ${service}, with ${how}`,
          [(cast) => posted(body(cast), credential(cast, service, body(cast))), 401, REFUSED],
        ]),
      ),
    ),
  ),
);

/** Read on its way to the service, and sent there once more. */
const replayed: Attack[] = SERVICES.flatMap((service) =>
  attacks(
    service,
    Object.fromEntries(
      Object.entries(QUESTIONS).map(([what, body]) => [
        `${what} of ${service}, with one that was taken`,
        [twice(as(service, body)), 401, REFUSED],
      ]),
    ),
    { repeat: 2 },
  ),
);

const entities = (representations: readonly unknown[], fields = '__typename'): string =>
  query(`query($r:[_Any!]!){_entities(representations:$r){${fields}}}`, { variables: { r: representations } });
const USERS = '...on User{id handle email}';
const rows = (count: number): unknown[] =>
  Array.from({ length: count }, () => ({ __typename: 'User', id: globalId('user', newId()) }));
const INPUT = { code: 'BAD_USER_INPUT', ran: true };

const USERS_ROWS: Table = {
  'D4 a thousand representations': [as('users', entities(rows(1_000))), 200],
  // Not 400: `_entities` is a field, which is refused before a database is asked, and only a gateway is told.
  'D4 one more': [as('users', entities(rows(1_001))), 200, { ...INPUT, unasked: true }],
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
  // Null and no FORBIDDEN: what is not there is null as well, so nobody learns which of the two it is, and a page with the field in it is whole.
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
  'X3 a body of 1.1 MB': [as('users', query('x'.repeat(1_100_000))), 400, 'BAD_REQUEST'],
  'X3 a batch': [as('users', `[${query('{__typename}')}]`), 400, 'BAD_REQUEST'],
  'X3 introspection': [as('users', query('{__schema{types{name}}}')), 400, 'GRAPHQL_VALIDATION_FAILED'],
  'X3 no such field': [as('users', query('{nothing}')), 400, 'GRAPHQL_VALIDATION_FAILED'],
  'X3 no GraphQL': [as('users', query('{')), 400, 'GRAPHQL_PARSE_FAILED'],
  'X3 no JSON': [as('users', '{"query":'), 400, 'BAD_REQUEST'],
  'X3 JSON with __proto__': [as('users', '{"query":"{__typename}","__proto__":{"polluted":true}}'), [200, 400]],
};

/** Also where the gateway itself asks for one. */
const traced: readonly Attack[] = SERVICES.flatMap((service) =>
  attacks(service, {
    [`D7 a trace of ${service}`]: [
      (cast) => {
        const message = as(service, query('{__typename}'))(cast);
        return { ...message, headers: { ...message.headers, 'apollo-federation-include-trace': 'ftv1' } };
      },
      200,
      { hides: /ftv1|extensions/ },
    ],
    [`D7 a trace of ${service}, by somebody else`]: [
      { headers: { ...JSON_TYPE, 'apollo-federation-include-trace': 'ftv1' }, body: query('{__typename}') },
      401,
      { ...REFUSED, hides: /ftv1/ },
    ],
  }),
);

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

const gets = (path: string, headers = ''): Message => ({
  bytes: `GET ${path} HTTP/1.1\r\nhost: x\r\n${headers}connection: close\r\n\r\n`,
});
const CLOSED = ['/metrics', '/health', '/graphiql', '/playground', '/', '/graphql/', '/%67raphql', '/ended-sessions'];
const PATHS: Table = {
  ...Object.fromEntries(
    CLOSED.flatMap((path): [string, Table[string]][] => [
      [`D8 ${path}`, [gets(path), [401, 404]]],
      [`D8 ${path}, with a guess`, [gets(path, `${ASSERTION_HEADER}: guess\r\n`), [401, 404]]],
    ]),
  ),
  // Not 401, as S16 would have it: whether it lives and is ready is for whoever starts and stops it: no word of what it is made of.
  'D8 /health/live': [gets('/health/live'), 200, { says: /^\{"status":"live"\}$/ }],
  'D8 /health/ready': [gets('/health/ready'), 200, { says: /^\{"status":"ready","waitingFor":\[\]\}$/ }],
};

export const subgraphs: readonly Attack[] = [
  ...told,
  ...refused,
  ...replayed,
  ...attacks('users', USERS_ROWS),
  ...traced,
  ...attacks('posts', POSTS_ROWS),
  ...SERVICES.flatMap((service) => attacks(service, PATHS)),
];

/** Said with the gateway's own credential: what the gateway could be made to say. */
function as(service: Service, body: string | ((cast: Cast) => string), who?: keyof Cast['people']) {
  return (cast: Cast): Message => signedFor(cast, service, typeof body === 'string' ? body : body(cast), who);
}

/** As the gateway asks for somebody. */
export function signedFor(cast: Cast, service: Service, body: string, who?: keyof Cast['people']): Message {
  const subject = who === undefined ? null : cast.people[who].id;
  return posted(body, signer(cast.secrets[service]).sign(service, subject, { body }));
}

function posted(body: string, assertion: string | undefined): Message {
  return {
    headers: { ...JSON_TYPE, ...PREFLIGHT, ...(assertion === undefined ? {} : { [ASSERTION_HEADER]: assertion }) },
    body,
  };
}

/** The second time the same to the letter. */
function twice(made: (cast: Cast) => Message): (cast: Cast, turn: number) => Message {
  let first: Message = {};
  return (cast, turn) => (turn === 1 ? (first = made(cast)) : first);
}

function otherThan(service: Service): Service {
  return SERVICES.find((name) => name !== service)!;
}

function signer(secret: string, aheadMs = 0): AssertionSigner {
  return new AssertionSigner({ secrets: () => secret, clock: () => Date.now() + aheadMs });
}

/** As gateways of before signed: the same for every call. */
function timed(secret: string, service: Service): string {
  const iat = Math.floor(Date.now() / 1_000);
  const claims = { iss: 'tributary-gateway', aud: service, iat, exp: iat + 30 };
  const signed = `${b64({ alg: 'HS256', typ: 'assertion+jwt' })}.${b64(claims)}`;
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
}

function b64(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}
