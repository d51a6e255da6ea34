import { createHmac } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ApolloServer } from '@apollo/server';
import { request } from 'undici';
import { Query, ResolveField, ResolveReference, Resolver } from '@nestjs/graphql';
import { badInput, Failure, TIMEOUT_HEADER } from '#libs/failure';
import {
  ASSERTION_HEADER,
  AssertionSigner,
  AssertionVerifier,
  globalId,
  newId,
  parseGlobalId,
  type Call,
  type Refusal,
} from '#libs/identity';
import { keyed, perRequest, type Loader } from '#libs/loader';
import { Metrics, readyGauge, type Logger } from '#libs/telemetry';
import { haveAll } from './health.js';
import { listen, requireViewer, serve, subgraphModule, type RequestContext } from './index.js';
import { readYourWrites } from './read-your-writes.js';

const SCHEMA = `
  extend schema @link(url: "https://specs.apollo.dev/federation/v2.9", import: ["@key"])
  scalar DateTime
  type Query { whoAsks: String secret: String trouble: String full(sayWhen: Boolean!): String troubles: [Trouble] born: DateTime left: [Int] }
  type Trouble { same: String own: String }
  type User @key(fields: "id") { id: ID! shout: String }
  type Post @key(fields: "id") { id: ID! }
`;
const secret = 's'.repeat(32);
const viewer = newId();
const logged: { fields: object; message: string }[] = [];
const warned: typeof logged = [];
const logger: Logger = {
  debug() {},
  info() {},
  warn: (fields, message) => void warned.push({ fields, message }),
  error: (fields, message) => void logged.push({ fields, message }),
};
const signer = new AssertionSigner({ secrets: () => secret });
const strangers = new AssertionSigner({ secrets: () => 'x'.repeat(32) });
const yesterdays = new AssertionSigner({ secrets: () => secret, clock: () => Date.now() - 86_400_000 });
let resolved = 0;
/** Of the first of them, why each call was refused. */
const refusals: Refusal[] = [];

@Resolver('User')
class Users {
  @Query()
  whoAsks(_: unknown, __: unknown, context: RequestContext): string | null {
    resolved += 1;
    return context.viewer;
  }
  @Query()
  secret(_: unknown, __: unknown, context: RequestContext): string {
    return requireViewer(context);
  }
  @Query()
  trouble(): string {
    throw new Error('select * from passwords at 10.0.0.7');
  }
  @Query()
  full(_: unknown, { sayWhen }: { sayWhen: boolean }): string {
    throw new Failure('OVERLOADED', 'Too many stand in line.', sayWhen ? { retryAfterS: 1 } : {});
  }
  @Query()
  troubles(): object[] {
    return Array.from({ length: 100 }, (_, nth) => ({ nth }));
  }
  @Query()
  born(): Date {
    return new Date(0);
  }
  /** How long the gateway waits for this answer, now and a while later. */
  @Query()
  left(_: unknown, __: unknown, { deadline }: RequestContext): (number | undefined)[] | null {
    if (deadline === undefined) return null;
    const { leftMs } = deadline;
    now += 40;
    return [leftMs, deadline.leftMs];
  }
  @ResolveReference()
  async reference({ id }: { id: string }): Promise<object | null> {
    const uuid = parseGlobalId('user', id);
    if (uuid === gone) return null;
    if (uuid === hidden) throw new Failure('FORBIDDEN');
    return { id };
  }
  @ResolveField()
  shout({ id }: { id: string }): string {
    if (id === '') throw badInput('never');
    return id.toUpperCase();
  }
}
@Resolver('Trouble')
class Troubles {
  /** All hundred are asked of the database in one statement. */
  readonly #names = perRequest<Loader<number, string | null>, RequestContext>(() =>
    keyed(() => Promise.reject(new Error('connect ECONNREFUSED'))),
  );

  @ResolveField()
  same({ nth }: { nth: number }, _: unknown, context: RequestContext): Promise<string | null> {
    return this.#names(context).load(nth);
  }
  @ResolveField()
  own({ nth }: { nth: number }): string {
    throw new Error(`trouble ${nth}`);
  }
}
@Resolver('Post')
class Posts {
  @ResolveReference()
  reference({ id }: { id: string }): object {
    return { id: parseGlobalId('post', id) };
  }
}
/** On the services' clock, which stands still. */
let now = 0;
const gone = newId();
const hidden = newId();

/** As it is at the moment. */
let database: () => Promise<unknown> = async () => {};
const needs = { database: () => database() };
const figure = (metrics: Metrics): Promise<string> => {
  metrics.gauges([readyGauge('one', () => haveAll(needs))]);
  return metrics.text();
};

let one: Running;
let two: Running;
/** Takes what gateways of before say. */
let lax: Running;
/** As if it had come to the first. */
let taken: (assertion: string) => string;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kit [odd] '));
  const schemaPath = join(folder, 'schema.graphql');
  await writeFile(schemaPath, SCHEMA);
  const start = async (name: string, timed = false): Promise<Running> => {
    const refused = (why: Refusal): unknown => name === 'one' && refusals.push(why);
    const assertions = new AssertionVerifier({ subgraph: name, secret, timed, refused });
    if (name === 'one')
      taken = (assertion) => {
        assertions.take(assertion);
        return assertion;
      };
    const module = subgraphModule({
      name,
      schemaPath,
      logger,
      clock: () => now,
      providers: [Users, Posts, Troubles],
      needs,
      assertions,
    });
    const { url, ...listening } = await listen({ host: '127.0.0.1', port: 0, waitingFor: [] });
    const { close } = await serve(module, { url, ...listening }, { logger });
    return { url, drain: listening.drain, close };
  };
  one = await start('one');
  two = await start('two');
  lax = await start('lax', true);
});

afterAll(async () => {
  await Promise.all([one.close(), two.close(), lax.close()]);
  await rm(folder, { recursive: true });
});

interface Running {
  readonly url: string;
  drain(): void;
  close(): Promise<void>;
}

describe('a crowd of readers to whom the same events are brought', () => {
  const write = { source: 'users', aggregate: `user:${newId()}`, version: 1, at: 1 };
  const event = {
    id: newId(),
    type: 'user-registered',
    version: 1,
    source: write.source,
    aggregate: write.aggregate,
    aggregateVersion: write.version,
    at: new Date(0).toISOString(),
    actor: null,
    payload: { userId: newId(), handle: 'bob' },
  };

  /** How often they are heard, where the inbox takes its time to say what it has; `tells`: it says it. */
  async function hearings(tells: boolean): Promise<number> {
    const inbox = new Map<string, number>();
    let heard = 0;
    const server = new ApolloServer<RequestContext>({
      typeDefs: 'type Query { a: Int }',
      plugins: [
        readYourWrites({
          caughtUp: {
            wait: async (awaited, waitMs) => {
              await sleep(Math.min(waitMs, 10));
              return {
                behind: awaited.filter(({ aggregate }) => waitMs < 10 || !inbox.has(aggregate)),
                justHeard: true,
              };
            },
            lastHeard: async () => {
              await sleep(10);
              return tells ? inbox : new Map<string, number>();
            },
            wrote: () => {},
          },
          hearNow: async (events) => {
            heard += 1;
            await sleep(10);
            for (const { aggregate, aggregateVersion } of events) inbox.set(aggregate, aggregateVersion);
          },
          recorded: async () => [],
          waitMs: 5_000,
          late: 'refuse',
          service: 'posts',
          logger,
        }),
      ],
    });
    const read = () =>
      server.executeOperation(
        { query: '{ a }', extensions: { tributary: { events: [event] } } },
        { contextValue: { viewer, requestId: 'r', upTo: [write], fresh: false, wrote: [], found: [] } },
      );
    const answers = await Promise.all(Array.from({ length: 10 }, read));
    expect(answers.map(({ body }) => body.kind === 'single' && body.singleResult.data)).toEqual(
      answers.map(() => ({ a: null })),
    );
    await server.stop();
    return heard;
  }

  it('is answered by what the first of them has brought; control: without a word of the inbox each brings it', async () => {
    expect([await hearings(true), await hearings(false)]).toEqual([1, 10]);
  });
});

describe('a subgraph', () => {
  it('answers its gateway, and knows who asks', async () => {
    expect(await ask('{ whoAsks born }')).toEqual({
      status: 200,
      body: { data: { whoAsks: viewer, born: '1970-01-01T00:00:00.000Z' } },
    });
    expect(await ask('{ whoAsks }', { viewer: null })).toEqual({
      status: 200,
      body: { data: { whoAsks: null } },
    });
  });

  it.each([
    ['50', [50, 10]],
    ['3000', [3_000, 2_960]],
    ['0', [0, 0]],
    ['999999', [999_999, 999_959]],
    // As gateways of before said it.
    ['2314.678955078125', [2_314, 2_274]],
    ['0.25', [0, 0]],
    [undefined, null],
    ...['1000000', '-1', '1e3', '0x10', '.5', '5.', '5.5.5', '50, 50', ' ', 'NaN'].map(
      (wrong) => [wrong, null] as const,
    ),
  ])('knows how long its gateway waits, and heeds nothing that it cannot have said: %s', async (timeout, left) => {
    const { body } = await ask('{ left }', { timeout });
    expect(body).toEqual({ data: { left } });
    expect((await ask('{ left }', { timeout, assertion: () => undefined })).status).toBe(401);
  });

  it('says once a minute that a gateway tells its time in a way that is not read; control: of what is read it says nothing', async () => {
    now += 60_000;
    warned.length = 0;
    for (const timeout of ['3000', '2.5', undefined]) await ask('{ left }', { timeout });
    expect(warned).toEqual([]);
    for (const timeout of ['3s', `${'9'.repeat(100)}`]) await ask('{ left }', { timeout });
    expect(warned.map(({ fields }) => fields)).toEqual([{ [TIMEOUT_HEADER]: '3s' }]);
    now += 60_000;
    await ask('{ left }', { timeout: '9'.repeat(100) });
    expect(warned.map(({ fields }) => fields)[1]).toEqual({ [TIMEOUT_HEADER]: `${'9'.repeat(60)}…` });
  });

  it('lives beside another of the same type names in one process', async () => {
    const answer = await ask('{ whoAsks }', { url: two.url, name: 'two', viewer: null });
    expect(answer.body).toEqual({ data: { whoAsks: null } });
  });

  it.each<[string, Refusal, (call: Call) => string | undefined]>([
    ['no assertion', 'unsigned', () => undefined],
    ['an empty one', 'unsigned', () => ''],
    ["another subgraph's", 'audience', (call) => signer.sign('two', globalId('user', viewer), call)],
    ['a stranger’s', 'signature', (call) => strangers.sign('one', globalId('user', viewer), call)],
    ['yesterday’s', 'expired', (call) => yesterdays.sign('one', null, call)],
    ['that of another body', 'altered', (call) => signer.sign('one', null, { ...call, body: `${String(call.body)} ` })],
    ['that of a GET', 'altered', (call) => signer.sign('one', null, { ...call, method: 'GET' })],
    ['one that was taken', 'replayed', (call) => taken(signer.sign('one', null, call))],
  ])('answers 401 to whoever shows %s, resolves nothing, and counts it as %s', async (_, why, assertion) => {
    const before = resolved;
    refusals.length = 0;
    const paths = ['/graphql', '/graphql/', '/graphql?query={whoAsks}', '/nothing', '/%67raphql'];
    for (const path of paths) {
      const url = one.url.replace('/graphql', path);
      const { status, body } = await ask('{ whoAsks }', { url, assertion });
      expect({ path, status, code: body.errors?.[0]?.extensions.code }).toEqual({
        path,
        status: 401,
        code: 'UNAUTHENTICATED',
      });
      expect(body.data).toBeUndefined();
    }
    expect(resolved).toBe(before);
    expect(refusals).toEqual(paths.map(() => why));
  });

  it('answers whoever is no user here, by a call of the gateway, as a client who is to log in, and counts it as subject', async () => {
    const before = resolved;
    refusals.length = 0;
    const { status, body } = await ask('{ whoAsks }', { assertion: (call) => signer.sign('one', 'auth0|123', call) });
    expect([status, body.errors?.[0]?.extensions.code, body.errors?.[0]?.message]).toEqual([
      422,
      'UNAUTHENTICATED',
      'The token is of nobody who is known here.',
    ]);
    expect(resolved).toBe(before);
    expect(refusals).toEqual(['subject']);
  });

  it('counts none of what it answers, whatever becomes of it, nor who asks for its health', async () => {
    refusals.length = 0;
    for (const query of ['{ whoAsks }', '{ secret }', '{ trouble }', '{ nonsense }'])
      await ask(query, { viewer: null });
    await (await request(one.url.replace('/graphql', '/health/ready'))).body.dump();
    expect(refusals).toEqual([]);
  });

  it.each([
    ['a text', 'text/plain'],
    ['a form', 'application/x-www-form-urlencoded'],
    ['of no type', ''],
  ])('answers 401 to a body that it did not hold against what was signed: %s', async (_, type) => {
    const before = resolved;
    refusals.length = 0;
    const body = JSON.stringify({ query: '{ whoAsks }' });
    const { hostname, port } = new URL(one.url);
    const { statusCode, body: said } = await request(`http://${hostname}:${port}/graphql?query={whoAsks}`, {
      method: 'POST',
      headers: {
        [ASSERTION_HEADER]: signer.sign('one', null, { path: '/graphql?query={whoAsks}', body }),
        ...(type === '' ? {} : { 'content-type': type }),
      },
      body: type === '' ? '' : body,
    });
    expect([statusCode, await said.text(), resolved, refusals]).toEqual([
      401,
      expect.stringContaining('UNAUTHENTICATED'),
      before,
      ['altered'],
    ]);
  });

  it('takes a question in its address from its gateway, and no other one for it', async () => {
    const get = async (path: string, signed = path): Promise<number> => {
      const headers = { [ASSERTION_HEADER]: signer.sign('one', null, { method: 'GET', path: signed }) };
      return (await request(one.url.replace('/graphql', path), { headers })).statusCode;
    };
    const [mine, other] = ['/graphql?query={whoAsks}', '/graphql?query={born}'];
    const before = resolved;
    expect([await get(mine), resolved - before, await get(mine, other), resolved - before]).toEqual([200, 1, 401, 1]);
  });

  it('takes a call once; control: what a gateway of before says it takes as often as it comes, if it is told to', async () => {
    const body = JSON.stringify({ query: '{ whoAsks }' });
    const send = async (url: string, assertion: string, text = body) => {
      const headers = { 'content-type': 'application/json', [ASSERTION_HEADER]: assertion };
      const response = await request(url, { method: 'POST', headers, body: text });
      await response.body.dump();
      return response.statusCode;
    };
    const before = resolved;
    const assertion = signer.sign('one', null, { body });
    const came = await Promise.all(Array.from({ length: 5 }, () => send(one.url, assertion)));
    expect([came.toSorted((a, b) => a - b), resolved - before]).toEqual([[200, 401, 401, 401, 401], 1]);

    const claims = signer.sign('lax', null, {}).split('.');
    const payload = JSON.parse(Buffer.from(claims[1]!, 'base64url').toString()) as object;
    const timed = signedAnew(claims[0]!, { ...payload, jti: undefined, call: undefined });
    expect([await send(lax.url, timed), await send(lax.url, timed), await send(lax.url, timed, `${body} `)]).toEqual([
      200, 200, 200,
    ]);
    expect(await send(one.url, signedAnew(claims[0]!, { ...payload, aud: 'one', jti: undefined }))).toBe(401);
    // Of a gateway that is new everything holds there, too.
    const fresh = signer.sign('lax', null, { body });
    expect([await send(lax.url, fresh), await send(lax.url, fresh)]).toEqual([200, 401]);
  });

  it('answers for every representation: known, unknown, forbidden, malformed, twice', async () => {
    const known = globalId('user', viewer);
    const ids = [known, globalId('user', gone), globalId('user', hidden), 'user_x', known];
    const { body } = await entities(ids);
    expect(body.data).toEqual({
      _entities: [{ shout: known.toUpperCase() }, null, null, null, { shout: known.toUpperCase() }],
    });
    expect(body.errors?.map((error) => [error.path?.join('.'), error.extensions.code])).toEqual([
      ['_entities.2', 'FORBIDDEN'],
      ['_entities.3', 'BAD_USER_INPUT'],
    ]);
  });

  it('fails one entity for one bad key, also where the reference is resolved at once', async () => {
    const post = newId();
    const query = 'query($r: [_Any!]!) { _entities(representations: $r) { ... on Post { id } } }';
    const r = [globalId('post', post), 'bad'].map((id) => ({ __typename: 'Post', id }));
    const { body } = await ask({ query, variables: { r } });
    expect(body.data).toEqual({ _entities: [{ id: post }, null] });
    expect(body.errors?.map((error) => error.path)).toEqual([['_entities', 1]]);
  });

  it.each([
    ['a type that it does not have', { __typename: 'Nothing', id: 'x' }],
    ['a type that is no entity', { __typename: 'Query', id: 'x' }],
    ['no type', { id: 'x' }],
    ['no object', 'x'],
    ['an inherited name', { __typename: 'constructor' }],
  ])('refuses a list with %s before it looks at the others', async (_, wrong) => {
    const query = 'query($r: [_Any!]!) { _entities(representations: $r) { __typename } }';
    const { body } = await ask({ query, variables: { r: [{ __typename: 'User', id: 'bad' }, wrong] } });
    expect(body.errors?.map((error) => [error.path, error.extensions.code])).toEqual([
      [['_entities'], 'BAD_USER_INPUT'],
    ]);
  });

  it('takes a thousand representations and not one more', async () => {
    const ids = Array.from({ length: 1_001 }, () => globalId('user', viewer));
    expect((await entities(ids.slice(1))).body.errors).toBeUndefined();
    expect((await entities(ids)).body.errors?.[0]?.extensions.code).toBe('BAD_USER_INPUT');
  });

  it('tells a code and keeps everything else to its log, under the id of the request', async () => {
    logged.length = 0;
    const { body } = await ask('{ trouble }', { requestId: 'req-1' });
    expect(body).toEqual({
      data: { trouble: null },
      errors: [{ message: 'Internal server error', path: ['trouble'], extensions: { code: 'INTERNAL_SERVER_ERROR' } }],
    });
    expect(logged).toEqual([
      { message: 'A field failed', fields: expect.objectContaining({ requestId: 'req-1', path: 'trouble', count: 1 }) },
    ]);
    expect(logged[0]?.fields).toMatchObject({
      err: expect.objectContaining({ message: 'select * from passwords at 10.0.0.7' }),
    });
  });

  it('who is turned away and told when to come again is one line, and no error; control: without that it is one', async () => {
    for (const list of [logged, warned]) list.length = 0;
    const { body } = await ask('{ a: full(sayWhen: true) b: full(sayWhen: true) }', { requestId: 'req-3' });
    expect(body.errors?.map(({ extensions }) => extensions)).toEqual([
      { code: 'OVERLOADED', retryAfter: 1 },
      { code: 'OVERLOADED', retryAfter: 1 },
    ]);
    const line = { requestId: 'req-3', path: 'full', count: 2, code: 'OVERLOADED', reason: 'Too many stand in line.' };
    expect([logged, warned]).toEqual([
      [],
      [{ message: 'A field was refused for now', fields: expect.objectContaining(line) }],
    ]);
    await ask('{ full(sayWhen: false) }');
    expect([logged.map(({ message }) => message), warned.length]).toEqual([['A field failed'], 1]);
  });

  it('logs one line of a batch of a hundred that was rejected, with how many there were and where the first is', async () => {
    logged.length = 0;
    const alias = 'a'.repeat(1_000);
    const { body } = await ask(`query ${alias} { ${alias}: troubles { same } }`, { requestId: 'req-2' });
    expect(body.errors).toHaveLength(100);
    expect(logged).toEqual([
      {
        message: 'A field failed',
        fields: expect.objectContaining({ requestId: 'req-2', code: 'INTERNAL_SERVER_ERROR', count: 100 }),
      },
    ]);
    const { path, operationName } = logged[0]!.fields as { path: string; operationName: string };
    expect([path, operationName.length]).toEqual(['troubles.0.same', 101]);
  });

  it('logs a line of each error that is another, up to ten, and how many more there were', async () => {
    logged.length = 0;
    expect((await ask('{ troubles { same own } }')).body.errors).toHaveLength(200);
    const counts = logged.map(({ fields }) => (fields as { count: number }).count);
    expect(counts).toEqual([100, ...Array<number>(9).fill(1), 91]);
    expect(logged.at(-1)!.message).toBe('More fields failed, each kind by another error');
  });

  it('asks for a log-in where a field needs one', async () => {
    const { body } = await ask('{ secret }', { viewer: null });
    expect(body).toEqual({
      data: { secret: null },
      errors: [{ message: 'Log in first.', path: ['secret'], extensions: { code: 'UNAUTHENTICATED' } }],
    });
  });

  it.each([
    ['no such field', { query: '{ nothing }' }, 400, 'GRAPHQL_VALIDATION_FAILED'],
    ['no GraphQL', { query: '{' }, 400, 'GRAPHQL_PARSE_FAILED'],
    ['no query', {}, 400, 'BAD_REQUEST'],
    ['a batch', [{ query: '{ whoAsks }' }], 400, 'BAD_REQUEST'],
    ['a megabyte', { query: 'x'.repeat(1_100_000) }, 400, 'BAD_REQUEST'],
    ['introspection', { query: '{ __schema { queryType { name } } }' }, 400, 'GRAPHQL_VALIDATION_FAILED'],
  ])('answers %s with a code', async (_, sent, status, code) => {
    const answer = await ask(sent);
    expect({ status: answer.status, code: answer.body.errors?.[0]?.extensions.code }).toEqual({ status, code });
  });

  it('is live, started and ready for everybody', async () => {
    for (const path of ['/health/live', '/health/startup', '/health/ready'])
      expect((await fetch(one.url.replace('/graphql', path))).status).toBe(200);
  });

  it.each<[string, () => Promise<unknown>]>([
    ['it cannot be reached', async () => Promise.reject(new Failure('SUBGRAPH_UNAVAILABLE'))],
    ['it has too much to do', async () => Promise.reject(new Failure('OVERLOADED'))],
    ['it answers with an error', async () => Promise.reject(new Error('SELECT 1 at 10.0.0.7'))],
    ['no answer within 1000 ms', () => new Promise(() => {})],
  ])('says what it waits for, and goes on living: database: %s', async (why, now) => {
    const health = async (path: string) => {
      const response = await fetch(one.url.replace('/graphql', `/health/${path}`));
      return { status: response.status, body: await response.json() };
    };
    database = now;
    expect(await health('ready')).toEqual({
      status: 503,
      body: { status: 'waiting', waitingFor: [`database: ${why}`] },
    });
    expect(await health('live')).toEqual({ status: 200, body: { status: 'live' } });
    // As a figure it is told within a second, or it is left out.
    expect(await Metrics.open().then(figure)).toMatch(/^tributary_ready\{service="one"\} 0$/m);
    database = async () => {};
    expect(await health('ready')).toEqual({ status: 200, body: { status: 'ready', waitingFor: [] } });
    expect(await Metrics.open().then(figure)).toMatch(/^tributary_ready\{service="one"\} 1$/m);
  });

  it('answers on while it says that it is ending', async () => {
    two.drain();
    const health = async (path: string) => (await fetch(two.url.replace('/graphql', `/health/${path}`))).status;
    expect(await Promise.all(['live', 'startup', 'ready'].map(health))).toEqual([200, 200, 503]);
    const answer = await ask('{ whoAsks }', { url: two.url, name: 'two', viewer: null });
    expect(answer.body).toEqual({ data: { whoAsks: null } });
  });
});

interface Body {
  data?: unknown;
  errors?: { message: string; path?: (string | number)[]; extensions: { code: string } }[];
}

function entities(ids: readonly string[]) {
  const query = 'query($r: [_Any!]!) { _entities(representations: $r) { ... on User { shout } } }';
  return ask({ query, variables: { r: ids.map((id) => ({ __typename: 'User', id })) } });
}

interface Asking {
  readonly url?: string;
  /** Which of them it is. */
  readonly name?: string;
  readonly viewer?: null;
  /** Instead of what the gateway would sign. */
  readonly assertion?: (call: Call) => string | undefined;
  readonly requestId?: string;
  readonly timeout?: string | undefined;
}

async function ask(sent: string | object, more: Asking = {}): Promise<{ status: number; body: Body }> {
  const text = JSON.stringify(typeof sent === 'string' ? { query: sent } : sent);
  const url = new URL(more.url ?? one.url);
  const call = { path: url.pathname + url.search, body: text };
  const subject = more.viewer === null ? null : globalId('user', viewer);
  const assertion = more.assertion ? more.assertion(call) : signer.sign(more.name ?? 'one', subject, call);
  const response = await fetch(url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(assertion === undefined ? {} : { [ASSERTION_HEADER]: assertion }),
      ...(more.timeout === undefined ? {} : { [TIMEOUT_HEADER]: more.timeout }),
      ...(more.requestId ? { 'x-request-id': more.requestId } : {}),
    },
    body: text,
  });
  return { status: response.status, body: (await response.json()) as Body };
}

function signedAnew(head: string, claims: object): string {
  const text = `${head}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}`;
  return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
}
