import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { RateLimiterMemory, RateLimiterRedis } from 'rate-limiter-flexible';
import { slotOf } from '#libs/redis';
import { silent, type Logger } from '#libs/telemetry';
import { startFaultProxy, type FaultProxy } from '../../test/servers/fault-proxy.js';
import { withServer } from '../../test/servers/needs.js';
import { startRedis, startRedisCluster, tell, type RedisCluster, type RedisServer } from '../../test/servers/redis.js';
import { openBudgets, type Budget, type Budgets } from './index.js';
import { Pauses } from './pauses.js';
import { connect } from './redis.js';

const AWAY = 'Redis is not reachable; each process counts its clients for itself';
const BACK = 'Redis is back; processes count their clients together';

const some = (budget: Budget, key: string, times: number, points = 1): Promise<number[]> =>
  Array.from({ length: times }, () => points).reduce<Promise<number[]>>(
    async (before, taken) => [...(await before), await budget.take(key, taken)],
    Promise.resolve([]),
  );
const allowed = (waits: readonly number[]): number => waits.filter((wait) => wait === 0).length;

/** What holds wherever it is counted. */
function budgetContract(open: () => Promise<Budgets>): void {
  let budgets: Budgets;
  beforeAll(async () => {
    budgets = await open();
  });
  afterAll(() => budgets.close());

  it('gives as much as there is, then says how long to wait; others have their own', async () => {
    const budget = budgets.of({ name: 'a', points: 3, windowS: 600 });
    const waits = await some(budget, 'one', 5);
    expect(allowed(waits)).toBe(3);
    for (const wait of waits.slice(3)) {
      expect(wait).toBeGreaterThan(0);
      expect(wait).toBeLessThanOrEqual(600_000);
    }
    expect(await budget.take('two')).toBe(0);
    expect(await budgets.of({ name: 'b', points: 3, windowS: 600 }).take('one')).toBe(0);
  });

  it('takes many at once, and parts of a point as one', async () => {
    const budget = budgets.of({ name: 'c', points: 100, windowS: 600 });
    expect(await budget.take('one', 99.2)).toBe(0);
    expect(await budget.take('one')).toBeGreaterThan(0);
  });

  it('of a hundred who take at the same moment, as many get it as there is', async () => {
    const budget = budgets.of({ name: 'd', points: 40, windowS: 600 });
    expect(allowed(await Promise.all(Array.from({ length: 100 }, () => budget.take('one'))))).toBe(40);
  });

  it('begins anew when its window ends, and when it is forgotten', async () => {
    const budget = budgets.of({ name: 'e', points: 1, windowS: 1 });
    // Where a busy machine takes longer than that between two of them, both are in time.
    while ((await budget.take('one')) === 0);
    while ((await budget.take('one')) > 0) await new Promise((go) => setTimeout(go, 20));
    const long = budgets.of({ name: 'f', points: 2, windowS: 600 });
    await long.take('one');
    await long.forget('one');
    expect(allowed(await some(long, 'one', 3))).toBe(2);
  });
}

describe('budgets of one process', () => budgetContract(() => openBudgets({ redisUrl: undefined, logger: silent })));

withServer('redis', 'budgets in Redis', () => {
  let redis: RedisServer;
  beforeAll(async () => {
    redis = await startRedis();
  });
  afterAll(() => redis.stop());
  /** Takes until Redis has counted one: while it is not reached yet, the process counts for itself. */
  const untilCounted = async (budgets: Budgets, name: string): Promise<void> => {
    const budget = budgets.of({ name, points: 1_000, windowS: 600 });
    const before = await counted(name);
    do await budget.take('one');
    while ((await counted(name)) === before);
  };
  const counted = (name: string): Promise<string> => tell(redis.port, `GET tributary:budget:${name}:one`);
  const open = async (): Promise<Budgets> => {
    // On a busy machine as well all of it is counted there.
    const budgets = await openBudgets({ redisUrl: redis.url, logger: silent, waitMs: 10_000 });
    await untilCounted(budgets, 'opened');
    return budgets;
  };

  describe('as everywhere', () => budgetContract(open));

  it('are one for all processes (control: without Redis each has its own)', async () => {
    const rule = { name: 'shared', points: 10, windowS: 600 };
    const count = async (two: readonly Budgets[]): Promise<number> => {
      const waits = await Promise.all(two.map((budgets) => some(budgets.of(rule), 'one', 10)));
      await Promise.all(two.map((budgets) => budgets.close()));
      return allowed(waits.flat());
    };
    expect(await count([await open(), await open()])).toBe(10);
    const alone = () => openBudgets({ redisUrl: undefined, logger: silent });
    expect(await count([await alone(), await alone()])).toBe(20);
  });

  it('while Redis is away a process counts for itself, at once, and neither lets everybody through nor keeps anybody out', async () => {
    const mine = await startRedis();
    const budgets = await openBudgets({ redisUrl: mine.url, logger: silent });
    await new Promise((go) => setTimeout(go, 300));
    const budget = budgets.of({ name: 'insured', points: 5, windowS: 600 });
    expect(allowed(await some(budget, 'before', 1))).toBe(1);
    await mine.stop();
    expect(allowed(await some(budget, 'one', 20))).toBe(5);
    await budgets.close();
  });

  describe('where Redis does not answer', () => {
    /** Of takes over a second, one after another, how many waited. */
    const waited = async (take: () => Promise<unknown>, times: number): Promise<number> => {
      let count = 0;
      for (let nth = 0; nth < times; nth += 1) {
        const began = performance.now();
        await take();
        if (performance.now() - began >= 90) count += 1;
        await new Promise((go) => setTimeout(go, 1_000 / times));
      }
      return count;
    };

    it.each<[string, string, (door: FaultProxy) => void, string[]]>([
      ['says nothing', 'silent', (door) => door.set({ timeout: true }), [AWAY, BACK]],
      ['answers 200 ms late', 'late', (door) => door.set({ latency: 200 }), [AWAY, BACK]],
      ['is gone without a word (half open)', 'half', (door) => door.forgetOpen(), []],
    ])('that %s, hardly anybody waits for it, and it counts again when it is back', async (_, name, fail, said) => {
      const door = await startFaultProxy({ port: redis.port });
      const lines: string[] = [];
      const logger: Logger = { ...silent, warn: (_fields, message) => void lines.push(message) };
      const budgets = await openBudgets({ redisUrl: `redis://127.0.0.1:${door.port}`, logger });
      try {
        await untilCounted(budgets, `${name}-before`);
        fail(door);
        const budget = budgets.of({ name, points: 20, windowS: 600 });
        const waits: number[] = [];
        const count = await waited(async () => waits.push(await budget.take('one')), 60);
        expect(count).toBeGreaterThan(0);
        // One, and some more where the machine is busy.
        expect(count).toBeLessThan(20);
        // As much as there is here, and as much in Redis where it was reached again.
        expect(allowed(waits)).toBeLessThanOrEqual(40);
        door.set({});
        await untilCounted(budgets, `${name}-after`);
        expect(lines).toEqual(expect.arrayContaining(said));
      } finally {
        await budgets.close();
        await door.close();
      }
    });

    it('control: a limiter as it comes waits each time', async () => {
      const door = await startFaultProxy({ port: redis.port });
      const { redis: storeClient } = connect(`redis://127.0.0.1:${door.port}`, silent);
      await new Promise<void>((resolve) => storeClient.once('ready', () => resolve()));
      const points = { points: 1_000, duration: 600 };
      const limiter = new RateLimiterRedis({
        ...points,
        storeClient,
        rejectIfRedisNotReady: true,
        insuranceLimiter: new RateLimiterMemory(points),
      });
      try {
        await limiter.consume('one');
        door.set({ timeout: true });
        expect(await waited(() => limiter.consume('one'), 6)).toBe(6);
      } finally {
        storeClient.disconnect();
        await door.close();
      }
    });
  });

  it('say once that a Redis comes and goes, however often it does', async () => {
    const door = await startFaultProxy({ port: redis.port });
    const lines: string[] = [];
    const logger: Logger = { ...silent, warn: (_fields, message) => void lines.push(message) };
    const budgets = await openBudgets({ redisUrl: `redis://127.0.0.1:${door.port}`, logger });
    try {
      for (let nth = 0; nth < 5; nth += 1) {
        while (door.connections() === 0) await new Promise((go) => setTimeout(go, 5));
        await new Promise((go) => setTimeout(go, 50));
        door.set({ down: true });
        door.set({});
      }
      while (lines.length < 2) await new Promise((go) => setTimeout(go, 5));
      expect(lines).toEqual([AWAY, BACK]);
    } finally {
      await budgets.close();
      await door.close();
    }
  });
});

describe('a node that does not answer', () => {
  it('is asked by one a second, and by all as soon as one was answered; others meanwhile as always', () => {
    let now = 0;
    const pauses = new Pauses(() => now);
    const asked = (): boolean[] => ['one', 'other'].map((node) => pauses.mayAsk(node));
    expect(asked()).toEqual([true, true]);
    pauses.pause('one');
    expect([asked(), asked()]).toEqual([
      [false, true],
      [false, true],
    ]);
    now += 1_000;
    expect([asked(), asked()]).toEqual([
      [true, true],
      [false, true],
    ]);
    pauses.end('one');
    expect([asked(), asked()]).toEqual([
      [true, true],
      [true, true],
    ]);
  });
});

withServer('redis', 'budgets in a Redis Cluster', () => {
  let cluster: RedisCluster;
  beforeAll(async () => {
    cluster = await startRedisCluster();
  });
  afterAll(() => cluster.stop());

  it('a key is in the slot that Redis says', async () => {
    for (const key of ['', 'a', '123456789', 'tributary:budget:person:auth0|ü', 'x{tag}y', 'x{}y', '{a}{b}', 'a{b'])
      expect([key, `:${slotOf(key)}`]).toEqual([
        key,
        (await tell(cluster.nodes[0]!.port, `CLUSTER KEYSLOT "${key}"`)).trim(),
      ]);
  });

  it('a node that is silent is left alone on a busy machine too, whatever others answer meanwhile; control: not where it answers itself', async () => {
    const { redis, ...shared } = connect(cluster.url, silent);
    try {
      while (redis.status !== 'ready') await new Promise((go) => setTimeout(go, 5));
      const keyOf = (node: number) =>
        Array.from({ length: 300 }, (_, n) => `key${n}`).find(
          (key) => Math.floor((slotOf(key) * 3) / 16_384) === node,
        )!;
      const [key, other] = [keyOf(0), keyOf(1)];
      // As late as whoever was kept by the event loop.
      const miss = (answered: string): void => {
        shared.unanswered(key, new Error('Command timed out'), 500);
        shared.answered(answered);
      };
      for (let nth = 0; nth < 20; nth += 1) miss(key);
      expect([shared.mayAsk(key), shared.mayAsk(other)]).toEqual([true, true]);
      for (let nth = 0; nth < 20; nth += 1) miss(other);
      expect([shared.mayAsk(key), shared.mayAsk(other)]).toEqual([false, true]);
    } finally {
      redis.disconnect();
    }
  });

  it('where one node is silent, hardly anybody waits, and the others count together; control: a limiter as it comes waits each time', async () => {
    const budgets = await openBudgets({ redisUrl: cluster.url, logger: silent });
    const rule = { name: 'silent', points: 1_000, windowS: 600 };
    const budget = budgets.of(rule);
    const spent = budgets.of({ ...rule, points: 1 });
    const keysOf = (node: number) =>
      Array.from({ length: 300 }, (_, n) => `key${n}`)
        .filter((key) => Math.floor((slotOf(`tributary:budget:silent:${key}`) * 3) / 16_384) === node)
        .slice(0, 30);
    const counted = (node: number, key: string) =>
      tell(cluster.nodes[node]!.port, `GET tributary:budget:silent:${key}`);
    const waited = async (takes: readonly (() => Promise<unknown>)[]): Promise<number> => {
      let count = 0;
      for (const take of takes) {
        const began = performance.now();
        await take();
        if (performance.now() - began >= 90) count += 1;
      }
      return count;
    };
    const [ofSilent, ofOther] = [keysOf(0), keysOf(1)] as const;
    const { redis: storeClient } = connect(cluster.url, silent);
    const { pid } = cluster.nodes[0]!;
    try {
      for (const [node, [key]] of [ofSilent, ofOther].entries())
        do await budget.take(key!);
        while ((await counted(node, key!)).startsWith('$-1'));
      const naive = new RateLimiterRedis({ points: 1_000, duration: 600, storeClient, rejectIfRedisNotReady: true });
      const naively = (key: string) => naive.consume(key).catch(() => {});
      while (storeClient.status !== 'ready') await new Promise((go) => setTimeout(go, 5));
      // So long the others go on.
      for (const { port } of cluster.nodes) await tell(port, 'CONFIG SET cluster-node-timeout 60000');
      for (let nth = 0; nth < 2; nth += 1) await spent.take(ofSilent[1]!);
      process.kill(pid, 'SIGSTOP');
      const before = await counted(1, ofOther[1]!);
      // Who is refused from memory says nothing of the node.
      const takes = ofSilent.flatMap((key) => [
        () => budget.take(key),
        () => spent.take(ofSilent[1]!),
        () => budget.forget(key),
      ]);
      expect(await waited(takes)).toBeLessThanOrEqual(10);
      // Five in a row, and within less than a second: what a busy machine answers late, each process counts for itself.
      for (let nth = 0; nth < 5; nth += 1) await budget.take(ofOther[1]!);
      expect(await counted(1, ofOther[1]!)).not.toBe(before);
      const first = ofSilent.filter((key) => slotOf(`rlflx:${key}`) * 3 < 16_384).slice(0, 5);
      expect(await waited(first.map((key) => () => naively(key)))).toBe(first.length);
    } finally {
      process.kill(pid, 'SIGCONT');
      storeClient.disconnect();
    }
    const back = await counted(0, ofSilent[0]!);
    do await budget.take(ofSilent[0]!);
    while ((await counted(0, ofSilent[0]!)) === back);
    await budgets.close();
  });

  it('are shared there as well', async () => {
    const open = async () => {
      const lines: string[] = [];
      const logger: Logger = { ...silent, warn: (_fields, message) => void lines.push(message) };
      const budgets = await openBudgets({ redisUrl: cluster.url, logger, waitMs: 10_000 });
      await new Promise((go) => setTimeout(go, 1_000));
      // One that did not reach it at once said so, and says when it does.
      while (lines.length > 0 && !lines.includes(BACK)) await new Promise((go) => setTimeout(go, 20));
      return budgets;
    };
    const two = await Promise.all([open(), open()]);
    const rule = { name: 'clustered', points: 10, windowS: 600 };
    const keys = ['a', 'b', 'c', 'd'];
    for (const key of keys) {
      const waits = await Promise.all(two.map((budgets) => some(budgets.of(rule), key, 10)));
      expect([key, allowed(waits.flat())]).toEqual([key, 10]);
    }
    await Promise.all(two.map((budgets) => budgets.close()));
  });
});
