import { afterAll, afterEach, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { setTimeout as sleep } from 'node:timers/promises';

import { readGauges, silent, type Logger } from '#libs/telemetry';

import { startFaultProxy } from '../../test/servers/fault-proxy.js';
import { withServer } from '../../test/servers/needs.js';
import { REDIS_ERRORS, startRedis, startRedisCluster } from '../../test/servers/redis.js';
import { RedisStream, type RedisStreamOptions } from './redis-stream.js';
import { event } from './scene.contract.js';
import { TOGETHER } from './stream.js';
import { streamGauges } from './stream-gauges.js';
import { firsts, gate, numbers, streamContract } from './stream.contract.js';

const KEY = 'tributary:{events}:users';
const LISTENERS = { users: ['posts'], followers: [], posts: [] };

withServer('redis', 'the stream in Redis', (url) => {
  // A database of its own: other tests use the same keys.
  const address = `${url}/9`;
  const redis = new Redis(address, { lazyConnect: true });
  const open = async (options: { leaseMs?: number; trimEveryMs?: number } = {}) => {
    await redis.flushdb();
    const stream = another(options);
    // Within half a second, or its first command is refused: on a busy machine it is tried again.
    await eventually(() => stream.kept('users'));
    return stream;
  };
  const another = (options: Partial<RedisStreamOptions> = {}) => {
    const stream = new RedisStream({ url: address, logger: silent, listeners: LISTENERS, ...options });
    opened.push(stream);
    return stream;
  };

  const opened: RedisStream[] = [];

  afterEach(async () => {
    for (const stream of opened.splice(0)) await stream.close();
  });
  afterAll(() => redis.disconnect());

  streamContract(() => open());

  it('is waited for from the first moment on, when nobody is connected yet', async () => {
    await (await open()).publish([event(1, 1)]);
    const taken: string[] = [];
    const subscription = another().subscribe(
      'posts',
      ['users'],
      async (events) => void taken.push(...events.map(numbers)),
    );
    await subscription.settled();
    expect(taken).toEqual(['1:1']);
  });

  it('knows how far behind a group is that is down, or never came, and how much it keeps for it', async () => {
    const stream = await open();
    const gauges = (): Promise<Record<string, number>> =>
      readGauges(streamGauges(stream, 'users')).then((read) =>
        Object.fromEntries(read.map(({ gauge, value }) => [gauge.labels?.['service'] ?? 'kept', value])),
      );
    expect(await gauges()).toEqual({ users: 0, posts: 0, followers: 0, kept: 0 });
    const posts = stream.subscribe('posts', ['users'], async () => {});
    await stream.publish([event(1, 1)]);
    await posts.settled();
    await posts.close();
    await sleep(20);
    const before = await gauges();
    expect(before).toMatchObject({ posts: 0, kept: 1 });
    expect(before['followers']).toBeGreaterThanOrEqual(0.01);
    await stream.publish([event(1, 2), event(1, 3)]);
    await sleep(20);
    const down = await gauges();
    expect(down['kept']).toBe(3);
    expect(down['posts']).toBeGreaterThanOrEqual(0.01);
    expect(down['posts']).toBeLessThan(down['followers'] as number);
  });

  describe('a group ten times slower than another', () => {
    const EVENTS = 500;
    const AGGREGATES = 5;
    const MS_EACH = 2;
    const all = Array.from({ length: EVENTS }, (_, nth) =>
      event(1 + (nth % AGGREGATES), 1 + Math.floor(nth / AGGREGATES)),
    );
    /** Told as relays tell: some at a time, and not all of it at once. */
    async function heard(
      stream: RedisStream,
      whileSlow: (slow: readonly string[], goOn: () => void, toldAt: number) => Promise<void>,
    ) {
      const [quick, slow]: [string[], string[]] = [[], []];
      const go = gate();
      const subscribe = (group: string, taken: string[], msEach: number) =>
        stream.subscribe(group, ['users'], async (events) => {
          // However busy the machine is, the other is the quicker one.
          if (taken === slow) await go.passed;
          await sleep(events.length * msEach);
          taken.push(...events.map(numbers));
        });
      const followers = subscribe('followers', quick, MS_EACH / 10);
      const posts = subscribe('posts', slow, MS_EACH);
      await Promise.all([followers.settled(), posts.settled()]);
      await stream.publish(all.slice(0, 50));
      const toldAt = performance.now();
      for (let from = 50; from < EVENTS; from += 50) await stream.publish(all.slice(from, from + 50));
      await followers.settled();
      await whileSlow(slow, go.open, toldAt);
      go.open();
      await posts.settled();
      return { quick, slow };
    }
    const listeners = { ...LISTENERS, users: ['posts', 'followers'] };

    it('holds up nobody and misses nothing; what it has not heard is kept, and no more, and the gauge says for how long it waits', async () => {
      await redis.flushdb();
      const stream = another({ listeners, trimEveryMs: 0 });
      await eventually(() => stream.kept('users'));
      const gauges = async () =>
        Object.fromEntries(
          (await readGauges(streamGauges(stream, 'users'))).map(({ gauge, value }) => [
            gauge.labels?.['service'] ?? 'kept',
            value,
          ]),
        );
      const { quick, slow } = await heard(stream, async (slow, goOn, toldAt) => {
        // The other has heard everything by now.
        await stream.trim('users');
        const waitedS = (performance.now() - toldAt) / 1_000;
        const { posts: oldestS, ...first } = await gauges();
        expect([slow.length, first]).toMatchObject([0, { kept: EVENTS, followers: 0 }]);
        expect(oldestS).toBeGreaterThan(waitedS - 0.01);
        goOn();
        while (slow.length <= EVENTS / 2) await sleep(5);
        await stream.trim('users');
        // Of what it has in hand nothing is acknowledged, and at most so much.
        expect((await gauges())['kept']).toBeLessThanOrEqual(EVENTS / 2 + TOGETHER);
      });
      for (const taken of [quick, slow]) expect(taken).toEqual(all.map(numbers));
      await stream.trim('users');
      expect(await gauges()).toMatchObject({ kept: 0, posts: 0, followers: 0 });
    });

    it('(control: where the stream is kept short by length instead, it misses events that others have heard)', async () => {
      await redis.flushdb();
      const stream = another({ listeners });
      await eventually(() => stream.kept('users'));
      const { quick, slow } = await heard(stream, async () => void (await redis.xtrim(KEY, 'MAXLEN', '=', 100)));
      expect(quick).toHaveLength(EVENTS);
      expect(slow.length).toBeLessThan(EVENTS);
    });
  });

  describe('of two processes in a group', () => {
    it('one reads at a time, so a slow first event is never overtaken; the other goes on when it is gone', async () => {
      const [one, two] = [await open({ leaseMs: 2_000 }), another({ leaseMs: 2_000 })];
      const taken: string[] = [];
      const [begun, go] = [gate(), gate()];
      // The first process falls asleep with v1 in its hands, as by SIGSTOP, and wakes up much later.
      const first = one.subscribe('posts', ['users'], async (events) => {
        begun.open();
        await go.passed;
        taken.push(...events.map((came) => `late ${numbers(came)}`));
      });
      await one.publish([event(1, 1)]);
      await begun.passed;
      const second = two.subscribe('posts', ['users'], async (events) => void taken.push(...events.map(numbers)));
      await one.publish([event(1, 2)]);
      expect(taken).toEqual([]);
      await second.settled();
      expect(taken).toEqual(['1:1', '1:2']);
      go.open();
      await one.publish([event(1, 3)]);
      await second.settled();
      await first.close();
      // What it held it tells again, which an inbox forgives; nothing new was given to it.
      expect(firsts(taken).filter((one) => !one.startsWith('late'))).toEqual(['1:1', '1:2', '1:3']);
      expect(taken.filter((one) => one.startsWith('late'))).toEqual(['late 1:1']);
    });

    it('control: two readers of a plain consumer group reorder one aggregate', async () => {
      const stream = await open();
      await redis.xgroup('CREATE', KEY, 'posts', '0', 'MKSTREAM');
      await stream.publish([event(1, 1), event(1, 2)]);
      const read = (reader: string) => redis.xreadgroup('GROUP', 'posts', reader, 'COUNT', 1, 'STREAMS', KEY, '>');
      const taken: string[] = [];
      const handle = (entries: unknown, pauseMs: number) => sleep(pauseMs).then(() => taken.push(versionOf(entries)));
      const [slow, fast] = [await read('slow'), await read('fast')];
      await Promise.all([handle(slow, 20), handle(fast, 0)]);
      expect(taken).toEqual(['2', '1']);
    });

    it('a closed one hands over at once', async () => {
      const [one, two] = [await open({ leaseMs: 60_000 }), another({ leaseMs: 60_000 })];
      const first = one.subscribe('posts', ['users'], async () => undefined);
      await one.publish([event(1, 1)]);
      await first.settled();
      await first.close();
      const taken: string[] = [];
      const second = two.subscribe('posts', ['users'], async (events) => void taken.push(...events.map(numbers)));
      await one.publish([event(1, 2)]);
      await second.settled();
      expect(taken).toEqual(['1:2']);
    });
  });

  describe('trimming', () => {
    it('takes away what every group has acknowledged, and nothing else', async () => {
      const stream = await open({ trimEveryMs: 0 });
      const [begun, go] = [gate(), gate()];
      const quick = stream.subscribe('quick', ['users'], async () => undefined);
      let calls = 0;
      const slow = stream.subscribe('posts', ['users'], async () => {
        if (calls++ === 0) return;
        begun.open();
        await go.passed;
      });
      await stream.publish([event(1, 1), event(2, 1)]);
      await quick.settled();
      await slow.settled();
      await stream.publish([event(1, 2)]);
      await begun.passed;
      await quick.settled();
      for (let version = 3; version < 10; version++) await stream.publish([event(1, version)]);
      await quick.settled();
      const kept = (await redis.xrange(KEY, '-', '+')).map(
        ([, fields]) => JSON.parse(fields[1] ?? '').aggregateVersion,
      );
      expect(kept).toEqual([2, 3, 4, 5, 6, 7, 8, 9]);
      go.open();
      await slow.settled();
      await stream.publish([event(1, 10)]);
      expect(await redis.xlen(KEY)).toBeLessThanOrEqual(2);
    });

    it('takes away the last too when all have heard it, and who comes then waits for nothing and misses nothing', async () => {
      const stream = await open({ trimEveryMs: 0 });
      await stream.trim('users');
      const taken: string[] = [];
      const posts = stream.subscribe('posts', ['users'], async (events) => void taken.push(...events.map(numbers)));
      await stream.publish([event(1, 1), event(1, 2)]);
      await posts.settled();
      await stream.trim('users');
      expect(await redis.xlen(KEY)).toBe(0);
      const late = stream.subscribe('late', ['users'], async (events) => void taken.push(...events.map(numbers)));
      await late.settled(2_000);
      await stream.publish([event(1, 3)]);
      await Promise.all([posts.settled(), late.settled()]);
      expect(taken).toEqual(['1:1', '1:2', '1:3', '1:3']);
      expect(await stream.unheardMs('users', 'late')).toBe(0);
    });

    it('waits for a group that it does not know while somebody reads for it, then no longer, and says so once', async () => {
      const said: object[] = [];
      const logger = { ...silent, warn: (fields: object) => void said.push(fields) };
      await redis.flushdb();
      const stream = another({ logger, trimEveryMs: 0, strangerMs: 3_000 });
      await eventually(() => stream.kept('users'));
      const posts = stream.subscribe('posts', ['users'], async () => undefined);
      const renamed = stream.subscribe('renamed', ['users'], async () => undefined);
      await stream.publish([event(1, 1)]);
      await Promise.all([posts.settled(), renamed.settled()]);
      await renamed.close();
      await stream.publish([event(1, 2)]);
      await posts.settled();
      await stream.trim('users');
      expect([await redis.xlen(KEY), said]).toEqual([1, []]);
      await sleep(3_010);
      for (let times = 0; times < 3; times += 1) await stream.trim('users');
      expect([await redis.xlen(KEY), said]).toEqual([0, [expect.objectContaining({ group: 'renamed' })]]);
    });

    it('waits for a listener that has never been there', async () => {
      const stream = await open({ trimEveryMs: 0 });
      const quick = stream.subscribe('quick', ['users'], async () => undefined);
      for (let version = 1; version <= 10; version++) await stream.publish([event(1, version)]);
      await quick.settled();
      await stream.publish([event(1, 11)]);
      expect(await redis.xlen(KEY)).toBe(11);
      const taken: string[] = [];
      const posts = stream.subscribe('posts', ['users'], async (events) => void taken.push(...events.map(numbers)));
      await posts.settled();
      expect(taken).toHaveLength(11);
    });

    it('control: MAXLEN takes the payload from under a slow group', async () => {
      const stream = await open();
      await redis.xgroup('CREATE', KEY, 'posts', '0', 'MKSTREAM');
      await stream.publish([event(1, 1)]);
      await redis.xreadgroup('GROUP', 'posts', 'died', 'COUNT', 1, 'STREAMS', KEY, '>');
      await redis.xadd(KEY, 'MAXLEN', 1, '*', 'event', JSON.stringify(event(2, 1)));
      const [, claimed, lost] = (await redis.xautoclaim(KEY, 'posts', 'heir', 0, '0')) as [string, unknown[], string[]];
      expect([claimed, lost]).toEqual([[], [expect.any(String)]]);
    });
  });

  it('leaves out an entry that is no event, says so, and goes on', async () => {
    await redis.flushdb();
    const said: object[] = [];
    const logger = { ...silent, error: (fields: object) => void said.push(fields) };
    const stream = another({ logger });
    await eventually(() => stream.kept('users'));
    await redis.xadd(KEY, '*', 'event', '{"id":"');
    await redis.xadd(KEY, '*', 'nothing', 'here');
    await redis.xadd(KEY, '*', 'event', JSON.stringify({ ...event(1, 1), aggregateVersion: 0 }));
    // The other is too large in bytes, not in characters.
    for (const handle of ['x'.repeat(10_000_000), 'é'.repeat(200_000)])
      await redis.xadd(KEY, '*', 'event', JSON.stringify({ ...event(1, 1), payload: { userId: 'x', handle } }));
    const taken: string[] = [];
    const subscription = stream.subscribe(
      'posts',
      ['users'],
      async (events) => void taken.push(...events.map(numbers)),
    );
    await stream.publish([event(1, 1)]);
    await subscription.settled();
    expect(taken).toEqual(['1:1']);
    expect(said).toHaveLength(5);
    const tooLarge = { why: expect.stringContaining('more than 262144 bytes') };
    expect(said.slice(3)).toMatchObject([tooLarge, tooLarge]);
  });

  it('starts again from the beginning when Redis lost everything, and hears what is published from then on', async () => {
    const stream = await open();
    const taken: string[] = [];
    const subscription = stream.subscribe(
      'posts',
      ['users'],
      async (events) => void taken.push(...events.map(numbers)),
    );
    await stream.publish([event(1, 1)]);
    await subscription.settled();
    await redis.flushdb();
    await stream.publish([event(1, 2)]);
    await eventually(() => taken.includes('1:2'));
    expect(taken).toEqual(['1:1', '1:2']);
  });

  it('refuses to publish while Redis is gone, is full, or is only a replica, and goes on when it is back', async () => {
    let server = await startRedis();
    const said: string[] = [];
    const logger = { ...silent, warn: (_: object, message: string) => void said.push(message) };
    const stream = another({ url: server.url, logger });
    await eventually(() => stream.kept('users'));
    const taken: string[] = [];
    const subscription = stream.subscribe(
      'posts',
      ['users'],
      async (events) => void taken.push(...events.map(numbers)),
    );
    await stream.publish([event(1, 1)]);
    await subscription.settled();
    const admin = new Redis(server.url);

    await admin.config('SET', 'maxmemory', '1');
    await expect(stream.publish([event(1, 2)])).rejects.toThrow(/OOM|EXECABORT/);
    await admin.config('SET', 'maxmemory', '0');
    await stream.publish([event(1, 2)]);
    await subscription.settled();

    await admin.replicaof('127.0.0.1', '1');
    await expect(stream.publish([event(1, 3)])).rejects.toThrow();
    await admin.replicaof('NO', 'ONE');
    await eventually(() => stream.publish([event(1, 3)]));
    await subscription.settled();
    admin.disconnect();

    const { port } = server;
    await server.stop();
    await expect(stream.publish([event(1, 4)])).rejects.toThrow();
    server = await startRedis({ port });
    await eventually(() => stream.publish([event(1, 4)]));
    await eventually(() => taken.includes('1:4'));
    expect(firsts(taken)).toEqual(['1:1', '1:2', '1:3', '1:4']);
    // However often it was tried meanwhile; on a busy machine it may be back before it was tried at all.
    expect(said.filter((message) => message.startsWith('The stream cannot be read')).length).toBeLessThan(2);
    await server.stop();
  });

  it('a Redis that answers everything with an error fails a publish with it, fills no log, and goes on when it is over', async () => {
    const server = await startRedis();
    const door = await startFaultProxy({ port: server.port });
    const said: string[] = [];
    const say = (_: object, message: string): void => void said.push(message);
    const logger: Logger = { ...silent, info: say, warn: say, error: say };
    const stream = another({ url: `redis://127.0.0.1:${door.port}`, logger });
    const taken: string[] = [];
    stream.subscribe('posts', ['users'], async (events) => void taken.push(...events.map(numbers)));
    await eventually(() => stream.publish([event(1, 1)]));
    await eventually(() => taken.includes('1:1'));
    for (const [nth, redisError] of REDIS_ERRORS.entries()) {
      door.set({ redisError });
      const [code = ''] = redisError.split(' ');
      const publish = (): Promise<unknown> => stream.publish([event(1, nth + 2)]);
      // What is sent into a connection that is just being cut waits there for its second.
      await sleep(50);
      // Until there is another one.
      await eventually(() => expect(publish()).rejects.toThrow(code));
      said.length = 0;
      for (let times = 0; times < 10; times += 1) {
        await expect(publish()).rejects.toThrow(code);
        await sleep(10);
      }
      expect(said.length).toBe(new Set(said).size);
      door.set({});
      await eventually(publish);
    }
    await eventually(() => taken.includes('1:4'));
    expect(firsts(taken)).toEqual(['1:1', '1:2', '1:3', '1:4']);
    await stream.close();
    await door.close();
    await server.stop();
  });

  it('a Redis that is connected but answers nothing fails a publish by its deadline', async () => {
    const server = await startRedis();
    const stream = another({ url: server.url });
    await eventually(() => stream.publish([event(1, 1)]));
    process.kill(server.pid, 'SIGSTOP');
    await expect(stream.publish([event(1, 2)])).rejects.toThrow(/timed out/i);
    process.kill(server.pid, 'SIGCONT');
    await server.stop();
  });

  it('connections that are half open are made anew, and what is published on the new ones is heard', async () => {
    const server = await startRedis();
    const door = await startFaultProxy({ port: server.port });
    const stream = another({ url: `redis://127.0.0.1:${door.port}` });
    const taken: string[] = [];
    stream.subscribe('posts', ['users'], async (events) => void taken.push(...events.map(numbers)));
    await eventually(() => stream.publish([event(1, 1)]));
    while (taken.length < 1) await sleep(10);
    door.forgetOpen();
    // (control: a connection of ioredis as it comes answers nobody any more, however long one waits)
    const plain = new Redis(door.port, { commandTimeout: 200 });
    await eventually(() => plain.ping());
    door.forgetOpen();
    for (let nth = 0; nth < 5; nth += 1) await expect(plain.ping()).rejects.toThrow('Command timed out');
    plain.disconnect();
    await eventually(() => stream.publish([event(1, 2)]));
    while (taken.length < 2) await sleep(10);
    expect(firsts(taken)).toEqual(['1:1', '1:2']);
    await stream.close();
    await door.close();
    await server.stop();
  });
});

withServer('redis', 'a Redis that comes and goes', (url) => {
  it('is told of once by all connections of a stream together (control: line by line it is one each time)', async () => {
    const { hostname, port } = new URL(url);
    const door = await startFaultProxy({ host: hostname, port: Number(port) });
    const lines: string[] = [];
    const logger: Logger = { ...silent, warn: (_fields, message) => void lines.push(message) };
    const through = `redis://127.0.0.1:${door.port}/9`;
    const stream = new RedisStream({ url: through, logger, listeners: LISTENERS });
    const subscription = stream.subscribe('posts', ['users', 'followers'], async () => {});
    const plain = new Redis(through, { retryStrategy: () => 20, maxRetriesPerRequest: null });
    let [isTold, told] = [false, 0];
    plain.on('error', () => {
      if (!isTold) told += 1;
      isTold = true;
    });
    plain.on('ready', () => (isTold = false));
    try {
      for (let nth = 0; nth < 4; nth += 1) {
        await eventually(() => stream.kept('users'));
        await plain.ping();
        const noticed = new Promise<void>((resolve) => plain.once('close', resolve));
        door.set({ down: true });
        door.set({});
        await noticed;
      }
      await eventually(() => stream.kept('users'));
      expect(told).toBeGreaterThanOrEqual(3);
      expect(lines.filter((line) => line.startsWith('Redis is'))).toEqual([
        'Redis is not reachable; events wait in the outbox',
        'Redis is reachable again',
      ]);
    } finally {
      plain.disconnect();
      await subscription.close();
      await stream.close();
      await door.close();
    }
  });
});

withServer('redis', 'the stream in a Redis Cluster', () => {
  it('keeps its keys in one slot, so scripts and transactions find them', async () => {
    const cluster = await startRedisCluster();
    const stream = new RedisStream({ url: cluster.url, logger: silent, listeners: LISTENERS, trimEveryMs: 0 });
    const taken: string[] = [];
    const subscription = stream.subscribe(
      'posts',
      ['users'],
      async (events) => void taken.push(...events.map(numbers)),
    );
    await eventually(() => stream.publish([event(1, 1), event(2, 1)]));
    await subscription.settled();
    await stream.publish([event(1, 2)]);
    await subscription.settled();
    expect(taken).toEqual(['1:1', '2:1', '1:2']);
    await subscription.close();
    await stream.close();
    await cluster.stop();
  });
});

/** Until it answers neither false nor an error; 10 s at most. */
async function eventually(holds: () => unknown): Promise<void> {
  const deadline = performance.now() + 10_000;
  for (;;) {
    try {
      if ((await holds()) !== false) return;
    } catch (error) {
      if (performance.now() > deadline) throw error;
    }
    if (performance.now() > deadline) throw new Error(`in vain: ${holds.toString()}`);
    await sleep(10);
  }
}

function versionOf(entries: unknown): string {
  return /"aggregateVersion":(\d+)/.exec(JSON.stringify(entries).replaceAll('\\', ''))?.[1] ?? '';
}
