import { afterEach, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { withServer } from '../../test/servers/needs.js';
import { startRedis, startRedisCluster, tell, type RedisServer } from '../../test/servers/redis.js';
import { Cache, openCache } from './cache.js';
import { silent } from '#libs/telemetry';
import { naiveReader, plainRedis, readerOf, type Reader } from './freshness.contract.js';
import { DEADLINE_MS } from './redis-link.js';
import { RedisStore } from './redis-store.js';

/** What is started in a test and ended after it, the last first. */
const endings: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end();
});

async function redisOfItsOwn(port?: number): Promise<RedisServer> {
  const redis = await startRedis(port === undefined ? {} : { port });
  endings.push(() => redis.stop());
  return redis;
}

/** A cache on `url` whose clock is ours, with a row that counts how often it is loaded. */
async function setUp(url: string, deadlineMs = DEADLINE_MS) {
  const time = { now: 1_000_000 };
  const cache = new Cache({
    store: new RedisStore({ url, logger: silent, deadlineMs }),
    clock: () => time.now,
    retryMs: 5,
  });
  endings.push(() => cache.close());
  await cache.ready();
  const rows = cache.aside<number>({ prefix: 'fail.row', ttlMs: 60_000 });
  const row = { value: 1, loads: 0 };
  const ids = Array.from({ length: 50 }, (_, at) => String(at));
  const read = async (): Promise<number[]> => {
    const found = await rows.getMany(ids, async (missing) => {
      row.loads++;
      return new Map(missing.map((id) => [id, row.value]));
    });
    return [...new Set(found.values())];
  };
  const drop = (): Promise<void> => cache.drop(ids.map((id) => rows.keyOf(id)));
  /** Reads, while time goes by, until nothing had to be loaded. */
  const untilKept = async (): Promise<void> => {
    for (let loads = -1; loads !== row.loads; await new Promise((resolve) => setTimeout(resolve, 2))) {
      loads = row.loads;
      time.now += 100;
      expect(await read()).toEqual([row.value]);
    }
  };
  return { time, cache, row, read, drop, untilKept };
}

async function reads(times: number, read: () => Promise<number[]>, expected: number): Promise<void> {
  for (let count = 0; count < times; count++) expect(await read()).toEqual([expected]);
}

withServer('redis', 'a cache that fails is a slow read, never an error', () => {
  it('when Redis hangs: three calls run into the deadline, and after them nobody asks', async () => {
    expect(DEADLINE_MS).toBeLessThanOrEqual(100);
    const redis = await redisOfItsOwn();
    const { cache, read, untilKept } = await setUp(redis.url);
    // The last call was answered: one that a busy machine answered too late would be the first of the three.
    await untilKept();
    process.kill(redis.pid, 'SIGSTOP');
    const before = cache.roundTrips;
    await reads(100, read, 1);
    expect(cache.roundTrips - before).toBe(3);
    process.kill(redis.pid, 'SIGCONT');
    await untilKept();
  });

  it('control: a client as ioredis makes it by itself still waits when ours has answered a hundred times', async () => {
    const redis = await redisOfItsOwn();
    const { read } = await setUp(redis.url);
    const plain = new Redis(redis.url);
    endings.push(() => plain.disconnect());
    await plain.ping();
    process.kill(redis.pid, 'SIGSTOP');
    let answered = false;
    const waiting = plain.get('anything').finally(() => (answered = true));
    await reads(100, read, 1);
    expect(answered).toBe(false);
    process.kill(redis.pid, 'SIGCONT');
    await waiting;
  });

  it('when Redis is killed and comes back empty', async () => {
    const redis = await redisOfItsOwn();
    const { read, untilKept } = await setUp(redis.url);
    await reads(2, read, 1);
    await redis.stop();
    await reads(100, read, 1);
    await redisOfItsOwn(redis.port);
    await untilKept();
  });

  it('when nobody listens, from the beginning', async () => {
    const redis = await redisOfItsOwn();
    await redis.stop();
    const { read, untilKept } = await setUp(redis.url);
    await reads(100, read, 1);
    await redisOfItsOwn(redis.port);
    await untilKept();
  });

  it('when Redis is full: what is kept is served, what is missing is loaded, what is dropped is gone', async () => {
    const redis = await redisOfItsOwn();
    const { row, read, drop, untilKept } = await setUp(redis.url, 10_000);
    await reads(2, read, 1);
    await tell(redis.port, 'CONFIG SET maxmemory 1');
    await reads(10, read, 1);
    expect(row.loads).toBe(1);
    row.value = 2;
    await drop();
    await reads(10, read, 2);
    await tell(redis.port, 'CONFIG SET maxmemory 0');
    await untilKept();
  });

  it('when Redis has become read-only: nothing of it is read, for nothing could be dropped', async () => {
    const redis = await redisOfItsOwn();
    const { row, read, drop, untilKept } = await setUp(redis.url);
    await reads(2, read, 1);
    await tell(redis.port, 'REPLICAOF 127.0.0.1 1');
    row.value = 2;
    await drop();
    await reads(20, read, 2);
    await tell(redis.port, 'REPLICAOF NO ONE');
    await untilKept();
  });

  it('when one node of a cluster hangs', async () => {
    const cluster = await startRedisCluster(3);
    endings.push(() => cluster.stop());
    const { row, read, drop, untilKept } = await setUp(cluster.url);
    await reads(2, read, 1);
    process.kill(cluster.nodes[1]!.pid, 'SIGSTOP');
    await reads(20, read, 1);
    row.value = 2;
    await drop();
    await reads(20, read, 2);
    process.kill(cluster.nodes[1]!.pid, 'SIGCONT');
    await untilKept();
  });
});

/**
 * Redis hangs, long enough that the connection is given up; meanwhile a write commits and drops; Redis goes on. Answers what
 * is read before Redis goes on, right after, and when the reader has its connection again.
 */
async function writeWhileRedisHangs(
  reader: Reader,
  redis: RedisServer,
  connected: () => Promise<unknown>,
): Promise<number[]> {
  let [row, loads] = [1, 0];
  const load = async (): Promise<number> => ((loads += 1), row);
  // Until it is kept: on a busy machine whoever fills loses patience with a Redis that is well, too.
  for (let before = -1; before !== loads; await new Promise((resolve) => setTimeout(resolve, 5))) {
    before = loads;
    await reader.read('1', load);
  }
  process.kill(redis.pid, 'SIGSTOP');
  for (let times = 0; times < 10; times++) await reader.read('1', load);
  row = 2;
  await reader.drop('1');
  const seen = [await reader.read('1', load)];
  process.kill(redis.pid, 'SIGCONT');
  seen.push(await reader.read('1', load));
  await connected();
  seen.push(await reader.read('1', load));
  return seen;
}

withServer('redis', 'a write while Redis hangs', () => {
  it('is what its process reads: while it hangs, right after, and when all is well again', async () => {
    const redis = await redisOfItsOwn();
    const cache = openCache({ redisUrl: redis.url, mode: 'on' });
    endings.push(() => cache.close());
    await cache.ready();
    const other = openCache({ redisUrl: redis.url, mode: 'on' });
    endings.push(() => other.close());
    await other.ready();
    const connected = async (): Promise<void> => {
      // The drop is delivered: the old row is gone from Redis itself.
      while (!(await tell(redis.port, 'KEYS *')).startsWith('*0'))
        await new Promise((resolve) => setTimeout(resolve, 5));
    };
    expect(await writeWhileRedisHangs(readerOf(cache, 'fail.row'), redis, connected)).toEqual([2, 2, 2]);
    expect(await readerOf(other, 'fail.row').read('1', async () => 2)).toBe(2);
  });

  it('control: the drop of a naive client is lost, and the old row is read when Redis goes on', async () => {
    const redis = await redisOfItsOwn();
    const store = plainRedis(redis.url);
    endings.push(() => store.close());
    const connected = async (): Promise<void> => {
      while ((await store.get('anything').catch(() => 'no')) === 'no')
        await new Promise((resolve) => setTimeout(resolve, 5));
    };
    await connected();
    expect(await writeWhileRedisHangs(naiveReader(store), redis, connected)).toEqual([2, expect.any(Number), 1]);
  });
});

/** A process commits and is killed before it drops. Another one keeps the old row; then it hears the event, or nobody does. */
async function killedBetweenCommitAndDrop(survivor: Reader, hears: boolean): Promise<number> {
  let row = 1;
  await survivor.read('1', async () => row);
  row = 2;
  if (hears) await survivor.drop('1');
  return survivor.read('1', async () => row);
}

withServer('redis', 'a process that is killed between COMMIT and drop', () => {
  it('is healed by the drop that its event makes where it is heard; without it the old row stays until its lifetime ends', async () => {
    const redis = await redisOfItsOwn();
    const cache = openCache({ redisUrl: redis.url, mode: 'on', deadlineMs: 10_000 });
    endings.push(() => cache.close());
    await cache.ready();
    expect(await killedBetweenCommitAndDrop(readerOf(cache, 'healed.row'), true)).toBe(2);
    expect(await killedBetweenCommitAndDrop(readerOf(cache, 'control.row'), false)).toBe(1);
  });
});
