import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { openRecordCache } from '#libs/cache';
import { silent, type Logger } from '#libs/telemetry';
import { federate, type Asked } from '../../test/federation/harness.js';
import { HINTS } from '../../test/federation/hints.js';
import { startFaultProxy } from '../../test/servers/fault-proxy.js';
import { withServer } from '../../test/servers/needs.js';
import {
  REDIS_ERRORS,
  startRedis,
  startRedisCluster,
  tell,
  type RedisCluster,
  type RedisServer,
} from '../../test/servers/redis.js';
import { EntityCache } from './entity-cache.js';

/** Five times the promise of 100 ms: the machine runs other tests meanwhile. */
const PATIENCE_MS = 500;

const names = new Map<string, string>();
const graph = federate({
  users: {
    sdl: `${HINTS}
      scalar JSON
      type Query { user(id: ID!): User @cacheControl(maxAge: 60) }
      type Mutation { rename(id: ID!, name: String!): User }
      type User @key(fields: "id") { id: ID! name: String! @cacheControl(maxAge: 60) prefs: JSON @cacheControl(maxAge: 60) address: Address @cacheControl(maxAge: 60) best: User @cacheControl(maxAge: 60) }
      type Address { city: String }`,
    resolvers: {
      Query: { user: (_: unknown, { id }: { id: string }) => (names.has(id) ? { id } : null) },
      Mutation: {
        rename: (_: unknown, { id, name }: { id: string; name: string }) => {
          names.set(id, name);
          return { id };
        },
      },
      User: {
        __resolveReference: ({ id }: { id: string }) => (names.has(id) ? { id } : null),
        name: ({ id }: { id: string }) => names.get(id),
        prefs: () => JSON.parse('{"theme":"dark","__proto__":{"admin":true}}') as unknown,
        address: () => ({ city: 'Rome' }),
        best: ({ id }: { id: string }) => ({ id: id === 'a' ? 'b' : 'a' }),
      },
    },
  },
  posts: {
    sdl: `${HINTS}
      type User @key(fields: "id") { id: ID! count: Int @cacheControl(maxAge: 60) latest(first: Int): [Post] @cacheControl(maxAge: 60) }
      type Post @key(fields: "id") @cacheControl(maxAge: 60) { id: ID! body: String! }`,
    resolvers: {
      User: {
        __resolveReference: ({ id }: { id: string }) => ({ id }),
        count: () => 2,
        latest: ({ id }: { id: string }) => ['1', '2'].map((nth) => ({ id: id + nth, body: `post ${id}${nth}` })),
      },
      Post: { __resolveReference: ({ id }: { id: string }) => ({ id, body: `post ${id}` }) },
    },
  },
});
afterAll(() => graph.close());

const PAGE =
  'query($id: ID!) { user(id: $id) { name address { city } best { name count } count latest(first: 2) { body } } }';
const RENAME = 'mutation($id: ID!, $name: String!) { rename(id: $id, name: $name) { id name } }';

let entities: EntityCache;
let turn = 0;
beforeEach(() => {
  names.clear();
  for (const id of ['a', 'b']) names.set(id, `name of ${id}`);
});

async function ask(id = 'a'): Promise<Asked & { ms: number }> {
  const begun = performance.now();
  const asked = await graph.ask(PAGE, { entities, variables: { id } });
  return { ...asked, ms: performance.now() - begun };
}

/** What an engine without a cache answers now. */
const truth = async (id = 'a'): Promise<string> => (await graph.ask(PAGE, { variables: { id } })).body;

/** Asks until nobody has to be asked any more: it is kept. */
async function warm(id = 'a'): Promise<void> {
  for (let nth = 0; nth < 500; nth++) {
    const { calls, body } = await ask(id);
    expect(body).toBe(await truth(id));
    await entities.settled();
    if (calls.length === 0) return;
    await passing(20);
  }
  throw new Error('It was asked 500 times and is still not kept.');
}

async function rename(): Promise<void> {
  turn += 1;
  const name = `renamed ${turn}`;
  const { errors, data } = await graph.ask(RENAME, { entities, variables: { id: 'a', name } });
  expect(errors).toBeUndefined();
  expect(data).toEqual({ rename: { id: 'a', name } });
}

/** Reads while something is wrong: each is right, and all but two, which a busy machine is forgiven, took less than five times as long as was promised. */
async function readsGoOn(): Promise<void> {
  const times: number[] = [];
  for (let nth = 0; nth < 9; nth++) {
    const { body, errors, ms } = await ask(nth % 2 === 0 ? 'a' : 'b');
    expect(errors).toBeUndefined();
    expect(body).toBe(await truth(nth % 2 === 0 ? 'a' : 'b'));
    times.push(ms);
  }
  expect(times.sort((one, other) => one - other)[6]).toBeLessThan(PATIENCE_MS);
}

async function nothingIsLeft(): Promise<void> {
  await entities.settled();
  expect([entities.flights.size, entities.refreshing.size, entities.waiters]).toEqual([0, 0, 0]);
}

withServer('redis', 'while something is wrong with Redis', () => {
  let server: RedisServer;
  beforeAll(async () => {
    server = await startRedis();
  });
  afterAll(() => server.stop());
  beforeEach(async () => {
    await tell(server.port, 'FLUSHALL');
    entities = new EntityCache({ records: openRecordCache({ redisUrl: server.url }), random: () => 0.5 });
    await entities.records.ready();
    await warm();
    await warm('b');
  });
  afterEach(() => entities.records.close());

  interface Fault {
    begin(): Promise<unknown>;
    end(): Promise<unknown>;
  }
  const faults: Record<string, Fault> = {
    'it hangs': {
      begin: async () => process.kill(server.pid, 'SIGSTOP'),
      end: async () => process.kill(server.pid, 'SIGCONT'),
    },
    'it is down': {
      begin: () => server.stop(),
      end: async () => (server = await startRedis({ port: server.port })),
    },
    'it is full': {
      begin: () => tell(server.port, 'CONFIG SET maxmemory 1'),
      end: () => tell(server.port, 'CONFIG SET maxmemory 0'),
    },
    'it is read-only': {
      begin: () => tell(server.port, 'REPLICAOF 127.0.0.1 1'),
      end: () => tell(server.port, 'REPLICAOF NO ONE'),
    },
    'it wants a password that we do not have': {
      begin: async () => {
        await tell(server.port, 'CONFIG SET requirepass secret');
        await tell(server.port, 'CLIENT KILL TYPE normal').catch(() => {});
      },
      end: async () => {
        const redis = new Redis(server.url, { password: 'secret' });
        await redis.config('SET', 'requirepass', '');
        redis.disconnect();
      },
    },
  };
  it.each(Object.keys(faults))(
    '%s: reads go to the subgraphs, a write is seen at once and stays seen when it is over',
    async (name) => {
      const { begin, end } = faults[name]!;
      await begin();
      try {
        await readsGoOn();
        await rename();
        await readsGoOn();
        await nothingIsLeft();
      } finally {
        await end();
      }
      await readsGoOn();
      await warm();
      await warm('b');
      await nothingIsLeft();
    },
  );

  // CLUSTERDOWN is below, from a cluster.
  it.each(REDIS_ERRORS.filter((error) => !error.startsWith('CLUSTERDOWN')))(
    'it answers everything with %s: reads go to the subgraphs, a write is seen, and the log has a line a second of each kind',
    async (redisError) => {
      const door = await startFaultProxy({ port: server.port });
      const lines: string[] = [];
      const say = (_: object, message: string) => void lines.push(message);
      const logger: Logger = { ...silent, info: say, warn: say, error: say };
      await entities.records.close();
      const records = openRecordCache({ redisUrl: `redis://127.0.0.1:${door.port}`, logger });
      entities = new EntityCache({ records, random: () => 0.5 });
      await records.ready();
      await warm();
      await warm('b');
      const began = performance.now();
      door.set({ redisError });
      await readsGoOn();
      await rename();
      // Longer than it is left alone once it has failed: it is asked, and answers with an error.
      while (door.connections() === 0) await passing(10);
      for (let nth = 0; nth < 30; nth++) {
        await ask('b');
        await passing(20);
      }
      await readsGoOn();
      await nothingIsLeft();
      const counts = new Map<string, number>();
      for (const line of lines) counts.set(line, (counts.get(line) ?? 0) + 1);
      const seconds = Math.ceil((performance.now() - began) / 1_000);
      expect([...counts].filter(([, count]) => count > seconds)).toEqual([]);
      expect(lines).toContain('the cache fails; reads go to the database until it answers again');
      door.set({});
      await readsGoOn();
      await warm();
      await warm('b');
      await door.close();
    },
  );

  it('control: a client of Redis as it comes waits longer than all of that for one that hangs', async () => {
    const redis = new Redis(server.url);
    await redis.ping();
    process.kill(server.pid, 'SIGSTOP');
    try {
      const late = passing(2 * PATIENCE_MS).then(() => 'it still waits');
      expect(await Promise.race([redis.get('a').catch(() => 'it gave up'), late])).toBe('it still waits');
    } finally {
      process.kill(server.pid, 'SIGCONT');
      redis.disconnect();
    }
  });

  it('300 reads at once of a Redis that hangs leave nothing behind', async () => {
    process.kill(server.pid, 'SIGSTOP');
    try {
      const expected = await truth();
      const bodies = await Promise.all(Array.from({ length: 300 }, async () => (await ask()).body));
      expect(bodies.every((body) => body === expected)).toBe(true);
      await nothingIsLeft();
    } finally {
      process.kill(server.pid, 'SIGCONT');
    }
  });

  describe('what lies in it is not ours', () => {
    let redis: Redis;
    beforeEach(() => {
      redis = new Redis(server.url);
      // What is remembered in this process is read by nobody else, so nothing in Redis can spoil it.
      entities = new EntityCache({ records: entities.records, answersBytes: 0, random: () => 0.5 });
    });
    afterEach(() => redis.disconnect());

    /** Every field of every record. */
    async function fields(): Promise<{ key: string; field: string; text: string }[]> {
      const keys = (await redis.keys('tributary:{entity:*}:*')).sort();
      const all: { key: string; field: string; text: string }[] = [];
      for (const key of keys) {
        if ((await redis.type(key)) !== 'hash') continue;
        for (const [field, text] of Object.entries(await redis.hgetall(key)))
          if (!field.startsWith('!l')) all.push({ key, field, text });
      }
      expect(all.length).toBeGreaterThan(8);
      return all;
    }

    const poisons: Record<string, (text: string, other: string) => string> = {
      'cut off': (text) => text.slice(0, -3),
      'another value than its sum says': (text) => text.replace(/;[^;]*$/, ';"Eve"'),
      'a value of another place': (_, other) => other,
      'a value with __proto__': (text) => text.replace(/;[^;]*$/, ';{"__proto__":{"admin":true}}'),
      'no value at all': () => '',
      'a text of somebody else': () => 'cache:v2:\u0000\uFFFD',
    };
    it.each(Object.keys(poisons))('%s counts as not kept', async (name) => {
      const all = await fields();
      for (const [nth, { key, field, text }] of all.entries())
        await redis.hset(key, field, poisons[name]!(text, all[(nth + 1) % all.length]!.text));
      const { body, calls } = await ask();
      expect(body).toBe(await truth());
      expect(calls.length).toBeGreaterThan(0);
      expect(({} as { admin?: boolean }).admin).toBeUndefined();
      await warm();
    });

    it.each([
      ['a text', (key: string) => redis.set(key, 'x')],
      ['a list', (key: string) => redis.lpush(key, 'x')],
      ['a set', (key: string) => redis.sadd(key, 'x')],
      ['a sorted set', (key: string) => redis.zadd(key, 1, 'x')],
    ])('every key is %s: it is loaded and kept anew', async (_, put) => {
      for (const key of await redis.keys('tributary:*')) {
        await redis.del(key);
        await put(key);
      }
      await readsGoOn();
      await rename();
      await warm();
    });

    it('control: kept as it came, and taken as it is found, the poison is served', async () => {
      const get = async (id: string): Promise<{ name: string }> => {
        const kept = await redis.get(`naive:${id}`);
        if (kept !== null) return JSON.parse(kept) as { name: string };
        await redis.set(`naive:${id}`, JSON.stringify({ name: names.get(id) }));
        return { name: names.get(id)! };
      };
      await get('a');
      await get('b');
      await redis.set('naive:a', (await redis.get('naive:b'))!);
      expect(await get('a')).toEqual({ name: 'name of b' });
    });
  });

  it('a scalar with __proto__ in it comes out as it went in, each time, and touches nothing', async () => {
    const query = '{ user(id: "a") { name prefs } }';
    const { body: expected } = await graph.ask(query);
    expect(expected).toContain('"__proto__":{"admin":true}');
    for (let nth = 0; nth < 3; nth++) {
      expect((await graph.ask(query, { entities })).body).toBe(expected);
      await entities.settled();
    }
    expect(({} as { admin?: boolean }).admin).toBeUndefined();
  });
});

withServer('redis', 'while slots of a Redis Cluster move', () => {
  let cluster: RedisCluster;
  beforeAll(async () => {
    cluster = await startRedisCluster(3);
    entities = new EntityCache({ records: openRecordCache({ redisUrl: cluster.url }), random: () => 0.5 });
    await entities.records.ready();
  });
  afterAll(async () => {
    await entities.records.close();
    await cluster.stop();
  });

  it('every read is right, a write is seen at once, and it is kept again when they have moved', async () => {
    await warm();
    const ids = await Promise.all(
      cluster.nodes.map(async ({ port }) => (await tell(port, 'CLUSTER MYID')).split('\r\n')[1]!),
    );
    const slots = new Set<number>();
    for (const { port } of cluster.nodes) {
      const redis = new Redis(port);
      for (const key of await redis.keys('*')) slots.add(await redis.cluster('KEYSLOT', key));
      redis.disconnect();
    }
    expect(slots.size).toBeGreaterThan(1);
    const [target, to] = [cluster.nodes[0]!, ids[0]!];
    for (const slot of [...slots].slice(0, 4)) {
      for (const [nth, { port }] of cluster.nodes.entries()) {
        const redis = new Redis(port);
        const count = Number(await redis.cluster('COUNTKEYSINSLOT', slot));
        if (nth > 0 && count > 0) {
          await tell(target.port, `CLUSTER SETSLOT ${slot} IMPORTING ${ids[nth]}`);
          await tell(port, `CLUSTER SETSLOT ${slot} MIGRATING ${to}`);
          // One key is there, the others are here.
          const [first, ...rest] = await redis.cluster('GETKEYSINSLOT', slot, 1_000);
          await redis.migrate('127.0.0.1', target.port, first!, 0, 5_000);
          await readsGoOn();
          await rename();
          for (const key of rest) await redis.migrate('127.0.0.1', target.port, key, 0, 5_000).catch(() => 'NOKEY');
        }
        redis.disconnect();
      }
      for (const { port } of cluster.nodes) await tell(port, `CLUSTER SETSLOT ${slot} NODE ${to}`);
      await readsGoOn();
    }
    await warm();
    await nothingIsLeft();
  });

  it('a node that has lost a slot answers CLUSTERDOWN: the same, and it is kept again when the slot is back', async () => {
    await warm();
    const [{ port }] = cluster.nodes as [RedisServer];
    const node = new Redis(port);
    const lost = (await node.cluster('SLOTS')).find(([, , primary]) => primary?.[1] === port)![0];
    await node.cluster('DELSLOTS', lost);
    while (!(await tell(port, 'CLUSTER INFO')).includes('cluster_state:fail')) await passing(10);
    await expect(Promise.all((await node.keys('*')).map((key) => node.type(key)))).rejects.toThrow('CLUSTERDOWN');
    await readsGoOn();
    await rename();
    await readsGoOn();
    await node.cluster('ADDSLOTS', lost);
    node.disconnect();
    await readsGoOn();
    await warm();
    await nothingIsLeft();
  });
});

const passing = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
