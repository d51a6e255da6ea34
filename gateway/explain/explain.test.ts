import { afterAll, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { Failure } from '#libs/failure';
import { silent } from '#libs/telemetry';
import { federate, operationOf } from '../../test/federation/harness.js';
import { readGatewayConfig } from '../config.js';
import { criticalPath, type Explanation } from './explanation.js';
import { EXPLAIN_HEADER, explainPermission } from './permission.js';
import { stagesOf } from './stages.js';
import { waterfall } from './waterfall.js';

const people = ['ada', 'bob', 'cleo'];
const graph = federate({
  posts: {
    sdl: `type Query { feed: [Post!]! } type Post { id: ID! author: User } type User @key(fields: "id") { id: ID! }`,
    resolvers: {
      Query: { feed: () => Array.from({ length: 12 }, (_, i) => ({ id: `p${i}`, author: { id: `u${i % 4}` } })) },
    },
  },
  users: {
    sdl: `type User @key(fields: "id") { id: ID! name: String city: City } type City @key(fields: "name") { name: ID! }`,
    resolvers: {
      User: {
        __resolveReference: ({ id }: { id: string }) => {
          const name = people[Number(id.slice(1))];
          return name === undefined ? null : { id, name, city: { name: 'Rome' } };
        },
      },
    },
  },
  places: {
    sdl: `type City @key(fields: "name") { name: ID! size: Int } type User @key(fields: "id") { id: ID! home: String }`,
    resolvers: {
      City: { __resolveReference: ({ name }: { name: string }) => ({ name, size: 3 }) },
      User: { __resolveReference: ({ id }: { id: string }) => ({ id, home: `of ${id}` }) },
    },
  },
});
afterAll(() => graph.close());

const QUERY = '{ feed { id author { name city { name size } } } }';

describe('extensions.explain', () => {
  it('counts, for each fetch, the places that waited, the entities that were sent for them and those that were found', async () => {
    const { explain } = await graph.ask(QUERY, { explain: true });
    const counts = explain!.fetches.map(({ subgraph, kind, at, waitsFor, asked, sent, found, duplicates }) => ({
      fetch: [subgraph, kind, at.join()].join(' '),
      waitsFor,
      counts: [asked, sent, found, duplicates],
    }));
    expect(counts).toEqual([
      { fetch: 'posts query ', waitsFor: [], counts: [1, 1, 1, 0] },
      { fetch: 'users entities feed.author', waitsFor: [0], counts: [12, 4, 3, 8] },
      // The three places that share an object are one, for what is put into it is there for all.
      {
        fetch: 'places entities feed.author.city',
        waitsFor: [0, 1],
        counts: [expect.any(Number), 1, 1, expect.any(Number)],
      },
    ]);
    expect(explain!.criticalPath).toEqual([0, 1, 2]);
  });

  it('has the bytes of every call, and times in the order in which things happen', async () => {
    const { explain, calls } = await graph.ask(QUERY, { explain: true });
    expect(explain!.requests).toHaveLength(calls.length);
    for (const { bytesOut, bytesIn, us } of explain!.requests) {
      expect(bytesOut).toBeGreaterThan(20);
      expect(bytesIn).toBeGreaterThan(10);
      expect(us.answered).toBeGreaterThanOrEqual(us.sent);
    }
    for (const { us } of explain!.fetches) {
      const times = [0, us.ready!, us.sent!, us.answered!, us.ended!, explain!.us.ran, explain!.us.total];
      expect(times).toEqual([...times].sort((a, b) => a - b));
      expect(times.every(Number.isInteger)).toBe(true);
    }
  });

  it('has the times that passed: a subgraph that is slow is where they went, and it decides', async () => {
    const before = ({ subgraph }: { subgraph: string }) =>
      subgraph === 'places' ? new Promise<void>((resolve) => setTimeout(resolve, 120)) : Promise.resolve();
    const { explain } = await graph.ask('{ feed { author { name home } } }', { explain: true, before });
    const { fetches, requests, criticalPath: path, us } = explain!;
    const took = Object.fromEntries(requests.map((one) => [one.subgraph, one.us.answered - one.us.sent]));
    expect(took['places']).toBeGreaterThanOrEqual(118_000);
    expect(took['users']).toBeLessThan(took['places']!);
    expect(path.map((id) => fetches[id]!.subgraph)).toEqual(['posts', 'places']);
    expect(us.total).toBeGreaterThanOrEqual(118_000);
  });

  it('says which fetches travelled together', async () => {
    const both = '{ a: feed { author { home } } b: feed { author { name home } } }';
    const { explain } = await graph.ask(both, { explain: true, planner: 'apollo' });
    const together = explain!.requests.filter(({ fetches }) => fetches.length > 1);
    expect(together.map(({ subgraph }) => subgraph)).toEqual(['places']);
  });

  it('says which calls took the answer of an equal call under way, and the second plan was known', async () => {
    const asked = await Promise.all([1, 2].map(() => graph.ask(QUERY, { explain: true, join: true })));
    const joined = asked.map(({ explain }) => explain!.requests.filter((request) => request.joined).length);
    expect(Math.min(...joined)).toBe(0);
    expect(Math.max(...joined)).toBeGreaterThan(0);
    expect((await graph.ask(QUERY, { explain: true, join: true })).explain!.planCached).toBe(true);
  });

  it('says what failed by its code, and what was never asked because of it', async () => {
    const { explain, errors } = await graph.ask(QUERY, {
      explain: true,
      instead: { users: () => new Failure('SUBGRAPH_TIMEOUT') },
    });
    expect(errors!.length).toBeGreaterThan(0);
    expect(explain!.requests.map(({ subgraph, failed }) => [subgraph, failed])).toEqual([
      ['posts', undefined],
      ['users', 'SUBGRAPH_TIMEOUT'],
    ]);
    expect(explain!.fetches[2]!.us.sent).toBeUndefined();
  });

  it('changes nothing of the answer, and is not there when nobody asked', async () => {
    const plain = await graph.ask(QUERY);
    const explained = await graph.ask(QUERY, { explain: true });
    expect(plain.explain).toBeUndefined();
    expect(explained.data).toEqual(plain.data);
    expect(explained.body.startsWith(plain.body.slice(0, -1))).toBe(true);
  });

  it('names no address and no header', async () => {
    const { explain } = await graph.ask(QUERY, { explain: true, headers: new Map([['x-secret', 'hunter2']]) });
    expect(JSON.stringify(explain)).not.toMatch(/https?:|hunter2|x-secret|\.test/);
  });
});

describe('the critical path', () => {
  const fetch = (id: number, waitsFor: number[], ended: number) => ({ id, waitsFor, us: { ended } });

  it.each<[string, ReturnType<typeof fetch>[], number[]]>([
    ['is empty where nothing was fetched', [], []],
    ['is the fetch that took longest of those that wait for nobody', [fetch(0, [], 5), fetch(1, [], 9)], [1]],
    ['follows whoever ended last', [fetch(0, [], 5), fetch(1, [], 9), fetch(2, [0, 1], 12)], [1, 2]],
    ['ends with the last of all', [fetch(0, [], 5), fetch(1, [0], 9), fetch(2, [0], 20), fetch(3, [1], 12)], [0, 2]],
  ])('%s', (_what, fetches, path) => expect(criticalPath(fetches)).toEqual(path));
});

describe('the stages of an operation', () => {
  it('are printed without any subgraph running', async () => {
    const operation = operationOf(graph.supergraph.schema, '{ feed { author { name } } }');
    const stages = await stagesOf(
      graph.supergraph,
      operation,
      {},
      { planner: 'apollo', merge: 'flow', logger: silent },
    );
    expect(stages.planner).toBe('apollo: PLANNER=apollo');
    expect(stages.operation).toBe('{\n  feed {\n    author {\n      name\n    }\n  }\n}');
    expect(stages.plan).toContain('entities users\n    at feed.*.author by { ... on User { __typename id } }');
    expect(stages.fetches).toContain(
      [
        '#1 entities users, after #0',
        '  for each of: feed.*.author',
        '  represented by: { ... on User { __typename id } }',
        '  goes there, as name',
      ].join('\n'),
    );
  });

  it('leave out what the variables leave out', async () => {
    const query = 'query ($no: Boolean!) { feed { id author @skip(if: $no) { name } } }';
    const operation = operationOf(graph.supergraph.schema, query);
    const options = { planner: 'auto', merge: 'flow', logger: silent } as const;
    expect((await stagesOf(graph.supergraph, operation, { no: true }, options)).fetches).not.toContain('entities');
    expect((await stagesOf(graph.supergraph, operation, { no: false }, options)).fetches).toContain('entities');
  });
});

describe('the waterfall', () => {
  const explanation: Explanation = {
    version: 1,
    engine: {},
    operation: '{ feed }',
    plan: '',
    planCached: true,
    us: { planned: 100, ran: 10_000, total: 10_400 },
    fetches: [
      {
        id: 0,
        subgraph: 'posts',
        kind: 'query',
        at: [],
        waitsFor: [],
        query: '{feed}',
        us: { ready: 0, sent: 0, answered: 4_000, ended: 5_000 },
        asked: 1,
        sent: 1,
        found: 1,
        duplicates: 0,
        requests: [0],
      },
      {
        id: 1,
        subgraph: 'users',
        kind: 'entities',
        at: ['feed.author'],
        waitsFor: [0],
        query: '',
        us: { ready: 5_000, sent: 6_000, answered: 9_000, ended: 10_000 },
        asked: 12,
        sent: 4,
        found: 3,
        duplicates: 8,
        requests: [1],
      },
      {
        id: 2,
        subgraph: 'users',
        kind: 'entities',
        at: ['feed.city'],
        waitsFor: [0],
        query: '',
        us: { ready: 5_000, ended: 5_000 },
        asked: 0,
        sent: 0,
        found: 0,
        duplicates: 0,
        requests: [],
      },
    ],
    requests: [
      {
        subgraph: 'posts',
        fetches: [0],
        us: { sent: 0, answered: 4_000 },
        bytesOut: 210,
        bytesIn: 1_234_567,
        joined: true,
      },
      {
        subgraph: 'users',
        fetches: [1, 7],
        us: { sent: 6_000, answered: 9_000 },
        bytesOut: 4_321,
        bytesIn: 0,
        joined: false,
        failed: 'SUBGRAPH_TIMEOUT',
      },
    ],
    criticalPath: [0, 1],
  };

  it('draws each fetch from ready to merged, marks those that decide, and says what travelled together, joined or failed', () => {
    expect(waterfall(explanation).split('\n')).toEqual([
      '10.4 ms: planned 0.1 (known), run 9.9, written 0.4; 3 fetches in 2 calls, of which 2 decide the time; 8 duplicates were not asked about',
      '',
      '  fetch                 asked   sent  found       out        in  0 ms ···························· 10.0',
      '* #0 posts query            1      1      1     210 B    1.2 MB  ████████████████▒▒▒▒ 5.0  (joined an equal call)',
      '* #1 users feed.author     12      4      3    4.3 kB       0 B                      ░░░░████████████▒▒▒▒ 5.0  (with #7, SUBGRAPH_TIMEOUT)',
      '  #2 users feed.city        0      0      0       0 B       0 B                      nothing to ask',
      '',
      expect.stringContaining('decides the time'),
    ]);
  });
});

describe('who is told', () => {
  const base = { SUPERGRAPH: 'supergraph.graphql' };
  const token = randomBytes(32).toString('hex');
  const may = (env: Record<string, string>, header?: string) =>
    explainPermission(readGatewayConfig({ ...base, ...env }).explain)?.(
      header === undefined ? {} : { [EXPLAIN_HEADER]: header },
    );

  it('is anybody who asks in development, and nobody in production', () => {
    expect([may({}), may({}, '1')]).toEqual([false, true]);
    expect(may({ NODE_ENV: 'production' }, '1')).toBeUndefined();
    expect(may({ EXPLAIN: 'off' }, '1')).toBeUndefined();
    expect(may({ NODE_ENV: 'production', EXPLAIN: 'on' }, '1')).toBe(true);
  });

  it('is who knows the token, with EXPLAIN=token', () => {
    const env = { NODE_ENV: 'production', EXPLAIN: 'token', EXPLAIN_TOKEN: token };
    expect([may(env), may(env, '1'), may(env, `${token}x`), may(env, token)]).toEqual([false, false, false, true]);
    expect(() => may({ EXPLAIN: 'token' })).toThrow('EXPLAIN_TOKEN is needed with EXPLAIN=token');
  });
});
