import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';

import { silent } from '#libs/telemetry';

import { withServer } from '../../test/servers/needs.js';
import { startRedis, type RedisServer } from '../../test/servers/redis.js';
import { consume, publishAgain, quarantined, Relay, type Stream, type Subscription } from './index.js';
import { RedisStream } from './redis-stream.js';
import { enter, openScene, tell, type Scene } from './scene.contract.js';

const KEY = 'tributary:{events}:users';

withServer('redis', 'a Redis that loses events nobody has heard', () => {
  let server: RedisServer;
  let redis: Redis;
  let scene: Scene;
  let stream: RedisStream;
  let opened: { close(): Promise<void> }[];

  beforeAll(async () => {
    scene = await openScene();
    server = await startRedis();
    redis = new Redis(server.url);
  }, 180_000);
  afterAll(async () => {
    redis.disconnect();
    await server.stop();
    await scene.close();
  });
  beforeEach(async () => {
    await redis.flushall();
    await scene.users.query('TRUNCATE outbox');
    await scene.posts.query('TRUNCATE inbox, quarantine, ledger');
    stream = new RedisStream({ url: server.url, logger: silent, listeners: { users: ['posts'] } });
    opened = [stream];
  });
  afterEach(async () => {
    for (const one of opened.reverse()) await one.close();
  });

  function relay(over: Stream = stream, pollMs = 60_000): Relay {
    const made = new Relay({ database: scene.users, stream: over, pollMs, logger: silent });
    opened.push(made);
    return made;
  }

  function hear(): Subscription {
    const consumer = consume({
      database: scene.posts,
      stream,
      group: 'posts',
      hear: { 'profile-edited': enter },
      logger: silent,
      pausesMs: [1, 1, 1, 1],
    });
    opened.push(consumer);
    return consumer;
  }

  /** Heard: 1:1. Published and lost unread: 1:2 and 2:1. */
  async function lose(outbox: Relay, by: () => Promise<unknown> = () => redis.flushall()): Promise<void> {
    const consumer = hear();
    await tell(scene.users, [[1, 1]]);
    await outbox.settled();
    await consumer.settled();
    await consumer.close();
    await tell(scene.users, [
      [1, 2],
      [2, 1],
    ]);
    await outbox.settled();
    await by();
  }

  /** What took effect: person by person, each one's in the order of the effects. */
  async function heardAll(): Promise<string[]> {
    await hear().settled();
    return (await scene.effects()).toSorted((a, b) => parseInt(a, 10) - parseInt(b, 10));
  }

  const later = () =>
    tell(scene.users, [
      [1, 3],
      [2, 2],
      [3, 1],
    ]);
  const EVERYTHING = ['1:1', '1:2', '1:3', '2:1', '2:2', '3:1'];

  it('is given them again before anything newer: all takes effect once and in order', async () => {
    const outbox = relay();
    await lose(outbox);
    await later();
    await outbox.settled();
    expect(await heardAll()).toEqual(EVERYTHING);
    expect(await quarantined(scene.posts)).toEqual([]);
  });

  it('control: a relay that does not look at the mark leaves a gap, and takes a later event for a beginning', async () => {
    const outbox = relay({
      publish: (events) => stream.publish(events),
      subscribe: (...heard) => stream.subscribe(...heard),
      close: () => stream.close(),
    });
    await lose(outbox);
    await later();
    await outbox.settled();
    expect(await heardAll()).toEqual(['1:1', '2:2', '3:1']);
    expect(await quarantined(scene.posts)).toEqual([
      expect.objectContaining({ reason: 'version 3 came; handled so far: 1' }),
    ]);
  });

  it('is noticed by a relay that has nothing to publish', async () => {
    const outbox = relay(stream, 10);
    outbox.start();
    await lose(outbox);
    await eventually(async () => (await redis.xlen(KEY)) === 3);
    await outbox.settled();
    expect(await heardAll()).toEqual(['1:1', '1:2', '2:1']);
  });

  it('is noticed by a relay that starts after it, and asked of the database once only', async () => {
    const first = relay();
    await lose(first);
    await first.close();
    await later();
    const next = relay();
    await next.settled();
    expect(await heardAll()).toEqual(EVERYTHING);
    const before = scene.users.statements;
    await next.settled();
    // One look at the outbox, as ever.
    expect(scene.users.statements - before).toBe(1);
  });

  it('is noticed when it came back with an older copy of itself', async () => {
    const [first, next] = [relay(), relay()];
    const copies = [KEY, `${KEY}:mark`];
    await tell(scene.users, [[9, 1]]);
    await first.settled();
    for (const key of copies) await redis.copy(key, `${key}:copy`);
    await lose(first, async () => {
      for (const key of copies) await redis.rename(`${key}:copy`, key);
    });
    await first.close();
    await later();
    await next.settled();
    expect(await heardAll()).toEqual([...EVERYTHING, '9:1']);
  });

  it('is noticed by two relays, of which neither takes the other’s repair for another loss', async () => {
    const pair = [relay(stream, 20), relay(stream, 20)];
    for (const one of pair) one.start();
    await lose(pair[0]!);
    await later();
    await Promise.all(pair.map((one) => one.settled()));
    for (let nth = 4; nth < 8; nth++) {
      await tell(scene.users, [[nth, 1]]);
      await pair[nth % 2]!.settled();
    }
    const lives = await redis.hget(`${KEY}:mark`, 'life');
    const length = await redis.xlen(KEY);
    for (const one of pair) await one.settled();
    expect([await redis.hget(`${KEY}:mark`, 'life'), await redis.xlen(KEY)]).toEqual([lives, length]);
    expect(await heardAll()).toEqual([...EVERYTHING, '4:1', '5:1', '6:1', '7:1']);
  });

  describe('that lost nothing, where somebody wrote over what nobody had heard', () => {
    /** As by hand, or by a program that is not of ours: two entries are there, and are no events. */
    const overwritten = async (): Promise<void> => {
      for (const [id] of (await redis.xrange(KEY, '-', '+')).slice(-2)) {
        await redis.xdel(KEY, id);
        await redis.xadd(KEY, '*', 'event', '{"id":');
      }
    };

    it('what comes behind a gap waits, and goes on when all is published again; behind an unread beginning all goes on, but for that', async () => {
      const outbox = relay();
      await lose(outbox, overwritten);
      await later();
      await outbox.settled();
      expect(await heardAll()).toEqual(['1:1', '2:2', '3:1']);
      expect(await quarantined(scene.posts)).toHaveLength(1);

      await publishAgain(scene.users);
      await outbox.settled();
      await tell(scene.users, [[2, 3]]);
      await outbox.settled();
      expect(await heardAll()).toEqual(['1:1', '1:2', '1:3', '2:2', '2:3', '3:1']);
      expect(await quarantined(scene.posts)).toEqual([]);
    });
  });

  describe('that lost nothing', () => {
    it('keeps nothing that all have heard, though nobody publishes (control: trimmed behind what is published, it keeps the last)', async () => {
      const trimmed = new RedisStream({
        url: server.url,
        logger: silent,
        listeners: { users: ['posts'] },
        trimEveryMs: 0,
      });
      const publishes: Stream = {
        marks: trimmed.marks,
        publish: (...told) => trimmed.publish(...told),
        subscribe: (...heard) => trimmed.subscribe(...heard),
        close: () => trimmed.close(),
      };
      opened.push(trimmed);
      const consumer = hear();
      const said = async (over: Stream, nth: number): Promise<void> => {
        const outbox = relay(over, 10);
        outbox.start();
        await tell(scene.users, [[nth, 1]]);
        await outbox.settled();
        await consumer.settled();
        if (over === trimmed) await eventually(async () => (await redis.xlen(KEY)) === 0);
        // Time for one look.
        else await new Promise((resolve) => setTimeout(resolve, 1_100));
        await outbox.close();
      };
      await said(publishes, 1);
      expect(await redis.xlen(KEY)).toBe(1);
      await said(trimmed, 2);
      expect(await scene.effects()).toEqual(['1:1', '2:1']);
    });

    it('is not given anything twice by a relay that starts anew', async () => {
      const first = relay();
      await tell(scene.users, [[1, 1]]);
      await first.settled();
      await first.close();
      await tell(scene.users, [[1, 2]]);
      await relay().settled();
      expect(await redis.xlen(KEY)).toBe(2);
    });
  });
});

/** 10 s at most. */
async function eventually(holds: () => Promise<boolean>): Promise<void> {
  for (const deadline = performance.now() + 10_000; !(await holds());) {
    if (performance.now() > deadline) throw new Error(`in vain: ${holds.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
