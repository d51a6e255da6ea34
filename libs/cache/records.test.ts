import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { silent } from '#libs/telemetry';
import { withServer } from '../../test/servers/needs.js';
import { startRedis, startRedisCluster, tell, type RedisCluster, type RedisServer } from '../../test/servers/redis.js';
import { MemoryRecords } from './memory-records.js';
import { recordStoreContract } from './records.contract.js';
import { RedisRecords } from './redis-records.js';
import { stampOf } from './redis-stamp.js';
import type { Ask, FieldFill } from './records.js';

it('what several scripts of one look say of a bucket is known as of the first of them; of two lives, of none', () => {
  const { buckets } = stampOf(
    [
      [1, 'life 0 6'],
      [0, 'life 0 6'],
      [0, 'life 0 5'],
      [1, 'other 0 1'],
    ],
    7,
  );
  expect([...buckets]).toEqual([
    [0, 'life 0 5'],
    [1, ''],
  ]);
});

describe('records in memory', () => {
  recordStoreContract(async () => new MemoryRecords({ bytesMax: 64 * 1024 * 1024, clock: Date.now }));

  it('are bounded by bytes', async () => {
    const store = new MemoryRecords({ bytesMax: 100_000, clock: Date.now });
    const { stamp } = await store.look([], 'me');
    for (let nth = 0; nth < 1_000; nth++) await store.fill([fillOf(`e${nth}`, 'x'.repeat(1_000))], stamp);
    expect(store.bytes).toBeLessThanOrEqual(100_000);
    expect(await valueIn(store, 'e999')).toBe('x'.repeat(1_000));
    expect(await valueIn(store, 'e0')).toBeUndefined();
  });
});

withServer('redis', 'records in one Redis', () => {
  let server: RedisServer;
  beforeAll(async () => {
    server = await startRedis();
  });
  afterAll(() => server.stop());
  const open = (toldKept?: number): RedisRecords =>
    new RedisRecords({ url: server.url, logger: silent, deadlineMs: 10_000, toldKept });

  recordStoreContract(async () => {
    await tell(server.port, 'FLUSHALL');
    return open();
  });

  it('that were cut off, moved to another place, poisoned or replaced by another type count as not kept', async () => {
    const store = open();
    await store.ready();
    const fresh = async (): Promise<void> => {
      const { stamp } = await store.look([], 'me').then(() => store.look([ask('a')], 'me'));
      await store.fill([fillOf('a', 'Ann'), fillOf('b', 'Bob')], stamp);
      expect(await valueIn(store, 'a')).toBe('Ann');
    };
    const key = 'tributary:{entity:0}:a';
    await fresh();
    const text = /^\$\d+\r\n([^]*)\r\n$/.exec(await tell(server.port, `HGET ${key} name`))![1]!;
    const quoted = (value: string): string => `"${value.replaceAll('"', '\\"')}"`;
    for (const bad of [
      text.slice(0, -2),
      text.replace('Ann', 'Eve'),
      text.replace(/"Ann"$/, '{"__proto__":{"admin":true}}'),
      'nonsense',
      '1;2;3',
    ]) {
      await tell(server.port, `HSET ${key} name ${quoted(bad)}`);
      expect(await valueIn(store, 'a')).toBeUndefined();
    }
    await fresh();
    await tell(server.port, `HSET tributary:{entity:0}:b name ${quoted(text)}`);
    expect(await valueIn(store, 'b')).toBeUndefined();
    await tell(server.port, `DEL ${key}`);
    await tell(server.port, `SET ${key} 1`);
    expect(await valueIn(store, 'a')).toBeUndefined();
    await fresh();
    await store.close();
  });

  it.each(['clock', 'entities', 'epochs'])('count for nothing when Redis has evicted the %s', async (name) => {
    const store = open();
    await store.ready();
    const { stamp } = await store.look([ask('a')], 'me');
    await store.fill([fillOf('a', 'Ann')], stamp);
    expect(await valueIn(store, 'a')).toBe('Ann');
    await tell(server.port, `DEL tributary:{entity:0}!${name}`);
    // What was loaded before is as little worth as what was kept.
    await store.fill([fillOf('c', 'old')], stamp);
    expect([await valueIn(store, 'a'), await valueIn(store, 'c')]).toEqual([undefined, undefined]);
    await store.close();
  });

  it('a full Redis still drops', async () => {
    const store = open();
    await store.ready();
    const { stamp } = await store.look([ask('a')], 'me');
    await store.fill([fillOf('a', 'Ann')], stamp);
    await tell(server.port, 'CONFIG SET maxmemory 1');
    try {
      expect(await valueIn(store, 'a')).toBe('Ann');
      // Because of which write, it has no room for: who has written it is shown nothing kept by others.
      await store.drop({ entities: ['a'], told: [{ name: 'users a', version: 1 }] });
      expect(await store.told(['users a'])).toEqual([undefined]);
      // (control) A key for each of them is refused, and with it the drop would count as not delivered.
      await expect(tell(server.port, 'SET told 1 PX 360000')).rejects.toThrow('OOM');
      await store.fill([fillOf('a', 'Ann')], stamp);
    } finally {
      await tell(server.port, 'CONFIG SET maxmemory 0');
    }
    expect(await valueIn(store, 'a')).toBeUndefined();
    await store.close();
  });

  it('know as many writes as they may, the newest, whoever writes how much; control: a key for each has no end', async () => {
    await tell(server.port, 'FLUSHALL');
    const [store, name] = [open(100), (nth: number): string => `users user:${nth}`];
    const sizes = async (): Promise<number[]> =>
      Promise.all(['', '-before'].map((which) => numberOf(`HLEN tributary:{entity:0}!told${which}`)));
    const numberOf = async (command: string): Promise<number> => Number((await tell(server.port, command)).slice(1));
    await store.ready();
    for (let nth = 0; nth < 1_000; nth += 10) {
      const told = Array.from({ length: 10 }, (_, more) => ({ name: name(nth + more), version: nth + 1 }));
      await store.drop({ told });
      expect(Math.max(...(await sizes()))).toBeLessThanOrEqual(50);
      // What was told a moment ago is known, for longer than a token lives.
      expect(await store.told([name(nth), name(nth + 9)])).toEqual([nth + 1, nth + 1]);
    }
    expect(await store.told([name(0), name(899), name(950), name(999)])).toEqual([undefined, undefined, 951, 991]);
    for (const which of ['', '-before']) {
      const ttl = await numberOf(`PTTL tributary:{entity:0}!told${which}`);
      expect([which, ttl > 350_000, ttl <= 720_000]).toEqual([which, true, true]);
    }
    // Who asks for many leaves nothing there.
    const before = await numberOf('DBSIZE');
    const asked = Array.from({ length: 5_000 }, (_, nth) => `users user:never ${nth}`);
    expect(await store.told(asked)).toEqual(asked.map(() => undefined));
    expect(await numberOf('DBSIZE')).toBe(before);
    // Another hand has been there.
    for (const which of ['', '-before']) await tell(server.port, `SET tributary:{entity:0}!told${which} x`);
    expect(await store.told([name(999)])).toEqual([undefined]);
    await store.drop({ told: [{ name: name(999), version: 7 }] });
    expect(await store.told([name(999)])).toEqual([7]);
    await store.close();

    for (let nth = 0; nth < 300; nth += 1) await tell(server.port, `SET control:${nth} 1 PX 360000`);
    expect((await numberOf('DBSIZE')) - before).toBeGreaterThanOrEqual(299);
  });

  it('what a replica took over in a failover counts for nothing: it may have missed a drop', async () => {
    const replica = await startRedis();
    try {
      await tell(replica.port, `REPLICAOF 127.0.0.1 ${server.port}`);
      // A first replica gives the primary another replication id, and what was looked up before counts for nothing.
      while (!(await tell(replica.port, 'INFO replication')).includes('master_link_status:up')) await passing();
      const before = open();
      await before.ready();
      const { stamp } = await before.look([ask('a')], 'me');
      await before.fill([fillOf('a', 'Ann')], stamp);
      expect(await valueIn(before, 'a')).toBe('Ann');
      while (!(await tell(replica.port, 'HGETALL tributary:{entity:0}:a')).includes('Ann')) await passing();
      const after = new RedisRecords({ url: replica.url, logger: silent, deadlineMs: 10_000 });
      await after.ready();
      await expect(after.look([ask('a')], 'me')).rejects.toThrow(/READONLY/);
      await tell(replica.port, 'REPLICAOF NO ONE');
      // It connects anew when it has met a replica.
      while (!(await after.look([ask('a')], 'me').catch(() => undefined))) await passing();
      expect(await valueIn(after, 'a')).toBeUndefined();
      await after.fill([fillOf('a', 'Ann')], stamp);
      expect(await valueIn(after, 'a')).toBeUndefined();
      await before.close();
      await after.close();
    } finally {
      await replica.stop();
    }
  });
});

withServer('redis', 'records in a Redis Cluster', () => {
  let cluster: RedisCluster;
  beforeAll(async () => {
    cluster = await startRedisCluster(3);
  });
  afterAll(() => cluster.stop());

  recordStoreContract(async () => {
    await Promise.all(cluster.nodes.map((node) => tell(node.port, 'FLUSHALL')));
    return new RedisRecords({ url: cluster.url, logger: silent, deadlineMs: 10_000 });
  });
});

const passing = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));
const ask = (entity: string): Ask => ({ entity, variant: '', epochs: [], fields: ['name'], lease: false });
const fillOf = (entity: string, value: string) => {
  const name: FieldFill = { name: 'name', value, tags: [], freshMs: 30_000, revalidateMs: 0, errorMs: 0 };
  return { entity, variant: '', epochs: [], fields: [name] };
};
const valueIn = async (store: MemoryRecords | RedisRecords, entity: string): Promise<unknown> =>
  (await store.look([ask(entity)], 'me')).found[0]!.fields[0]?.value;
