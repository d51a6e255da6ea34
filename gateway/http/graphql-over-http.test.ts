import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { buildSchema, GraphQLError } from 'graphql';
import { request as httpRequest } from 'node:http';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { CODES, Failure } from '#libs/failure';
import { LEAK, startTinyHttp, type TinyHttp } from '../../test/tiny/tiny-http.js';

const schema = buildSchema(`
  scalar JSON
  type Query {
    me: Person
    user(id: ID!): Person
    users(first: Int!): [Person!]
    echo(text: String, number: Int, deep: JSON): String
    strict: Strict!
    fails(code: String): Int
  }
  type Mutation { rename(name: String!): Person  logIn(password: String!): Person }
  type Person { id: ID! name: String! prefs: JSON friends(first: Int = 1): [Person!]! }
  type Strict { never: Int! }
`);
const person = (id: string): object => ({
  id,
  name: `name of ${id}`,
  prefs: JSON.parse('{"theme":"dark","__proto__":{"polluted":true}}') as unknown,
  friends: ({ first }: { first: number }) => Array.from({ length: first }, (_, index) => person(String(index))),
});
const root = {
  me: () => person('1'),
  user: ({ id }: { id: string }) => person(id),
  users: ({ first }: { first: number }) => {
    if (first < 0 || first > 100)
      throw new GraphQLError('first has to be 0 to 100', { extensions: { code: 'BAD_USER_INPUT' } });
    return Array.from({ length: first }, (_, index) => person(String(index)));
  },
  echo: (given: object) => JSON.stringify(given),
  strict: () => ({ never: null }),
  fails: ({ code }: { code: string }) => {
    throw new GraphQLError('select * from users where password = hunter2 at /srv/app.js:12:3', {
      extensions: code ? { code } : {},
    });
  },
  rename: ({ name }: { name: string }) => ({ ...person('1'), name }),
};

let tiny: TinyHttp;
beforeAll(async () => {
  tiny = await startTinyHttp(schema, root);
});
afterAll(() => tiny.close());
beforeEach(() => void (tiny.executed.length = 0));

interface Row {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Record<string, string | string[]>;
  readonly body?: string | Buffer | undefined;
}
interface Seen {
  readonly status: number;
  readonly headers: Record<string, string | string[] | undefined>;
  readonly text: string;
  readonly errors:
    | {
        readonly message: string;
        readonly path?: unknown[];
        readonly extensions: { readonly code: string; readonly requestId: string };
      }[]
    | undefined;
  readonly data: unknown;
}

/** By Node's own client, which sends what it is told and adds nothing. */
function send({ method = 'POST', path = '', headers, body }: Row, to: TinyHttp = tiny): Promise<Seen> {
  return new Promise((resolve, reject) => {
    const given = headers ?? { 'content-type': 'application/json' };
    const outgoing = httpRequest(`${to.url}${path}`, { method, headers: given, agent: false }, (incoming) => {
      const chunks: Buffer[] = [];
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
      incoming.on('end', () => {
        const text = Buffer.concat(chunks).toString('utf8');
        const parsed = (text === '' ? {} : JSON.parse(text)) as { errors?: Seen['errors']; data?: unknown };
        resolve({
          status: incoming.statusCode!,
          headers: incoming.headers,
          text,
          errors: parsed.errors,
          data: parsed.data,
        });
      });
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}
const query = (text: string, more: object = {}) => JSON.stringify({ query: text, ...more });
const al = (count: number, field: string) =>
  Array.from({ length: count }, (_, index) => `a${index}:${field}`).join(' ');
const nest = (levels: number) => `{me{${'friends{'.repeat(levels)}id${'}'.repeat(levels)}}}`;
const lists = (levels: number) => '['.repeat(levels) + ']'.repeat(levels);
const JSON_TYPE = { 'content-type': 'application/json' };
const PREFLIGHT = { 'apollo-require-preflight': '1' };

/** Name → what is sent, the status, and the code when there is one. Nothing that is refused reaches the engine. */
type Table = Record<string, readonly [Row, number, string?]>;

const DOCUMENTS: Table = {
  'A1 ten levels': [{ body: query(nest(10)) }, 200],
  'A1 eleven levels': [{ body: query(nest(11)) }, 400, 'GRAPHQL_VALIDATION_FAILED'],
  'A1 pages that multiply to 10,100 items': [{ body: query('{users(first:100){friends(first:100){id}}}') }, 200],
  'A1 pages that multiply to a million items': [
    { body: query('{users(first:100){friends(first:100){friends(first:100){id}}}}') },
    400,
    'GRAPHQL_VALIDATION_FAILED',
  ],
  'A1 the same by a variable': [
    {
      body: query('query($n:Int!){users(first:$n){friends(first:$n){friends(first:$n){id}}}}', {
        variables: { n: 100 },
      }),
    },
    400,
    'GRAPHQL_VALIDATION_FAILED',
  ],
  'A2 a hundred levels': [{ body: query(nest(100)) }, 400, 'GRAPHQL_VALIDATION_FAILED'],
  'A3 three thousand levels': [{ body: query(nest(3_000)) }, 400, 'GRAPHQL_PARSE_FAILED'],
  'A4 a literal of 20,000 levels': [{ body: query(`{echo(deep:${lists(20_000)})}`) }, 400, 'GRAPHQL_PARSE_FAILED'],
  'A5 a variable of 20,000 levels': [
    { body: `{"query":"query($d:JSON){echo(deep:$d)}","variables":{"d":${lists(20_000)}}}` },
    400,
    'BAD_USER_INPUT',
  ],
  'A5 a variable of 20 levels': [
    { body: `{"query":"query($d:JSON){echo(deep:$d)}","variables":{"d":${lists(20)}}}` },
    200,
  ],
  'A5 a variable of 21 levels': [
    { body: `{"query":"query($d:JSON){echo(deep:$d)}","variables":{"d":${lists(21)}}}` },
    400,
    'BAD_USER_INPUT',
  ],
  'A6 thirty aliases': [{ body: query(`{${al(30, 'me{id}')}}`) }, 200],
  'A6 thirty-one aliases': [{ body: query(`{${al(31, 'me{id}')}}`) }, 400, 'GRAPHQL_VALIDATION_FAILED'],
  'A7 a thousand aliases': [{ body: query(`{${al(1_000, 'me{id}')}}`) }, 400, 'GRAPHQL_PARSE_FAILED'],
  'A8 two thousand renames': [
    { body: query(`mutation{${al(2_000, 'rename(name:"x"){id}')}}`) },
    400,
    'GRAPHQL_PARSE_FAILED',
  ],
  'A9 the same field 20,000 times': [{ body: query(`{me{${'id '.repeat(20_000)}}}`) }, 400, 'GRAPHQL_PARSE_FAILED'],
  'A10 five hundred directives': [{ body: query(`{me{id ${'@include(if:true)'.repeat(300)}}}`) }, 400],
  'A12 a circle of fragments': [
    { body: query('{me{...A}} fragment A on Person{...B} fragment B on Person{...A}') },
    400,
    'GRAPHQL_VALIDATION_FAILED',
  ],
  'A15 one response name 2,000 times': [
    { body: query(`{${'x:user(id:"i"){id}'.repeat(2_000)}}`) },
    400,
    'GRAPHQL_PARSE_FAILED',
  ],
  'A18 two operations and no name': [
    { body: query('query A{me{id}} query B{me{id}}') },
    400,
    'OPERATION_RESOLUTION_FAILURE',
  ],
  'A19 a name that is not there': [
    { body: query('query A{me{id}}', { operationName: 'B' }) },
    400,
    'OPERATION_RESOLUTION_FAILURE',
  ],
  'A20 a subscription': [{ body: query('subscription{x}') }, 400, 'OPERATION_RESOLUTION_FAILURE'],
  'A24 a field that is not there': [{ body: query('{me{secret}}') }, 400, 'GRAPHQL_VALIDATION_FAILED'],
  'A25 the SDL': [{ body: query('{_service{sdl}}') }, 400, 'GRAPHQL_VALIDATION_FAILED'],
  'A25 entities': [{ body: query('{_entities(representations:[]){__typename}}') }, 400, 'GRAPHQL_VALIDATION_FAILED'],
  'A27 a number beyond Int': [{ body: query('{users(first:99999999999){id}}') }, 400, 'GRAPHQL_VALIDATION_FAILED'],
  'A28 a variable is missing': [{ body: query('query($i:ID!){user(id:$i){id}}') }, 400, 'BAD_USER_INPUT'],
  'A28 a variable of the wrong type': [
    { body: query('query($f:Int!){users(first:$f){id}}', { variables: { f: 'many' } }) },
    400,
    'BAD_USER_INPUT',
  ],
  'A28 null where none may be': [
    { body: query('query($i:ID!){user(id:$i){id}}', { variables: { i: null } }) },
    400,
    'BAD_USER_INPUT',
  ],
  'A29 five hundred variables, all wrong': [
    {
      body: query(`query(${Array.from({ length: 240 }, (_, i) => `$v${i}:Int!`).join(' ')}){me{id}}`, {
        variables: Object.fromEntries(Array.from({ length: 240 }, (_, i) => [`v${i}`, 'x'.repeat(200)])),
      }),
    },
    400,
  ],
  'A30 a variable that nobody asked for': [{ body: query('{me{id}}', { variables: { extra: 1 } }) }, 200],
  'A31 nothing': [{ body: query('') }, 400, 'GRAPHQL_PARSE_FAILED'],
  'A31 only a comment': [{ body: query('#x') }, 400, 'GRAPHQL_PARSE_FAILED'],
  'A31 half a character': [{ body: '{"query":"{me{\\uD800}}"}' }, 400, 'GRAPHQL_PARSE_FAILED'],
  'A31 text that turns around': [{ body: query('{me{na\u202Eme}}') }, 400, 'GRAPHQL_PARSE_FAILED'],
  'A31 a mark before the JSON': [{ body: `\uFEFF${query('{me{id}}')}` }, 200],
  'A32 @defer': [{ body: query('{me{...@defer{id}}}') }, 400, 'GRAPHQL_VALIDATION_FAILED'],
  'A32 @stream': [{ body: query('{me{friends @stream{id}}}') }, 400, 'GRAPHQL_VALIDATION_FAILED'],
  'variables over 64 KiB': [
    { body: query('query($t:String){echo(text:$t)}', { variables: { t: 'x'.repeat(65_536) } }) },
    400,
    'BAD_USER_INPUT',
  ],
  'variables of 64 KiB': [
    { body: query('query($t:String){echo(text:$t)}', { variables: { t: 'x'.repeat(65_528) } }) },
    200,
  ],
};

const big = (bytes: number) => {
  const empty = query('{me{id}}', { pad: '' });
  return query('{me{id}}', { pad: 'x'.repeat(bytes - empty.length) });
};
const LIMIT = 256 * 1024;
const gzip = { ...JSON_TYPE, 'content-encoding': 'gzip' };
const get = (search: string, headers: Record<string, string> = PREFLIGHT): Row => ({
  method: 'GET',
  path: `?${search}`,
  headers,
});
const me = 'query=%7Bme%7Bid%7D%7D';

const ENVELOPES: Table = {
  'B1 null': [{ body: 'null' }, 400, 'BAD_REQUEST'],
  'B1 a number': [{ body: '1' }, 400, 'BAD_REQUEST'],
  'B1 a text': [{ body: '"x"' }, 400, 'BAD_REQUEST'],
  'B1 an empty list': [{ body: '[]' }, 400, 'BAD_REQUEST'],
  'B1 nothing': [{ body: '' }, 400, 'BAD_REQUEST'],
  'B2 cut JSON': [{ body: '{"query":' }, 400, 'BAD_REQUEST'],
  'B3 a batch': [{ body: `[${query('{me{id}}')}]` }, 400, 'BAD_REQUEST'],
  ...Object.fromEntries(
    ['{}', '0', 'false', '[]'].flatMap((value) => [
      [`B4 query ${value}`, [{ body: `{"query":${value}}` }, 400, 'BAD_REQUEST'] as const],
      [
        `B4 operationName ${value}`,
        [{ body: `{"query":"{me{id}}","operationName":${value}}` }, 400, 'BAD_REQUEST'] as const,
      ],
    ]),
  ),
  ...Object.fromEntries(
    ['"x"', '0', 'false', '[]'].flatMap((value) => [
      [`B4 variables ${value}`, [{ body: `{"query":"{me{id}}","variables":${value}}` }, 400, 'BAD_REQUEST'] as const],
      [`B4 extensions ${value}`, [{ body: `{"query":"{me{id}}","extensions":${value}}` }, 400, 'BAD_REQUEST'] as const],
    ]),
  ),
  'B4 null everywhere': [{ body: '{"query":"{me{id}}","operationName":null,"variables":null,"extensions":null}' }, 200],
  'B5 bytes that are no UTF-8, in a text': [
    {
      body: Buffer.concat([Buffer.from('{"query":"{echo(text:\\"'), Buffer.from([0xc3, 0x28]), Buffer.from('\\")}"}')]),
    },
    400,
    'BAD_REQUEST',
  ],
  ...Object.fromEntries(
    ['iso-8859-1', 'utf-7', 'utf-16', 'ibm037', 'x'.repeat(10_000)].map((charset) => [
      `B6 charset ${charset.slice(0, 12)}`,
      [
        { headers: { 'content-type': `application/json; charset=${charset}` }, body: query('{me{id}}') },
        415,
        'BAD_REQUEST',
      ] as const,
    ]),
  ),
  'B6 charset UTF-8': [
    { headers: { 'content-type': 'application/json; charset="UTF-8"' }, body: query('{me{id}}') },
    200,
  ],
  ...Object.fromEntries(
    ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x'].map((type) => [
      `B7 ${type}`,
      [{ headers: { 'content-type': type }, body: query('{me{id}}') }, 400, 'BAD_REQUEST'] as const,
    ]),
  ),
  'B7 no content type': [{ headers: {}, body: query('{me{id}}') }, 400, 'BAD_REQUEST'],
  'B7 text/plain, asked for first': [
    { headers: { 'content-type': 'text/plain', ...PREFLIGHT }, body: query('{me{id}}') },
    415,
    'BAD_REQUEST',
  ],
  'B8 application/graphql': [
    { headers: { 'content-type': 'application/graphql' }, body: '{me{id}}' },
    415,
    'BAD_REQUEST',
  ],
  'B8 a semicolon too many': [{ headers: { 'content-type': 'application/json;' }, body: query('{me{id}}') }, 200],
  'B8 capitals': [{ headers: { 'content-type': 'APPLICATION/JSON' }, body: query('{me{id}}') }, 200],
  'B9 only pictures': [{ headers: { ...JSON_TYPE, accept: 'image/png' }, body: query('{me{id}}') }, 406, 'BAD_REQUEST'],
  'B9 an empty wish': [{ headers: { ...JSON_TYPE, accept: '' }, body: query('{me{id}}') }, 200],
  'B9 nothing at all': [{ headers: { ...JSON_TYPE, accept: '*/*;q=0' }, body: query('{me{id}}') }, 406, 'BAD_REQUEST'],
  'B9 what urql wishes': [
    {
      headers: {
        ...JSON_TYPE,
        accept:
          'application/graphql-response+json, application/graphql+json, application/json, text/event-stream, multipart/mixed',
      },
      body: query('{me{id}}'),
    },
    200,
  ],
  'B10 GET, and nobody asked first': [get(me, {}), 400, 'BAD_REQUEST'],
  'B10 GET with a preflight header': [get(me), 200],
  'B10 GET by our own page': [get(me, { 'sec-fetch-site': 'same-origin' }), 200],
  'B10 GET by a program on Node': [get(me, { 'sec-fetch-mode': 'cors' }), 200],
  'B10 GET by the person': [get(me, { 'sec-fetch-site': 'none' }), 200],
  'B10 GET by a page of another site': [
    get(me, { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' }),
    400,
    'BAD_REQUEST',
  ],
  'B10 GET by a sister site': [get(me, { 'sec-fetch-site': 'same-site' }), 400, 'BAD_REQUEST'],
  'B11 GET a mutation': [get('query=mutation%7Brename(name:%22x%22)%7Bid%7D%7D'), 405, 'BAD_REQUEST'],
  'B12 GET with the type that browsers let through': [
    get(me, { 'content-type': 'message/rfc822' }),
    415,
    'BAD_REQUEST',
  ],
  'B12 the same, asked first': [get(me, { 'content-type': 'message/rfc822', ...PREFLIGHT }), 415, 'BAD_REQUEST'],
  'B13 two queries': [get(`${me}&${me}`), 400, 'BAD_REQUEST'],
  'B13 half a variable': [get(`${me}&variables=%5B`), 400, 'BAD_REQUEST'],
  'B13 bytes that are no UTF-8': [get('query=%7Bme%7B%ff%7D%7D'), 400, 'BAD_REQUEST'],
  ...Object.fromEntries(
    ['PUT', 'DELETE', 'PATCH', 'TRACE', 'HEAD'].map((method) => [
      `B14 ${method}`,
      [{ method, headers: PREFLIGHT }, 405] as const,
    ]),
  ),
  'B16 a body at the limit': [{ body: big(LIMIT) }, 200],
  'B16 a body of one byte more': [{ body: big(LIMIT + 1) }, 413, 'BAD_REQUEST'],
  'B16 10 MB': [{ body: big(10_000_000) }, 413, 'BAD_REQUEST'],
  'B16 10 MB in chunks': [
    { headers: { ...JSON_TYPE, 'transfer-encoding': 'chunked' }, body: big(10_000_000) },
    413,
    'BAD_REQUEST',
  ],
  'B17 gzip': [{ headers: gzip, body: gzipSync(query('{me{id}}')) }, 200],
  'B17 gzip at the limit': [{ headers: gzip, body: gzipSync(big(LIMIT)) }, 200],
  'B17 gzip beyond the limit': [{ headers: gzip, body: gzipSync(big(LIMIT + 1)) }, 413, 'BAD_REQUEST'],
  'B17 50 MB in 50 kB': [{ headers: gzip, body: gzipSync(Buffer.alloc(50_000_000, 32)) }, 413, 'BAD_REQUEST'],
  'B17 gzip, cut': [{ headers: gzip, body: gzipSync(query('{me{id}}')).subarray(0, 20) }, 400, 'BAD_REQUEST'],
  'B17 no gzip at all': [{ headers: gzip, body: query('{me{id}}') }, 400, 'BAD_REQUEST'],
  'B17 br': [
    { headers: { ...JSON_TYPE, 'content-encoding': 'br' }, body: brotliCompressSync(query('{me{id}}')) },
    415,
    'BAD_REQUEST',
  ],
  'B17 zzz': [{ headers: { ...JSON_TYPE, 'content-encoding': 'zzz' }, body: query('{me{id}}') }, 415, 'BAD_REQUEST'],
  'B17 gzip twice': [
    { headers: { ...JSON_TYPE, 'content-encoding': 'gzip, gzip' }, body: gzipSync(gzipSync(query('{me{id}}'))) },
    415,
    'BAD_REQUEST',
  ],
  'B21 a persisted query': [
    { body: '{"extensions":{"persistedQuery":{"version":1,"sha256Hash":"abc"}}}' },
    200,
    'PERSISTED_QUERY_NOT_SUPPORTED',
  ],
  'B21 a persisted query and its text': [
    { body: query('{me{id}}', { extensions: { persistedQuery: { version: 2, sha256Hash: 'abc' } } }) },
    200,
    'PERSISTED_QUERY_NOT_SUPPORTED',
  ],
  'E7 a cookie beside': [{ headers: { ...JSON_TYPE, cookie: 'session=2' }, body: query('{me{id}}') }, 200],
  'E9 no encoding': [
    { headers: { ...JSON_TYPE, 'accept-encoding': 'gzip;q=0, br;q=1000' }, body: query('{me{id}}') },
    200,
  ],
  'F20 a token in the address': [{ path: '?access_token=x', body: query('{me{id}}') }, 400, 'BAD_REQUEST'],
};

const NAMES: Table = {
  'C1 a field called __proto__': [{ body: query('{me{id __proto__:prefs}}') }, 200],
  'C2 a field called constructor': [{ body: query('{me{id constructor:prefs}}') }, 200],
  'C3 constructor and prototype': [{ body: query('{constructor:me{prototype:prefs id}}') }, 200],
  'C3 toString and hasOwnProperty': [{ body: query('{toString:me{hasOwnProperty:id valueOf:name}}') }, 200],
  'C5 a variable called __proto__': [
    { body: '{"query":"query($__proto__:JSON){echo(deep:$__proto__)}","variables":{"__proto__":{"polluted":true}}}' },
    400,
    'GRAPHQL_VALIDATION_FAILED',
  ],
  'C6 a body with __proto__': [
    {
      body: '{"query":"{me{id}}","__proto__":{"polluted":true},"variables":{"__proto__":{"polluted":true}},"extensions":{"__proto__":{"polluted":true}}}',
    },
    200,
  ],
  'C6 a query by __proto__': [{ body: '{"__proto__":{"query":"{me{id}}"}}' }, 400, 'BAD_REQUEST'],
  'C7 a value with __proto__': [
    {
      body: '{"query":"query($d:JSON){echo(deep:$d)}","variables":{"d":{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}}}',
    },
    200,
  ],
};

describe.each([
  ['documents', DOCUMENTS],
  ['envelopes', ENVELOPES],
  ['names of prototypes', NAMES],
] as const)('%s', (_name, table) => {
  it.each(Object.entries(table))('%s', async (_row, [row, status, code]) => {
    const seen = await send(row);
    expect([seen.status, seen.errors?.[0]?.extensions.code]).toEqual([
      status,
      row.method === 'HEAD' ? undefined : (code ?? seen.errors?.[0]?.extensions.code),
    ]);
    // What holds for every answer.
    expect(seen.headers['content-type']).toMatch(/^application\/(graphql-response\+)?json; charset=utf-8$/);
    expect(seen.headers['x-content-type-options']).toBe('nosniff');
    expect(seen.text).not.toMatch(LEAK);
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
    expect(typeof Function.prototype.call).toBe('function');
    if (status === 200 && code === undefined) {
      expect(seen.errors).toBeUndefined();
      expect(tiny.executed).toHaveLength(1);
      return;
    }
    expect(tiny.executed).toHaveLength(0);
    expect(seen.headers['cache-control']).toBe('no-store');
    expect(Buffer.byteLength(seen.text)).toBeLessThanOrEqual(16 * 1024);
    if (row.method === 'HEAD') return;
    expect(seen.data).toBeUndefined();
    expect(seen.errors!.length).toBeGreaterThan(0);
    expect(seen.errors!.length).toBeLessThanOrEqual(50);
    for (const { extensions } of seen.errors!) {
      expect(Object.keys(CODES)).toContain(extensions.code);
      expect(extensions.requestId).toBe(seen.headers['x-request-id']);
      expect(Object.keys(extensions).sort()).toEqual(['code', 'requestId']);
    }
    if (status === 405) expect(seen.headers['allow']).toMatch(/^(GET, )?POST$/);
  });
});

describe('answers', () => {
  it('have the type that was asked for', async () => {
    const typeFor = async (accept: string) =>
      (await send({ headers: { ...JSON_TYPE, accept }, body: query('{me{id}}') })).headers['content-type'];
    expect(await typeFor('application/graphql-response+json')).toBe('application/graphql-response+json; charset=utf-8');
    expect(await typeFor('application/graphql-response+json, application/json;q=0.9')).toBe(
      'application/graphql-response+json; charset=utf-8',
    );
    expect(await typeFor('application/graphql-response+json;q=0.5, application/json')).toBe(
      'application/json; charset=utf-8',
    );
    expect(await typeFor('application/*')).toBe('application/json; charset=utf-8');
  });

  it('with errors are not to be stored, and say where; a service speaks only in the codes that are for clients', async () => {
    const seen = await send({
      body: query('{ a: fails(code: "FORBIDDEN") b: fails c: fails(code: "SUBGRAPH_TIMEOUT") }'),
    });
    expect(seen.status).toBe(200);
    expect(seen.headers['cache-control']).toBe('no-store');
    expect(seen.data).toEqual({ a: null, b: null, c: null });
    expect(seen.errors!.map(({ path, extensions }) => [path, extensions.code])).toEqual([
      [['a'], 'FORBIDDEN'],
      [['b'], 'INTERNAL_SERVER_ERROR'],
      [['c'], 'INTERNAL_SERVER_ERROR'],
    ]);
    expect(seen.errors!.slice(1).map(({ message }) => message)).toEqual([
      'Internal server error',
      'Internal server error',
    ]);
  });

  it('carry their own request id unless the given one is well formed', async () => {
    const idFor = async (id: string) =>
      (await send({ headers: { ...JSON_TYPE, 'x-request-id': id }, body: query('{me{id}}') })).headers['x-request-id'];
    expect(await idFor('0123-abcd-4567')).toBe('0123-abcd-4567');
    expect(await idFor('x'.repeat(4_000))).toMatch(/^request-\d+$/);
    expect(await idFor('{"level":60,"msg":"forged"}')).toMatch(/^request-\d+$/);
  });
});

describe('pages of other origins', () => {
  const cors = { origins: ['https://app.example'], credentials: true, headers: ['x-tenant'] };

  it('learn nothing unless they are named; then they may ask, and read', async () => {
    const open = await startTinyHttp(schema, root, { cors });
    try {
      const allowed = await send(
        { method: 'OPTIONS', headers: { origin: 'https://app.example', 'access-control-request-method': 'POST' } },
        open,
      );
      expect([allowed.status, allowed.headers['access-control-allow-origin']]).toEqual([204, 'https://app.example']);
      expect(allowed.headers['access-control-allow-headers']).toContain('x-tenant');
      const foreign = await send({ method: 'OPTIONS', headers: { origin: 'https://evil.example' } }, open);
      expect([foreign.status, foreign.headers['access-control-allow-origin']]).toEqual([204, undefined]);
      const read = await send(
        { headers: { ...JSON_TYPE, origin: 'https://app.example' }, body: query('{me{id}}') },
        open,
      );
      expect(read.headers).toMatchObject({
        'access-control-allow-origin': 'https://app.example',
        'access-control-allow-credentials': 'true',
        vary: 'Origin',
      });
      const refused = await send(
        { headers: { 'content-type': 'text/plain', origin: 'https://evil.example' }, body: query('{me{id}}') },
        open,
      );
      expect([refused.status, refused.headers['access-control-allow-origin'], refused.headers['vary']]).toEqual([
        400,
        undefined,
        'Origin',
      ]);
      expect(
        (await send(get(me, { origin: 'https://app.example', 'sec-fetch-site': 'cross-site' }), open)).status,
      ).toBe(200);
      expect(
        (await send(get(me, { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' }), open)).status,
      ).toBe(400);
    } finally {
      await open.close();
    }
  });

  it('with no origin named, no answer has a word about CORS', async () => {
    const { headers } = await send({
      headers: { ...JSON_TYPE, origin: 'https://app.example' },
      body: query('{me{id}}'),
    });
    expect(Object.keys(headers).filter((name) => name.startsWith('access-control'))).toEqual([]);
  });
});

describe('time', () => {
  it('a request over its deadline is 504, once, and what it was doing is cancelled', async () => {
    let aborted: Promise<unknown> | undefined;
    const slow = await startTinyHttp(schema, root, {
      timeoutMs: 30,
      execute: (_operation, _variables, { signal }) => {
        aborted = new Promise((resolve) => signal.addEventListener('abort', () => resolve(signal.reason)));
        return new Promise(() => {});
      },
    });
    try {
      const seen = await send({ body: query('{me{id}}') }, slow);
      expect([seen.status, seen.errors?.[0]?.extensions.code]).toEqual([504, 'GATEWAY_TIMEOUT']);
      expect(await aborted).toBeInstanceOf(Failure);
    } finally {
      await slow.close();
    }
  });

  it('a client that goes away cancels what was done for it', async () => {
    const reached: { resolve?: () => void } = {};
    const started = new Promise<void>((resolve) => (reached.resolve = resolve));
    let aborted: Promise<void> | undefined;
    const slow = await startTinyHttp(schema, root, {
      execute: (_operation, _variables, { signal }) => {
        aborted = new Promise((resolve) => signal.addEventListener('abort', () => resolve()));
        reached.resolve!();
        return new Promise(() => {});
      },
    });
    try {
      const outgoing = httpRequest(slow.url, { method: 'POST', headers: JSON_TYPE, agent: false });
      outgoing.on('error', () => {});
      outgoing.end(query('{me{id}}'));
      await started;
      outgoing.destroy();
      await aborted;
    } finally {
      await slow.close();
    }
  });

  it('a bug of ours is 500 and a request id; the stack is in the log, once', async () => {
    const lines: { message: string; fields: object }[] = [];
    const logger = {
      debug() {},
      info() {},
      warn() {},
      error: (fields: object, message: string) => void lines.push({ message, fields }),
    };
    const broken = await startTinyHttp(schema, root, {
      logger,
      execute: () => Promise.reject(new TypeError('undefined is not a function at /srv/app.js:12:3')),
    });
    try {
      const seen = await send({ body: query('{me{id}}') }, broken);
      expect(seen.status).toBe(500);
      expect(seen.errors).toEqual([
        { message: 'Internal server error', extensions: { code: 'INTERNAL_SERVER_ERROR', requestId: 'request-1' } },
      ]);
      expect(lines).toHaveLength(1);
      expect(lines[0]!.fields).toMatchObject({
        requestId: 'request-1',
        detail: expect.stringContaining('/srv/app.js:12:3') as unknown,
      });
    } finally {
      await broken.close();
    }
  });
});
