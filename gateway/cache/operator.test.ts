import { afterAll, afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { ROOT } from '../../commands/root.js';
import { openRecordCache } from '#libs/cache';
import { federate } from '../../test/federation/harness.js';
import { HINTS } from '../../test/federation/hints.js';
import { EntityCache } from './entity-cache.js';
import { openOperator, type Drop, type Operator } from './operator.js';
import { CacheRules } from './rules.js';

const people: Record<string, { id: string; name: string }> = {};
const graph = federate({
  users: {
    sdl: `${HINTS}
      type Query { user(id: ID!): User @cacheControl(maxAge: 60) @cacheTag(format: "asked-{$args.id}")  seat(row: Int!): Seat @cacheControl(maxAge: 60) }
      type User @key(fields: "id") @cacheControl(maxAge: 60) @cacheTag(format: "user-{$key.id}") { id: ID! name: String! note: String @cacheControl(scope: PRIVATE) }
      type Seat @key(fields: "row") @cacheControl(maxAge: 60) { row: Int! free: Boolean! }`,
    resolvers: {
      Query: {
        user: (_: unknown, { id }: { id: string }) => people[id],
        seat: (_: unknown, { row }: { row: number }) => ({ row, free: true }),
      },
      User: { __resolveReference: ({ id }: { id: string }) => people[id], note: () => 'mine' },
      Seat: { __resolveReference: ({ row }: { row: number }) => ({ row, free: true }) },
    },
  },
});
afterAll(() => graph.close());

const SECRET = 's3cret-of-the-operator';
let entities: EntityCache;
let operator: Operator;
beforeEach(async () => {
  people['a'] = { id: 'a', name: 'Ann' };
  people['b'] = { id: 'b', name: 'Bob' };
  entities = new EntityCache({ records: openRecordCache({}), random: () => 0.5 });
  const rules = new CacheRules(graph.supergraph);
  operator = await openOperator({ cache: entities, rules: () => rules, host: '127.0.0.1', port: 0, secret: SECRET });
});
afterEach(() => operator.close());

/** How many calls a question takes now. */
async function calls(query: string, subject: string | null = null): Promise<number> {
  const asked = await graph.ask(query, {
    entities,
    subject,
    answerHeaders: { users: { 'surrogate-key': 'front page-1', 'cache-tag': 'shop,till' } },
  });
  expect(asked.errors).toBeUndefined();
  await entities.settled();
  return asked.calls.length;
}

async function say(path: string, body?: unknown, authorization: string | undefined = `Bearer ${SECRET}`) {
  const response = await fetch(`${operator.url}${path}`, {
    method: body === undefined ? 'GET' : 'POST',
    headers: authorization === '' ? {} : { authorization },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  return { status: response.status, text: await response.text() };
}

const ANN = '{ user(id: "a") { name } }';
const BOB = '{ user(id: "b") { name } }';

describe('the secret', () => {
  it.each(['', 'Bearer ', 'Bearer wrong', `Basic ${SECRET}`, SECRET, `Bearer ${SECRET}x`])(
    'whoever says %j is told nothing and drops nothing',
    async (authorization) => {
      await calls(ANN);
      for (const [path, body] of [
        ['/drop', { entities: ['User:a'] }],
        ['/inspect', { entity: 'User:a' }],
        ['/counts', undefined],
        ['/metrics', undefined],
        ['/nothing', undefined],
      ] as const) {
        const { status, text } = await say(path, body, authorization);
        expect(status).toBe(401);
        expect(text).not.toMatch(/Ann|User|s3cret/);
      }
      expect(await calls(ANN)).toBe(0);
    },
  );

  it('control: whoever knows it drops', async () => {
    await calls(ANN);
    expect(await say('/drop', { entities: ['User:a'] })).toEqual({ status: 200, text: '{"dropped":true}' });
    expect(await calls(ANN)).toBe(1);
  });
});

describe('a drop ends what it names and nothing else', () => {
  const cases: [drop: Drop, ann: number, bob: number][] = [
    [{ entities: ['User:a'] }, 1, 0],
    [{ entities: ['User:c'] }, 0, 0],
    [{ types: ['User'] }, 1, 1],
    [{ types: ['users.User'] }, 1, 1],
    [{ types: ['Seat', 'elsewhere.User'] }, 0, 0],
    [{ tags: ['user-a'] }, 1, 0],
    [{ tags: ['asked-b'] }, 0, 1],
    [{ tags: ['page-1'] }, 1, 1],
    [{ tags: ['till'] }, 1, 1],
    [{ tags: ['page', 'user-', 'front page-1'] }, 0, 0],
    [{ subgraphs: ['users'] }, 1, 1],
    [{ subgraphs: ['posts'] }, 0, 0],
    [{ viewers: ['a'] }, 0, 0],
    [{}, 0, 0],
  ];
  it.each(cases)('%j', async (drop, ann, bob) => {
    await calls(ANN);
    await calls(BOB);
    expect((await say('/drop', drop)).status).toBe(200);
    expect([await calls(ANN), await calls(BOB)]).toEqual([ann, bob]);
  });

  it('what is kept for one viewer alone, by that viewer', async () => {
    const query = '{ user(id: "a") { name note } }';
    for (const viewer of ['a', 'b']) await calls(query, viewer);
    await say('/drop', { viewers: ['a'] });
    expect([await calls(query, 'a'), await calls(query, 'b')]).toEqual([1, 0]);
  });

  it('an entity whose key is a number', async () => {
    const query = '{ seat(row: 7) { free } }';
    await calls(query);
    await say('/drop', { entities: ['Seat:7'] });
    expect(await calls(query)).toBe(1);
  });
});

it.each([
  ['/drop', 'no JSON', /JSON/],
  ['/drop', '7', /object/],
  ['/drop', { entities: 'User:a' }, /lists of texts/],
  ['/drop', { entities: ['a'] }, /for example User:user_1; came a/],
  ['/inspect', { entity: 'Nobody:1' }, /a type with a @key/],
  ['/drop', `{"tags":["${'x'.repeat(1024 * 1024)}"]}`, /at most 1048576 bytes/],
])('%s of what it does not understand is a 400 that says what was expected', async (path, body, expected) => {
  const { status, text } = await say(path, body);
  expect([status, JSON.parse(text)]).toEqual([400, { error: expect.stringMatching(expected) }]);
});

it('counts hits, misses and stale answers of each field for Prometheus', async () => {
  await calls(ANN);
  await calls(ANN);
  const { status, text } = await say('/metrics');
  expect(status).toBe(200);
  const lines = text.split('\n').filter((line) => line.includes('field="User.name"'));
  expect(lines.map((line) => line.replace(/^tributary_entity_cache_fields_total/, ''))).toEqual([
    '{subgraph="users",field="User.name",outcome="hit"} 1',
    '{subgraph="users",field="User.name",outcome="miss"} 0',
    '{subgraph="users",field="User.name",outcome="stale"} 0',
  ]);
});

it('where several processes have one port nobody is told the counts of whichever took the connection; drops are everybody’s', async () => {
  const several = await openOperator({
    cache: entities,
    rules: () => new CacheRules(graph.supergraph),
    host: '127.0.0.1',
    port: 0,
    secret: SECRET,
    several: true,
  });
  const answerOf = async (path: string, body?: string) => {
    const response = await fetch(`${several.url}${path}`, {
      method: body === undefined ? 'GET' : 'POST',
      headers: { authorization: `Bearer ${SECRET}` },
      ...(body === undefined ? {} : { body }),
    });
    return [response.status, await response.text()];
  };
  for (const path of ['/counts', '/metrics'])
    expect(await answerOf(path)).toEqual([409, expect.stringContaining('WORKERS=1: each process counts for itself')]);
  await calls(ANN);
  expect(await answerOf('/inspect', '{"entity":"User:a"}')).toEqual([200, expect.stringContaining('Ann')]);
  expect(await answerOf('/drop', '{"entities":["User:a"]}')).toEqual([200, '{"dropped":true}']);
  expect(await calls(ANN)).toBe(1);
  await several.close();
});

describe('npm run cache', () => {
  const run = (args: readonly string[], secret = SECRET) =>
    new Promise<{ code: number; out: string; err: string }>((resolve) => {
      const env = {
        PATH: process.env['PATH'],
        ENTITY_CACHE_PORT: new URL(operator.url).port,
        ENTITY_CACHE_SECRET: secret,
      };
      execFile(process.execPath, [join(ROOT, 'dist/commands/cache.js'), ...args], { env }, (error, out, err) =>
        resolve({ code: error ? Number(error.code) : 0, out, err }),
      );
    });

  it('inspect User:a shows each field with its age, version and tags', async () => {
    await calls(ANN);
    const { code, out } = await run(['inspect', 'User:a']);
    expect(code).toBe(0);
    expect(out).toMatch(
      /^users {2}User \{"id":"a"\}\n {2}name = "Ann"\n {4}\d+\.\d s old, fresh for \d+\.\d s, version \d+, tags (front|page-1|shop|till|user-a)/,
    );
    for (const tag of ['front', 'page-1', 'shop', 'till', 'user-a']) expect(out).toContain(tag);
    expect((await run(['inspect', 'User:c'])).out).toContain('nothing is kept');
  });

  it('drop ends a record, counts tells how often', async () => {
    await calls(ANN);
    await calls(ANN);
    expect((await run(['counts'])).out).toMatch(/^users {2}User\.name {2}1 found, 0 missing, 0 stale$/m);
    expect((await run(['drop', '--tag', 'user-a'])).out).toBe('Dropped.\n');
    expect(await calls(ANN)).toBe(1);
  });

  it('tells what is wrong, and ends with it', async () => {
    expect(await run(['drop', 'User:a'], 'wrong')).toMatchObject({ code: 1, err: /ENTITY_CACHE_SECRET/ });
    expect(await run([])).toMatchObject({ code: 2, err: expect.stringContaining('npm run cache -- inspect') });
  });
});
