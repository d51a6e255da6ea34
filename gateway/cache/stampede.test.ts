import { afterAll, afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { entityNames as nameOf, openRecordCache, staleEntity } from '#libs/cache';
import { federate, operationOf } from '../../test/federation/harness.js';
import { HINTS } from '../../test/federation/hints.js';
import { withServer } from '../../test/servers/needs.js';
import { startRedis, type RedisServer } from '../../test/servers/redis.js';
import type { Operation, RequestContext } from '../engine.js';
import { EntityCache } from './entity-cache.js';

/** The last: `STAMPEDE=20000 npm test -- gateway/cache/stampede` for another. */
const CALLERS = [100, 1_000, Number(process.env['STAMPEDE'] ?? 10_000)];
/** As many different operations want the same entity: no call is like another, so only the cache can join them. */
const OPERATIONS = 20;

let loads = 0;
let loadMs = 150;
let loading = 0;
const graph = federate({
  users: {
    sdl: `${HINTS}
      type Query { user(id: ID!): User @cacheControl(maxAge: 60)  many(ids: [ID!]!): [User!]! @cacheControl(maxAge: 0) }
      type User @key(fields: "id") { id: ID! }`,
    resolvers: {
      Query: {
        user: (_: unknown, { id }: { id: string }) => ({ id }),
        many: (_: unknown, { ids }: { ids: string[] }) => ids.map((id) => ({ id })),
      },
      User: { __resolveReference: ({ id }: { id: string }) => ({ id }) },
    },
  },
  names: {
    sdl: `${HINTS} type User @key(fields: "id") { id: ID! name: String! @cacheControl(maxAge: 60) }`,
    resolvers: {
      User: {
        __resolveReference: async ({ id }: { id: string }) => {
          loads += 1;
          loading += 1;
          await passing(loadMs);
          loading -= 1;
          return { id };
        },
        name: ({ id }: { id: string }) => `name of ${id}`,
      },
    },
  },
});
afterAll(() => graph.close());

const operations = Array.from({ length: OPERATIONS }, (_, nth) =>
  operationOf(graph.supergraph.schema, `{ a${nth}: user(id: "a") { n${nth}: name } }`),
);

async function execute(
  entities: EntityCache | undefined,
  operation: Operation,
  variables: Record<string, unknown> = {},
): Promise<string> {
  const engine = await graph.engine(entities ? { entities } : {});
  const context: RequestContext = {
    requestId: 'r',
    subject: null,
    headers: new Map(),
    signal: new AbortController().signal,
    deadline: Date.now() + 100_000,
    responseHeaders: [],
  };
  return (await engine.execute(operation, variables, context)).body.toString();
}

/** Everything but the name is known, and every plan is made. */
async function prepare(gateways: readonly (EntityCache | undefined)[]): Promise<void> {
  for (const gateway of gateways) for (const operation of operations) await execute(gateway, operation);
  await gateways[0]?.records.drop({ epochs: [nameOf.subgraph('names')] });
  loads = 0;
}

async function crowd(gateways: readonly (EntityCache | undefined)[], callers: number): Promise<void> {
  const bodies = await Promise.all(
    Array.from({ length: callers }, (_, nth) =>
      execute(gateways[nth % gateways.length], operations[nth % OPERATIONS]!),
    ),
  );
  bodies.forEach((body, nth) => {
    const operation = nth % OPERATIONS;
    if (body !== `{"data":{"a${operation}":{"n${operation}":"name of a"}}}`) throw new Error(body);
  });
}

describe('one gateway', () => {
  it.each(CALLERS)('%i callers, one load', async (callers) => {
    const gateway = new EntityCache({ records: openRecordCache({}), random: () => 0.5 });
    await prepare([gateway]);
    await crowd([gateway], callers);
    expect(loads).toBe(1);
    await gateway.settled();
    expect([gateway.flights.size, gateway.waiters]).toEqual([0, 0]);
  });

  it('as many wait as may, also of those that come in one turn of the event loop; one more loads by itself', async () => {
    for (const [callers, expected] of [
      [41, 1],
      [42, 2],
      [60, 20],
    ] as const) {
      const gateway = new EntityCache({ records: openRecordCache({}), random: () => 0.5, waitersMax: 40 });
      await prepare([gateway]);
      await crowd([gateway], callers);
      expect(loads).toBe(expected);
      await gateway.settled();
      expect([gateway.flights.size, gateway.waiters]).toEqual([0, 0]);
    }
  });

  it('nobody waits for whoever waits for them, while what they load is dropped again', async () => {
    const gateway = new EntityCache({ records: openRecordCache({}), random: () => 0.5 });
    loadMs = 20;
    const operation = operationOf(graph.supergraph.schema, 'query($ids: [ID!]!) { many(ids: $ids) { name } }');
    const ids = Array.from({ length: 30 }, (_, nth) => `n${nth}`);
    let state = 1;
    const draw = (below: number): number => (state = (state * 48_271) % 2_147_483_647) % below;
    let longest = 0;
    let left = 200;
    const reader = async (): Promise<void> => {
      while (left-- > 0) {
        const wanted = [...new Set(Array.from({ length: 8 }, () => ids[draw(ids.length)]!))];
        const begun = performance.now();
        const body = await execute(gateway, operation, { ids: wanted });
        longest = Math.max(longest, performance.now() - begun);
        expect(JSON.parse(body)).toEqual({ data: { many: wanted.map((id) => ({ name: `name of ${id}` })) } });
        for (let nth = 0; nth < 4; nth++)
          await gateway.records.drop(staleEntity('names', 'User', { id: ids[draw(30)]! }));
      }
    };
    await Promise.all(Array.from({ length: 20 }, reader));
    // Two who wait for each other do so until they give up, after 10 s.
    expect(longest).toBeLessThan(8_000);
    loadMs = 150;
  });

  it('control: without a cache each caller is a load', async () => {
    await prepare([undefined]);
    await crowd([undefined], 100);
    expect(loads).toBe(100);
  });
});

withServer('redis', 'two gateways that share a Redis', () => {
  let server: RedisServer;
  let gateways: EntityCache[];
  beforeEach(async () => {
    server = await startRedis();
    // A busy machine may take longer to load than others would wait: here a wait is over when nobody loads any more.
    const sleep = async (ms: number): Promise<void> => {
      await passing(ms);
      while (loading > 0) await passing(5);
      await Promise.all(gateways.map((gateway) => gateway.settled()));
    };
    gateways = [1, 2].map(
      () =>
        new EntityCache({
          // Nor may it be over for the lease while somebody still loads.
          records: openRecordCache({ redisUrl: server.url, deadlineMs: 10_000, leaseMs: 60_000 }),
          random: () => 0.5,
          sleep,
        }),
    );
    await Promise.all(gateways.map(({ records }) => records.ready()));
  });
  afterEach(async () => {
    await Promise.all(gateways.map(({ records }) => records.close()));
    await server.stop();
  });

  it.each(CALLERS)('%i callers of both, one load', async (callers) => {
    await prepare(gateways);
    await crowd(gateways, callers);
    expect(loads).toBe(1);
  });

  it('control: two gateways with a memory each are two loads', async () => {
    const apart = [1, 2].map(() => new EntityCache({ records: openRecordCache({}), random: () => 0.5 }));
    await prepare(apart);
    await apart[1]!.records.drop({ epochs: [nameOf.subgraph('names')] });
    await crowd(apart, 100);
    expect(loads).toBe(2);
  });

  it('a leader that dies holds nobody up for longer than a tenth of a second: then each gateway loads once', async () => {
    await prepare(gateways);
    // It took the lease, and is never heard of again.
    const dead = openRecordCache({ redisUrl: server.url, deadlineMs: 10_000 });
    await dead.ready();
    const entity = nameOf.entity('names', 'User', '{"id":"a"}');
    const epochs = [nameOf.type('names', 'User'), nameOf.subgraph('names')];
    const answer = await dead.look([{ entity, variant: '', epochs, fields: ['name'], lease: true }]);
    expect(answer?.found[0]?.lease).toBe('yours');
    await dead.close();
    await crowd(gateways, 100);
    expect(loads).toBeGreaterThanOrEqual(1);
    expect(loads).toBeLessThanOrEqual(2);
  });
});

const passing = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
