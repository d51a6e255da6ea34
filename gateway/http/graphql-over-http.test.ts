import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { buildSchema, GraphQLError } from 'graphql';
import { request as httpRequest, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { request } from 'undici';
import { Failure } from '#libs/failure';
import type { Span, Tracer } from '#libs/telemetry';
import { httpCache } from '../../test/tiny/http-cache.js';
import { startTinyHttp, type TinyHttp, type TinyHttpOptions } from '../../test/tiny/tiny-http.js';
import { nobody } from '../authorization/grants.js';

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

/** What is sent to break in, and what must come, is in test/attack; here is what answers are made of. */
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
const JSON_TYPE = { 'content-type': 'application/json' };
const PREFLIGHT = { 'apollo-require-preflight': '1' };

const get = (search: string, headers: Record<string, string> = PREFLIGHT): Row => ({
  method: 'GET',
  path: `?${search}`,
  headers,
});
const me = 'query=%7Bme%7Bid%7D%7D';

describe('parameters', () => {
  it('that are empty in an address are as if they were left out', async () => {
    const seen = await send(get(`${me}&operationName=&variables=&extensions=`));
    expect([seen.status, seen.data]).toEqual([200, { me: { id: '1' } }]);
    // Control: a name that no operation has.
    expect((await send(get(`${me}&operationName=Me`))).status).toBe(400);
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
      body: query(
        '{ a: fails(code: "FORBIDDEN") b: fails c: fails(code: "GATEWAY_TIMEOUT") d: fails(code: "SUBGRAPH_TIMEOUT") }',
      ),
    });
    expect(seen.status).toBe(200);
    expect(seen.headers['cache-control']).toBe('no-store');
    expect(seen.data).toEqual({ a: null, b: null, c: null, d: null });
    expect(seen.errors!.map(({ path, extensions }) => [path, extensions.code])).toEqual([
      [['a'], 'FORBIDDEN'],
      [['b'], 'INTERNAL_SERVER_ERROR'],
      [['c'], 'INTERNAL_SERVER_ERROR'],
      // Its database is late: in our words, and the client may try again.
      [['d'], 'SUBGRAPH_TIMEOUT'],
    ]);
    expect(seen.errors!.slice(1).map(({ message }) => message)).toEqual([
      'Internal server error',
      'Internal server error',
      'A part of the answer took too long.',
    ]);
  });

  it('carry their own request id unless a proxy of ours gives one that is well formed', async () => {
    const behind = await startTinyHttp(schema, root, { proxies: 1 });
    const idFor = async (id: string, to = behind) =>
      (await send({ headers: { ...JSON_TYPE, 'x-request-id': id }, body: query('{me{id}}') }, to)).headers[
        'x-request-id'
      ];
    expect(await idFor('alice_smith_1980', tiny)).toMatch(/^request-\d+$/);
    expect(await idFor('0123-abcd-4567')).toBe('0123-abcd-4567');
    expect(await idFor('x'.repeat(4_000))).toMatch(/^request-\d+$/);
    expect(await idFor('{"level":60,"msg":"forged"}')).toMatch(/^request-\d+$/);
    await behind.close();
  });
});

it('what a stranger writes beside a trace is in no span (control: a proxy of ours may)', async () => {
  const seen: unknown[] = [];
  const span: Span = {
    traceId: '0'.repeat(32),
    recorded: false,
    traceparent: '',
    tracestate: undefined,
    child: () => span,
    set() {},
    end() {},
  };
  const tracer: Tracer = {
    request({ traceparent, tracestate }) {
      seen.push([traceparent, tracestate]);
      return span;
    },
    follow: () => undefined,
  };
  const trace = { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', tracestate: 'alice=smith' };
  for (const proxies of [0, 1]) {
    const to = await startTinyHttp(schema, root, { tracer, proxies });
    expect((await send({ headers: { ...JSON_TYPE, ...trace }, body: query('{me{id}}') }, to)).status).toBe(200);
    await to.close();
  }
  expect(seen).toEqual([
    [trace.traceparent, undefined],
    [trace.traceparent, trace.tracestate],
  ]);
});

describe('a body that is longer than may be', () => {
  const head = (more: string): string =>
    `POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 300000\r\n${more}\r\n`;

  /** What is told to whoever sends this, and after the whole answer the rest; `ended`: it was at an end for the server then. */
  async function told(first: string, rest: string): Promise<{ text: string; ended: boolean; failed: boolean }> {
    const socket = connect(Number(new URL(tiny.url).port), '127.0.0.1').setEncoding('utf8');
    let failed = false;
    socket.on('error', () => (failed = true));
    const over = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    let text = '';
    const whole = new Promise<void>((resolve) => {
      socket.on('data', (chunk: string) => {
        text += chunk;
        if (text.endsWith('}]}')) resolve();
      });
    });
    const asked = new Promise<ServerResponse>((resolve) => {
      tiny.server.once('request', (_request, response) => resolve(response));
    });
    socket.write(first);
    await Promise.race([whole, over]);
    const ended = (await asked).writableEnded;
    socket.write(rest);
    await over;
    return { text, ended, failed };
  }

  it('is told so before it has come, and its client may send the rest', async () => {
    const { text, ended, failed } = await told(head(''), 'x'.repeat(300_000));
    expect(text).toMatch(/^HTTP\/1\.1 413 [^]*The body may be at most 262144 bytes/);
    expect([ended, failed]).toEqual([false, false]);
  });

  it('is not asked for, where its client asks before it sends', async () => {
    const { text } = await told(head('expect: 100-continue\r\n'), '');
    expect(text).toMatch(/^HTTP\/1\.1 413 /);
    // The control: one that fits is.
    const short = head('expect: 100-continue\r\n').replace('300000', '2\r\nconnection: close');
    expect((await told(`${short}{}`, '')).text).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 400 /);
  });
});

describe('caches between', () => {
  const said = (value: string): TinyHttpOptions => ({
    forward: ['x-tenant'],
    execute: (_operation, _variables, { headers, responseHeaders }) => {
      responseHeaders.push(['cache-control', value]);
      const body = JSON.stringify({ data: { me: { id: headers.get('x-tenant') } } });
      return Promise.resolve({ body, hasErrors: false });
    },
  });
  /** What two tenants are answered through a cache by RFC 9111. */
  async function throughCache(options: TinyHttpOptions, heedsVary = true): Promise<string[]> {
    const open = await startTinyHttp(schema, root, options);
    const cache = httpCache('shared', { heedsVary });
    const answers: string[] = [];
    for (const tenant of ['a', 'b', 'a']) {
      const { body } = await request(`${open.url}?${me}`, {
        headers: { ...PREFLIGHT, 'x-tenant': tenant },
        dispatcher: cache,
      });
      answers.push(((await body.json()) as { data: { me: { id: string } } }).data.me.id);
    }
    answers.push(`asked ${open.executed.length} times`);
    await cache.close();
    await open.close();
    return answers;
  }
  it('show nobody an answer to other forwarded headers (control: without Vary they do)', async () => {
    expect(await throughCache(said('max-age=55, public'))).toEqual(['a', 'b', 'a', 'asked 2 times']);
    expect(await throughCache(said('max-age=55, public'), false)).toEqual(['a', 'a', 'a', 'asked 1 times']);
  });

  it('keep nothing where POLICY_MODULE decides, which may look at any header', async () => {
    const grants = () => nobody;
    expect(await throughCache({ ...said('max-age=55, public'), grants })).toEqual(['a', 'b', 'a', 'asked 3 times']);
  });

  it('are told to keep nothing of which nobody said that it may be kept', async () => {
    for (const row of [get(me), { headers: JSON_TYPE, body: query('{me{id}}') }]) {
      const { headers } = await send(row);
      expect([headers['cache-control'], headers['vary']]).toEqual(['private, no-store', undefined]);
    }
  });
});

describe('pages of other origins', () => {
  const cors = { origins: ['https://app.example'], credentials: true, headers: ['x-tenant'], exposed: [] };

  it('are not shown by their browser what it keeps of the person before: what is private varies by who asks as well', async () => {
    const open = await startTinyHttp(schema, root, {
      cors,
      execute: (_operation, _variables, { responseHeaders }) => {
        responseHeaders.push(['cache-control', 'private, max-age=60']);
        return Promise.resolve({ body: '{"data":{"me":{"id":"1"}}}', hasErrors: false });
      },
    });
    try {
      const { headers } = await send(get(me, { ...PREFLIGHT, origin: 'https://app.example' }), open);
      expect(headers).toMatchObject({
        'cache-control': 'private, max-age=60',
        vary: 'Accept, Authorization, Cookie, Consistency-Token, Tributary-Consistency, Origin',
      });
    } finally {
      await open.close();
    }
  });

  it('learn nothing unless they are named; then they may ask, and read', async () => {
    const open = await startTinyHttp(schema, root, { cors });
    try {
      const allowed = await send(
        { method: 'OPTIONS', headers: { origin: 'https://app.example', 'access-control-request-method': 'POST' } },
        open,
      );
      expect([allowed.status, allowed.headers['access-control-allow-origin']]).toEqual([204, 'https://app.example']);
      for (const name of ['x-tenant', 'idempotency-key'])
        expect(allowed.headers['access-control-allow-headers']).toContain(name);
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

  it('a mutation over it is told no time to come again, as it may be done; control: a query is', async () => {
    const slow = await startTinyHttp(schema, root, { timeoutMs: 30, execute: () => new Promise(() => {}) });
    try {
      const told = async (text: string) => {
        const { status, headers } = await send({ body: query(text) }, slow);
        return [status, headers['retry-after']];
      };
      expect(await told('mutation { rename(name: "x") { id } }')).toEqual([504, undefined]);
      expect(await told('{ me { id } }')).toEqual([504, '1']);
    } finally {
      await slow.close();
    }
  });

  it('that a client takes to send is not taken from what is done for it (control: longer is 504 even so)', async () => {
    const outcomes: string[] = [];
    const figures: number[] = [];
    const observe = {
      request: (_method: string, status: number, ms: number) => void (status === 200 && figures.push(ms)),
      answered(outcome: string, ms?: number) {
        outcomes.push(outcome);
        if (ms !== undefined) figures.push(ms);
      },
    };
    const short = await startTinyHttp(schema, root, { timeoutMs: 1_000, observe });
    const late = await startTinyHttp(schema, root, { timeoutMs: 1, observe, execute: () => new Promise(() => {}) });
    const slowly = (to: TinyHttp): Promise<number | undefined> =>
      new Promise((resolve, reject) => {
        const outgoing = httpRequest(to.url, { method: 'POST', headers: JSON_TYPE, agent: false }, (incoming) => {
          incoming.resume();
          resolve(incoming.statusCode);
        });
        outgoing.on('error', reject);
        outgoing.write('{"query":');
        setTimeout(() => outgoing.end('"{me{id}}"}'), 1_500);
      });
    try {
      expect(await Promise.all([slowly(short), slowly(late)])).toEqual([200, 504]);
      expect(outcomes.sort()).toEqual(['GATEWAY_TIMEOUT', 'whole']);
      // Nor is it in the figure of how long an answer takes (control: it is in that of the whole request).
      const [answering, all] = figures as [number, number];
      expect([figures.length, all - answering > 1_000]).toEqual([2, true]);
    } finally {
      await Promise.all([short.close(), late.close()]);
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

  it('a client that goes away before its request is whole, or while its token is looked at, is a figure and no line of the log', async () => {
    const levels: string[] = [];
    const noted = (level: string) => () => void levels.push(level);
    const logger = { debug: noted('debug'), info: noted('info'), warn: noted('warn'), error: noted('error') };
    const told: { resolve?: (status: number) => void } = {};
    const observe = { request: (_method: string, status: number) => told.resolve!(status), answered() {} };
    const looking: { resolve?: () => void } = {};
    const to = await startTinyHttp(schema, root, {
      logger,
      observe,
      identity: {
        // Who is looked at is gone before it is known.
        bearer: ({ headers, socket }) =>
          headers.authorization === undefined
            ? null
            : new Promise<never>((_, reject) => {
                socket.once('close', () => setImmediate(reject, new Failure('UNAUTHENTICATED')));
                looking.resolve!();
              }),
        assertion: () => undefined,
      },
    });
    const leave = async (headers: object): Promise<number> => {
      const status = new Promise<number>((resolve) => (told.resolve = resolve));
      const looked = new Promise<void>((resolve) => (looking.resolve = resolve));
      const outgoing = httpRequest(to.url, {
        method: 'POST',
        headers: { ...JSON_TYPE, ...headers, 'content-length': 100 },
        agent: false,
      });
      outgoing.on('error', () => {});
      const arrived = new Promise((resolve) => to.server.once('request', resolve));
      outgoing.flushHeaders();
      await ('authorization' in headers ? looked : arrived);
      outgoing.destroy();
      return status;
    };
    try {
      expect([await leave({}), await leave({ authorization: 'Bearer x' })]).toEqual([499, 499]);
      expect(levels).toEqual(['debug', 'debug']);
    } finally {
      await to.close();
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

describe('an Idempotency-Key', () => {
  const headers = { ...JSON_TYPE, 'idempotency-key': 'k' };
  const go = (variables: string): Row => ({
    headers,
    body: `{"query":"mutation($input: In!) { go(input: $input) }","variables":${variables}}`,
  });
  const about = (defaults: string) =>
    buildSchema(
      `scalar JSON  type Query { me: ID }  type Mutation { go(input: In!): ID }  input In { a: Int, b: JSON${defaults} }`,
    );

  it('comes with what the client sent: not with the schema’s defaults of today, nor in its order', async () => {
    const told: (string | undefined)[] = [];
    for (const [defaults, variables] of [
      ['', '{"input":{"a":1,"b":{"c":1.50,"d":[2]}}}'],
      [', more: Int = 1', '{"input":{"a":1,"b":{"c":1.50,"d":[2]}}}'],
      ['', '{"input":{"b":{"d":[2],"c":1.50},"a":1}}'],
      ['', '{"input":{"a":1,"b":{"c":1.51,"d":[2]}}}'],
      ['', '{"_attempt":2,"input":{"a":1,"b":{"c":1.50,"d":[2]}}}'],
    ] as const) {
      const one = await startTinyHttp(about(defaults), { go: () => 'gone' });
      await send(go(variables), one);
      told.push(one.executed[0]?.context.headers.get('tributary-idempotency-key'));
      await one.close();
    }
    expect(told[0]).toMatch(/^[\w-]{43}\.[\w-]{43}$/);
    // Nor with what the operation does not declare: some clients count their tries there.
    expect([told[1], told[2], told[4]]).toEqual([told[0], told[0], told[0]]);
    expect(told[3]).not.toBe(told[0]);
  });

  it('that is refused refuses the request, unless something of it was done or may have been', async () => {
    const error = (code: string, ...path: string[]) => ({ message: code, path, extensions: { code } });
    const used = (...path: string[]) => error('IDEMPOTENCY_KEY_REUSED', ...path);
    const busy = (...path: string[]) => error('IDEMPOTENCY_KEY_IN_USE', ...path);
    const late = error('SUBGRAPH_TIMEOUT', 'b');
    const one = 'mutation { a: rename(name: "a") { id } ... on Mutation { t: __typename } }';
    const two =
      'mutation { a: rename(name: "a") { id } b: rename(name: "b") { ...P } } fragment P on Person { a: __typename }';
    for (const [asked, data, errors, status] of [
      [one, { a: null }, [used('a')], 422],
      [one, { a: null }, [busy('a')], 409],
      [one, null, [busy('a')], 409],
      [one, { t: 'Mutation', a: null }, [used('a')], 422],
      [two, { a: null, b: null }, [used('a'), used('b')], 422],
      [two, { a: null, b: { a: 'Person' } }, [used('a')], 200],
      [two, { a: null, b: 'Mutation' }, [used('a')], 200],
      [two, { a: null, b: null }, [used('a'), late], 200],
      [two, { a: null, b: null }, [late, busy('a')], 200],
      // Done, and answered by nothing; done before what was refused made an end of all.
      [two, { a: null, b: null }, [used('a')], 200],
      [two, null, [busy('b')], 200],
    ] as const) {
      const server = await startTinyHttp(schema, root, {
        execute: () => Promise.resolve({ body: JSON.stringify({ errors, data }), hasErrors: true }),
      });
      const seen = await send({ headers, body: query(asked) }, server);
      await server.close();
      expect({ data, errors, status: seen.status }).toEqual({ data, errors, status });
    }
  });
});
