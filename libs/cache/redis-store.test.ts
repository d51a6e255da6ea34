import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { silent } from '#libs/telemetry';
import { withServer } from '../../test/servers/needs.js';
import { startRedis, startRedisCluster, tell, type RedisCluster, type RedisServer } from '../../test/servers/redis.js';
import { keyOf } from './keys.js';
import { RedisStore } from './redis-store.js';
import { VALUE_LENGTH_MAX } from './store.js';
import { storeContract } from './store.contract.js';

const passing = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));

withServer('redis', 'one Redis', (url) => {
  storeContract('Redis', async () => ({
    store: new RedisStore({ url, logger: silent, deadlineMs: 10_000 }),
    pass: passing,
  }));
});

withServer('redis', 'a Redis Cluster of three nodes', () => {
  let cluster: RedisCluster;
  beforeAll(async () => {
    cluster = await startRedisCluster(3);
  });
  afterAll(() => cluster.stop());

  storeContract('Redis Cluster', async () => ({
    store: new RedisStore({ url: cluster.url, logger: silent, deadlineMs: 10_000 }),
    pass: passing,
  }));

  it('spreads the buckets of a prefix over every node', async () => {
    const store = new RedisStore({ url: cluster.url, logger: silent, deadlineMs: 10_000 });
    await store.ready();
    await store.getOrLease(
      Array.from({ length: 500 }, (_, at) => keyOf('posts.by-id', String(at))),
      10_000,
    );
    const sizes = await Promise.all(
      cluster.nodes.map(async (node) => Number(/\d+/.exec(await tell(node.port, 'DBSIZE')))),
    );
    expect(Math.min(...sizes)).toBeGreaterThan(0);
    await store.close();
  });

  it('follows a slot that moves to another node', async () => {
    const store = new RedisStore({ url: cluster.url, logger: silent, deadlineMs: 10_000 });
    await store.ready();
    const key = keyOf('users.by-id', 'moved');
    const slot = Number(/\d+/.exec(await tell(cluster.nodes[0]!.port, `CLUSTER KEYSLOT ${key}`)));
    const ids = await Promise.all(
      cluster.nodes.map(async (node) => (await tell(node.port, 'CLUSTER MYID')).split('\r\n')[1]),
    );
    for (const [at, target] of ids.entries()) {
      for (const node of cluster.nodes) await tell(node.port, 'FLUSHALL');
      // Or who had it before may say so again by its newer epoch, and each of them be believed in turn.
      await tell(cluster.nodes[at]!.port, 'CLUSTER BUMPEPOCH');
      for (const node of cluster.nodes) await tell(node.port, `CLUSTER SETSLOT ${slot} NODE ${target}`);
      expect(await store.getOrLease([key, keyOf('users.by-id', `stays-${at}`)], 10_000)).toMatchObject([
        { kind: 'leased' },
        { kind: 'leased' },
      ]);
      expect(await tell(cluster.nodes[at]!.port, `CLUSTER COUNTKEYSINSLOT ${slot}`)).toBe(':1\r\n');
    }
    await store.close();
  });
});

withServer('redis', 'a Redis that holds something else', () => {
  let redis: RedisServer;
  let store: RedisStore;
  beforeAll(async () => {
    redis = await startRedis();
    store = new RedisStore({ url: redis.url, logger: silent, deadlineMs: 10_000 });
    await store.ready();
  });
  afterAll(async () => {
    await store.close();
    await redis.stop();
  });

  it.each([
    ['a list', 'RPUSH', '1'],
    ['a hash', 'HSET', 'field value'],
    ['a text of another hand', 'SET', 'hello'],
    ['an empty text', 'SET', '""'],
    ['a text that is too long', 'SET', `V${'x'.repeat(1_000)}`],
  ])('throws away %s and leases the key', async (_, command, value) => {
    const key = keyOf('poisoned.thing', command + value.length);
    if (value.length > 1_000) {
      await tell(redis.port, `SET ${key} V`);
      await tell(redis.port, `SETRANGE ${key} ${3 * VALUE_LENGTH_MAX + 1} x`);
    } else {
      await tell(redis.port, `${command} ${key} ${value}`);
    }
    expect(await store.getOrLease([key], 10_000)).toMatchObject([{ kind: 'leased' }]);
  });

  it('serves and drops what is kept when it is full, and leases nothing', async () => {
    const [kept, open] = [keyOf('full.thing', 'kept'), keyOf('full.thing', 'open')];
    const [slot] = await store.getOrLease([kept], 10_000);
    if (slot?.kind === 'leased') await store.fill([{ key: kept, token: slot.token, value: '1', ttlMs: 10_000 }]);
    await tell(redis.port, 'CONFIG SET maxmemory 1');
    expect(await store.getOrLease([open, kept], 10_000)).toEqual([{ kind: 'full' }, { kind: 'kept', text: '1' }]);
    await store.drop([kept]);
    expect(await store.getOrLease([kept], 10_000)).toEqual([{ kind: 'full' }]);
    await tell(redis.port, 'CONFIG SET maxmemory 0');
  });

  it('gives its lease back when it got full during the load', async () => {
    const key = keyOf('full.thing', 'during');
    const [slot] = await store.getOrLease([key], 10_000);
    if (slot?.kind !== 'leased') throw new Error('expected a lease');
    await tell(redis.port, 'CONFIG SET maxmemory 1');
    await store.fill([{ key, token: slot.token, value: '1', ttlMs: 10_000 }]);
    await tell(redis.port, 'CONFIG SET maxmemory 0');
    expect(await store.getOrLease([key], 10_000)).toMatchObject([{ kind: 'leased' }]);
  });

  it('reads nothing where it could not drop: on a read-only replica even what is kept fails', async () => {
    const key = keyOf('replica.thing', '1');
    const [slot] = await store.getOrLease([key], 10_000);
    if (slot?.kind === 'leased') await store.fill([{ key, token: slot.token, value: '1', ttlMs: 10_000 }]);
    expect(await store.getOrLease([key], 10_000)).toEqual([{ kind: 'kept', text: '1' }]);
    await tell(redis.port, 'REPLICAOF 127.0.0.1 1');
    await expect(store.getOrLease([key], 10_000)).rejects.toThrow('READONLY');
    await expect(store.drop([key])).rejects.toThrow();
    await tell(redis.port, 'REPLICAOF NO ONE');
  });

  it('has nothing of what a replica took over in a failover, nor lets anybody fill it: it may have missed a drop', async () => {
    const replica = await startRedis();
    const after = new RedisStore({ url: replica.url, logger: silent, deadlineMs: 10_000 });
    try {
      await after.ready();
      await tell(redis.port, 'CONFIG SET repl-diskless-sync-delay 0');
      await tell(replica.port, `REPLICAOF 127.0.0.1 ${redis.port}`);
      // A first replica gives the primary another replication id.
      while (!(await tell(replica.port, 'INFO replication')).includes('master_link_status:up')) await passing();
      const [kept, loading] = [keyOf('failover.thing', '1'), keyOf('failover.thing', '2')];
      const slots = await store.getOrLease([kept, loading], 10_000);
      const fill = (to: RedisStore, at: number, value: string): Promise<void> => {
        const slot = slots[at];
        if (slot?.kind !== 'leased') throw new Error('expected a lease');
        return to.fill([{ key: [kept, loading][at] as string, token: slot.token, value, ttlMs: 10_000 }]);
      };
      await fill(store, 0, '"old"');
      while (!(await tell(replica.port, `GET ${kept}`)).includes('old')) await passing();
      await tell(replica.port, 'REPLICAOF NO ONE');
      // Acknowledged, and lost with who acknowledged it.
      await store.drop([kept, loading]);
      // The control: there it is all the same.
      expect(await tell(replica.port, `GET ${kept}`)).toContain('"old"');
      expect(await tell(replica.port, `EXISTS ${loading}`)).toBe(':1\r\n');
      // Whoever had begun to load before the drop.
      await connected(() => fill(after, 1, '"old"'));
      const found = await connected(() => after.getOrLease([kept, loading], 10_000));
      expect(found).toMatchObject([{ kind: 'leased' }, { kind: 'leased' }]);
    } finally {
      await after.close();
      await replica.stop();
    }
  });

  it('loads its scripts again when Redis has forgotten them', async () => {
    const fresh = new RedisStore({ url: redis.url, logger: silent, deadlineMs: 10_000 });
    await fresh.ready();
    await fresh.getOrLease([keyOf('script.thing', '1')], 10_000);
    await tell(redis.port, 'SCRIPT FLUSH');
    expect(await fresh.getOrLease([keyOf('script.thing', '2')], 10_000)).toMatchObject([{ kind: 'leased' }]);
    await fresh.close();
  });
});

/** Once more where the connection has just gone, as it may when a Redis changes what it is. */
async function connected<T>(ask: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (!/isn't writeable|Connection is closed/.test(String(error))) throw error;
      await passing();
    }
  }
}

describe('the keys', () => {
  it('carry prefix and bucket in the hash tag, and the id as it is', () => {
    expect(keyOf('posts.by-id', '0192')).toMatch(/^tributary:\{posts\.by-id:\d\d\}:0192$/);
  });

  it('use sixteen buckets about evenly', () => {
    const counts = new Map<string, number>();
    for (let at = 0; at < 16_000; at++) {
      const tag = /:(\d\d)\}/.exec(keyOf('a.b', crypto.randomUUID()))![1]!;
      counts.set(tag, (counts.get(tag) ?? 0) + 1);
    }
    expect([...counts.keys()].sort()).toEqual(Array.from({ length: 16 }, (_, at) => String(at).padStart(2, '0')));
    expect(Math.min(...counts.values())).toBeGreaterThan(700);
  });
});
