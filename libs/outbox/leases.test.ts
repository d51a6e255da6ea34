import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';

import { provisionServices } from '#libs/database';
import type { Envelope } from '#libs/events';
import { silent } from '#libs/telemetry';

import { withServer } from '../../test/servers/needs.js';
import { startRedis, type RedisServer } from '../../test/servers/redis.js';
import { publishAgain, Relay, type Stream } from './index.js';
import { RedisStream } from './redis-stream.js';
import { LeaseLost } from './stream.js';
import { event, openScene, record, tell, type Scene } from './scene.contract.js';
import { gate, numbers } from './stream.contract.js';

const KEY = 'tributary:{events}:users';
/** A busy machine may stand still for longer than a shorter one. */
const LEASE_MS = 2_000;

withServer(['postgres', 'redis'], 'relays that share an outbox', (url) => {
  let scene: Scene;
  let server: RedisServer;
  let redis: Redis;
  let stream: RedisStream;
  let relays: Relay[];

  beforeAll(async () => {
    const passwords = { users: 'secret', posts: 'secret' };
    const urls = await provisionServices(url, ['users', 'posts'], passwords, { prefix: 'leases_test_' });
    scene = await openScene({ users: urls['users'] ?? '', posts: urls['posts'] ?? '' });
    server = await startRedis();
    redis = new Redis(server.url);
  });
  afterAll(async () => {
    redis.disconnect();
    await server.stop();
    await scene.close();
  });
  beforeEach(async () => {
    await redis.flushall();
    await scene.users.query('TRUNCATE outbox, relay_leases, relays');
    // Nobody listens, so nothing is trimmed.
    stream = new RedisStream({ url: server.url, logger: silent, listeners: { users: ['nobody yet'] } });
    relays = [];
  });
  afterEach(async () => {
    await Promise.all(relays.map((one) => one.close()));
    await stream.close();
  });

  function relay(options: { stream?: Stream; ranges?: number; pollMs?: number; clock?: () => number } = {}): Relay {
    const made = new Relay({
      database: scene.users,
      stream,
      pollMs: 20,
      leaseMs: LEASE_MS,
      logger: silent,
      ...options,
    });
    relays.push(made);
    made.start();
    return made;
  }

  /** All that the stream holds, `<person>:<version>` in its order. */
  async function onTheStream(): Promise<string[]> {
    const entries = await redis.xrange(KEY, '-', '+');
    return entries.map(([, fields]) => numbers(JSON.parse(fields[1] ?? '') as Envelope));
  }

  /** The stream, but a call of `publish` waits at the gate before or after it has had its effect. */
  function held(at: 'before' | 'after', begun: () => void, passed: Promise<void>, over: Stream = stream): Stream {
    let first = true;
    return {
      ...(over.marks === undefined ? {} : { marks: over.marks }),
      subscribe: (...heard) => over.subscribe(...heard),
      close: () => over.close(),
      publish: async (events, expected) => {
        const isHeld = first;
        first = false;
        if (isHeld && at === 'before') {
          begun();
          await passed;
        }
        await over.publish(events, expected);
        if (isHeld && at === 'after') {
          begun();
          await passed;
        }
      },
    };
  }

  /** The stream, but for these. */
  const through = (parts: Partial<Stream>): Stream => ({
    marks: stream.marks,
    publish: (...batch) => stream.publish(...batch),
    subscribe: (...heard) => stream.subscribe(...heard),
    close: () => stream.close(),
    ...parts,
  });

  /** A relay falls asleep over its batch; another takes over and publishes it and what comes after it; the first wakes up. */
  async function asleep(at: 'before' | 'after', over: Stream = stream): Promise<string[]> {
    const [begun, go] = [gate(), gate()];
    relay({ stream: held(at, begun.open, go.passed, over) });
    await tell(scene.users, [
      [1, 1],
      [1, 2],
    ]);
    await begun.passed;
    const next = relay({ stream: over });
    await tell(scene.users, [[1, 3]]);
    await next.settled(20_000);
    go.open();
    await Promise.all(relays.map((one) => one.close()));
    return onTheStream();
  }

  it('one that slept before it published is refused: nothing is on the stream twice', async () => {
    expect(await asleep('before')).toEqual(['1:1', '1:2', '1:3']);
  });

  it('one that slept after it published left its batch to be marked, not to be published again', async () => {
    expect(await asleep('after')).toEqual(['1:1', '1:2', '1:3']);
    expect(await unpublished()).toBe(0);
  });

  /** The lock is the same, but nobody compares a token. */
  const withoutToken = (): Stream => ({
    subscribe: (...heard) => stream.subscribe(...heard),
    close: () => stream.close(),
    publish: (events) => stream.publish(events),
  });

  it.each(['before', 'after'] as const)(
    'control: a lock without a token, asleep %s it published, tells events twice and the older ones last',
    async (at) => {
      const told = await asleep(at, withoutToken());
      expect(told.toSorted((a, b) => a.localeCompare(b))).toEqual(['1:1', '1:1', '1:2', '1:2', '1:3']);
      if (at === 'before') expect(told.at(-1)).toBe('1:2');
    },
  );

  it('one whose batch was taken, and whose answer was lost, marks it and does not publish it again', async () => {
    let lost = 0;
    const answerless = through({
      publish: async (events, expected) => {
        await stream.publish(events, expected);
        if (++lost % 2 === 1) throw new Error('the connection is gone');
      },
    });
    const only = relay({ stream: answerless });
    for (let version = 1; version <= 4; version++) {
      await tell(scene.users, [[1, version]]);
      await only.settled(20_000);
    }
    expect(await onTheStream()).toEqual(['1:1', '1:2', '1:3', '1:4']);
  });

  it('one that could not mark what it published marks it later, and does not publish it again', async () => {
    await scene.users.query('CREATE SEQUENCE refused');
    await scene.users.query(
      `CREATE FUNCTION refuse_once() RETURNS trigger LANGUAGE plpgsql AS
       $$ BEGIN IF nextval('refused') = 1 THEN RAISE EXCEPTION 'no space left'; END IF; RETURN NEW; END $$`,
    );
    await scene.users.query(
      'CREATE TRIGGER refusing BEFORE UPDATE ON outbox FOR EACH ROW EXECUTE FUNCTION refuse_once()',
    );
    try {
      const only = relay();
      await tell(scene.users, [[1, 1]]);
      await only.settled();
      await tell(scene.users, [[1, 2]]);
      await only.settled();
    } finally {
      await scene.users.query('DROP TRIGGER refusing ON outbox');
      await scene.users.query('DROP FUNCTION refuse_once');
      await scene.users.query('DROP SEQUENCE refused');
    }
    expect(await onTheStream()).toEqual(['1:1', '1:2']);
  });

  it('one publishes at a time; closed, it gives the range back at once', async () => {
    const [first, second] = [relay(), relay()];
    await tell(scene.users, [[1, 1]]);
    await first.settled();
    const holders = async () =>
      scene.users.query<{ holder: string }>('SELECT holder FROM relay_leases WHERE until > clock_timestamp()');
    expect(await holders()).toHaveLength(1);
    const [before] = await holders();
    await first.close();
    await second.close();
    const third = relay();
    await tell(scene.users, [[1, 2]]);
    await third.settled();
    expect((await holders())[0]?.holder).not.toBe(before?.holder);
    expect(await onTheStream()).toEqual(['1:1', '1:2']);
  });

  it('three share six ranges evenly, and each event is on the stream once, each aggregate in order', async () => {
    const trio = [relay({ ranges: 6 }), relay({ ranges: 6 }), relay({ ranges: 6 })];
    const holders = () =>
      scene.users.query<{ ranges: number }>(
        'SELECT count(*)::int AS ranges FROM relay_leases WHERE until > clock_timestamp() GROUP BY holder',
      );
    await eventually(async () => {
      const counts = (await holders()).map(({ ranges }) => ranges);
      return counts.length === 3 && counts.every((count) => count === 2);
    });
    for (let version = 1; version <= 5; version++) {
      await tell(
        scene.users,
        Array.from({ length: 50 }, (_, nth) => [nth, version] as const),
      );
    }
    for (const one of trio) await one.settled(20_000);
    const told = await onTheStream();
    expect(told).toHaveLength(250);
    for (let nth = 0; nth < 50; nth++) {
      const mine = told.filter((one) => one.startsWith(`${nth}:`));
      expect(mine).toEqual([1, 2, 3, 4, 5].map((version) => `${nth}:${version}`));
    }
  });

  it('relays that divide the aggregates otherwise wait until the others are gone', async () => {
    const one = relay({ ranges: 1 });
    await tell(scene.users, [[1, 1]]);
    await one.settled();
    const other = relay({ ranges: 4 });
    await tell(scene.users, [[1, 2]]);
    await other.settled();
    expect((await scene.users.query('SELECT FROM relay_leases WHERE ranges = 4')).length).toBe(0);
    await one.close();
    await tell(scene.users, [[1, 3]]);
    await other.settled();
    expect((await scene.users.query('SELECT FROM relay_leases WHERE ranges = 4')).length).toBe(4);
    // Another division has marks of its own, so what is retained is told once more before what is new.
    expect(await onTheStream()).toEqual(['1:1', '1:2', '1:1', '1:2', '1:3']);
  });

  it('one that slept before it published, while the aggregates were divided anew, is refused', async () => {
    const [begun, go] = [gate(), gate()];
    const slept = relay({ stream: held('before', begun.open, go.passed) });
    await tell(scene.users, [[1, 1]]);
    await begun.passed;
    await runOut();
    const next = relay({ ranges: 4 });
    await tell(scene.users, [[1, 2]]);
    await next.settled(20_000);
    go.open();
    await slept.close();
    expect(await onTheStream()).toEqual(['1:1', '1:2']);
    await next.close();
    // Divided as before: it goes on, after what is retained.
    await tell(scene.users, [[1, 3]]);
    await relay().settled(20_000);
    expect(await onTheStream()).toEqual(['1:1', '1:2', '1:1', '1:2', '1:3']);
  });

  it('one that slept after it published, while the aggregates were divided anew, marks nothing', async () => {
    const [begun, go, nextBegun, goNext] = [gate(), gate(), gate(), gate()];
    const slept = relay({ stream: held('after', begun.open, go.passed) });
    await tell(scene.users, [[1, 1]]);
    await begun.passed;
    await runOut();
    const next = relay({ ranges: 4, stream: held('before', nextBegun.open, goNext.passed) });
    await nextBegun.passed;
    go.open();
    await slept.close();
    const left = await unpublished();
    goNext.open();
    await next.settled(20_000);
    expect([left, await unpublished()]).toEqual([1, 0]);
  });

  it.each([5, -5])('clocks that are %d minutes wrong change nothing', async (minutes) => {
    const pair = [relay(), relay({ clock: () => Date.now() + minutes * 60_000 })];
    for (let version = 1; version <= 20; version++) await tell(scene.users, [[1, version]]);
    for (const one of pair) await one.settled(20_000);
    expect(await onTheStream()).toEqual(Array.from({ length: 20 }, (_, before) => `1:${before + 1}`));
  });

  it('a PostgreSQL that was set back to an older day gets tokens above those that Redis has seen', async () => {
    const first = relay();
    await tell(scene.users, [[1, 1]]);
    await first.settled();
    await first.close();
    await scene.users.query(`SELECT setval('relay_token', 1)`);
    await redis.hset(`${KEY}:mark`, 'token', 1_000_000);
    const next = relay();
    await tell(scene.users, [[1, 2]]);
    await next.settled();
    expect(await onTheStream()).toEqual(['1:1', '1:2']);
  });

  it.each(['lower than', 'the same as', 'higher than'] as const)(
    'a new PostgreSQL behind a Redis that remembers tells everything, with tokens %s those that Redis has seen',
    async (tokens) => {
      await newPostgres();
      const first = relay();
      await tell(scene.users, [
        [1, 1],
        [2, 1],
        [3, 1],
      ]);
      await first.settled();
      await first.close();
      const [seen] = await scene.users.query<{ token: string }>('SELECT max(token)::text AS token FROM relay_leases');
      await newPostgres();
      const token = Number(seen?.token) + { 'lower than': -1, 'the same as': 0, 'higher than': 1 }[tokens];
      // The sequence gives the next after it.
      await scene.users.query(`SELECT setval('relay_token', $1)`, [token - 1]);
      await tell(scene.users, [
        [4, 1],
        [5, 1],
        [6, 1],
      ]);
      await relay().settled();
      expect(await onTheStream()).toEqual(['1:1', '2:1', '3:1', '4:1', '5:1', '6:1']);
    },
  );

  it('a new PostgreSQL notices that Redis lost events, though an older one had told it more', async () => {
    const first = relay();
    await tell(
      scene.users,
      Array.from({ length: 50 }, (_, nth) => [nth, 1] as const),
    );
    await first.settled();
    await first.close();
    await newPostgres();
    const second = relay();
    await tell(scene.users, [[101, 1]]);
    await second.settled();
    const marked = await redis.hgetall(`${KEY}:mark`);
    await tell(scene.users, [[102, 1]]);
    await second.settled();
    // A failover to a replica that was behind: the last event is gone, and the mark is as it was before.
    const [last] = await redis.xrevrange(KEY, '+', '-', 'COUNT', 1);
    await redis.xdel(KEY, last?.[0] ?? '');
    await redis.del(`${KEY}:mark`);
    await redis.hset(`${KEY}:mark`, marked);
    await tell(scene.users, [[103, 1]]);
    await second.settled();
    expect((await onTheStream()).slice(-3)).toEqual(['101:1', '102:1', '103:1']);
  });

  it('told to publish again, it does, though the stream remembers its last batch', async () => {
    const first = relay();
    await tell(scene.users, [[1, 1]]);
    await first.settled();
    await first.close();
    expect(await publishAgain(scene.users)).toBe(1);
    await relay().settled();
    expect(await onTheStream()).toEqual(['1:1', '1:1']);
  });

  it('told to publish again while it takes over, it does not mark what its predecessor published', async () => {
    const [begun, go] = [gate(), gate()];
    const slept = relay({ stream: held('after', begun.open, go.passed) });
    await tell(scene.users, [[1, 1]]);
    await begun.passed;
    await runOut();
    let times = 0;
    const told = through({
      marks: {
        ...stream.marks,
        take: async (...range) => {
          const found = await stream.marks.take(...range);
          if (times++ === 0) await publishAgain(scene.users);
          return found;
        },
      },
    });
    await relay({ stream: told }).settled(20_000);
    go.open();
    await slept.close();
    expect([await onTheStream(), await unpublished()]).toEqual([['1:1', '1:1'], 0]);
  });

  it('told to publish again while it marks, it does', async () => {
    await scene.users.query(
      `CREATE FUNCTION wait_at_mark() RETURNS trigger LANGUAGE plpgsql AS
       $$ BEGIN PERFORM pg_advisory_xact_lock_shared(42); RETURN NEW; END $$`,
    );
    await scene.users.query(
      `CREATE TRIGGER waiting BEFORE UPDATE ON outbox FOR EACH ROW WHEN (NEW.published_at IS NOT NULL)
       EXECUTE FUNCTION wait_at_mark()`,
    );
    const waits = (count: number) => async () =>
      (
        await scene.users.query(
          `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
        )
      ).length === count;
    try {
      let again: Promise<number> | undefined;
      await scene.users.transaction(async (tx) => {
        await tx.query('SELECT pg_advisory_xact_lock(42)');
        relay();
        await tell(scene.users, [[1, 1]]);
        await eventually(waits(1));
        let isDone = false;
        again = publishAgain(scene.users).finally(() => (isDone = true));
        await eventually(async () => isDone || (await waits(2)()));
      });
      expect(await again).toBe(1);
      await relays[0]?.settled(20_000);
    } finally {
      await scene.users.query('DROP TRIGGER waiting ON outbox');
      await scene.users.query('DROP FUNCTION wait_at_mark');
    }
    // Once more than that where the relay published before it knew that its lease had ended.
    expect([new Set(await onTheStream()), await unpublished()]).toEqual([new Set(['1:1']), 0]);
    expect(await redis.xlen(KEY)).toBeGreaterThan(1);
  });

  describe('a Redis that lost what a slow transaction told, when later ones had been published', () => {
    const MARKED = [KEY, `${KEY}:mark`];

    /** 2:1 has a lower position than 1:1, is published after it, and is lost. */
    async function loseTheSlow(one: Relay): Promise<void> {
      await tell(scene.users, [[9, 1]]);
      await scene.users.transaction(async (tx) => {
        await record(tx, [[2, 1]]);
        await tell(scene.users, [[1, 1]]);
        await one.settled(20_000);
        for (const key of MARKED) await redis.copy(key, `${key}:copy`);
      });
      await one.settled(20_000);
      expect(await onTheStream()).toEqual(['9:1', '1:1', '2:1']);
    }

    async function restore(): Promise<void> {
      const keys = MARKED.map((key) => [`${key}:copy`, key] as const);
      await redis.multi(keys.map((pair) => ['rename', ...pair])).exec();
    }

    const AGAIN = ['9:1', '1:1', '9:1', '2:1', '1:1'];

    it('is noticed by a relay that has nothing to publish', async () => {
      await loseTheSlow(relay());
      await restore();
      await eventually(async () => (await redis.xlen(KEY)) === AGAIN.length);
      expect(await onTheStream()).toEqual(AGAIN);
    });

    it('is noticed before anything newer is published', async () => {
      const one = relay({ pollMs: 60_000 });
      await loseTheSlow(one);
      await restore();
      await tell(scene.users, [[3, 1]]);
      await one.settled(20_000);
      expect(await onTheStream()).toEqual([...AGAIN, '3:1']);
    });

    it.each([true, false])(
      'is noticed by a relay that starts after it (control, where batches are not counted: %s)',
      async (counts) => {
        const one = relay();
        await loseTheSlow(one);
        await one.close();
        const batches = await redis.hget(`${KEY}:mark`, 'batches');
        await restore();
        if (!counts) await redis.hset(`${KEY}:mark`, 'batches', batches ?? 0);
        await relay().settled(20_000);
        expect(await onTheStream()).toEqual(counts ? AGAIN : ['9:1', '1:1']);
      },
    );

    it('takes nothing for lost beside a relay of a program that counts no batches', async () => {
      const one = relay();
      await tell(scene.users, [[1, 1]]);
      await one.settled(20_000);
      await one.close();
      // As it leaves a batch: on the stream, in the mark, and not marked any more by it.
      await tell(scene.users, [[2, 1]]);
      const [row] = await scene.users.query<{ position: string; id: string }>(
        'SELECT position::text, id FROM outbox WHERE published_at IS NULL',
      );
      const [lease] = await scene.users.query<{ token: string }>(
        `UPDATE relay_leases SET token = nextval('relay_token') RETURNING token::text`,
      );
      const { position = '', id = '' } = row ?? {};
      const { token = '' } = lease ?? {};
      await redis.xadd(KEY, '*', 'event', JSON.stringify(event(2, 1)));
      await redis.hset(`${KEY}:mark`, {
        highest: position,
        token,
        'last-token': token,
        last: position,
        'last-ids': id,
      });
      const next = relay();
      await tell(scene.users, [[3, 1]]);
      await next.settled(20_000);
      expect(await onTheStream()).toEqual(['1:1', '2:1', '3:1']);
    });
  });

  it('a life that another relay began is gone on with, by its number of batches: it is no second loss', async () => {
    const one = relay();
    for (const version of [1, 2]) {
      await tell(scene.users, [[1, version]]);
      await one.settled(20_000);
    }
    await redis.hset(`${KEY}:mark`, { life: 'another', batches: 7 });
    await eventually(async () => (await redis.xlen(KEY)) === 4);
    await one.settled(20_000);
    expect(await redis.hmget(`${KEY}:mark`, 'life', 'batches')).toEqual(['another', '8']);
    expect(await onTheStream()).toEqual(['1:1', '1:2', '1:1', '1:2']);
  });

  it('where one range is another’s by now, nothing is taken anew before the looks at the others are over', async () => {
    let [isArmed, isLooking, tooEarly, taken] = [false, false, 0, 0];
    const looked = through({
      marks: {
        ...stream.marks,
        take: (...range) => {
          if (isLooking) tooEarly += 1;
          taken += 1;
          return stream.marks.take(...range);
        },
        read: async (source, lease) => {
          if (!isArmed) return stream.marks.read(source, lease);
          if (lease.range.nth === 0) throw new LeaseLost(source, lease.token);
          [isArmed, isLooking] = [false, true];
          await new Promise((resolve) => setTimeout(resolve, 1_000));
          isLooking = false;
          return stream.marks.read(source, lease);
        },
      },
    });
    const one = relay({ stream: looked, ranges: 2 });
    await tell(scene.users, [[1, 1]]);
    await one.settled(20_000);
    [isArmed, taken] = [true, 0];
    await eventually(async () => !isArmed && !isLooking && taken > 0);
    expect(tooEarly).toBe(0);
  });

  it('one whose batch comes to the stream only after it had asked for it goes on with the next', async () => {
    let isFirst = true;
    let arrives = async (): Promise<void> => undefined;
    const slow = through({
      marks: {
        ...stream.marks,
        read: async (...range) => {
          const found = await stream.marks.read(...range);
          await arrives();
          return found;
        },
      },
      publish: async (events, expected) => {
        if (!isFirst) return stream.publish(events, expected);
        isFirst = false;
        arrives = () => {
          arrives = async () => undefined;
          return stream.publish(events, expected);
        };
        throw new Error('the connection is gone');
      },
    });
    const only = relay({ stream: slow });
    await tell(scene.users, [[1, 1]]);
    await only.settled(20_000);
    await tell(scene.users, [[1, 2]]);
    await only.settled(20_000);
    expect(await onTheStream()).toEqual(['1:1', '1:2']);
  });

  /** Positions begin anew. */
  const newPostgres = () => scene.users.query('TRUNCATE outbox, relay_leases, relays RESTART IDENTITY');

  const runOut = () => scene.users.query('UPDATE relay_leases SET until = clock_timestamp()');

  async function unpublished(): Promise<number> {
    return (await scene.users.query('SELECT FROM outbox WHERE published_at IS NULL')).length;
  }
});

describe('on an embedded database, which is one process’s', () => {
  let scene: Scene;
  beforeAll(async () => {
    scene = await openScene();
  });
  afterAll(() => scene.close());

  const quiet = (taken: string[]): Stream => ({
    publish: async (events) => void taken.push(...events.map(numbers)),
    subscribe: () => ({ settled: async () => undefined, close: async () => undefined }),
    close: async () => undefined,
  });

  it('the ranges of a process that was killed are free at once, and a lease costs nothing while it is held', async () => {
    await scene.users.query(
      `INSERT INTO relay_leases (ranges, nth, holder, token, until) VALUES (1, 0, 'a process that is dead/1', nextval('relay_token'), 'infinity')`,
    );
    await scene.users.query(`INSERT INTO relays VALUES ('a process that is dead/1', 1, 'infinity')`);
    const taken: string[] = [];
    const made = new Relay({
      database: scene.users,
      stream: quiet(taken),
      pollMs: 60_000,
      leaseMs: 100,
      logger: silent,
    });
    await tell(scene.users, [[1, 1]]);
    await made.settled();
    expect(taken).toEqual(['1:1']);
    await new Promise((resolve) => setTimeout(resolve, 150));
    const before = scene.users.statements;
    await made.settled();
    expect(scene.users.statements - before).toBe(1);
    await made.close();
  });

  it('a second relay of the same process waits for the first', async () => {
    const [one, two] = [[], []] as [string[], string[]];
    const [first, second] = [one, two].map(
      (taken) => new Relay({ database: scene.users, stream: quiet(taken), pollMs: 10, logger: silent }),
    );
    first?.start();
    await tell(scene.users, [[2, 1]]);
    await second?.settled();
    expect([one, two]).toEqual([['2:1'], []]);
    await first?.close();
    await tell(scene.users, [[2, 2]]);
    await second?.settled();
    expect([one, two]).toEqual([['2:1'], ['2:2']]);
    await second?.close();
  });
});

/** 20 s at most. */
async function eventually(holds: () => Promise<boolean>): Promise<void> {
  for (const deadline = performance.now() + 20_000; !(await holds());) {
    if (performance.now() > deadline) throw new Error(`in vain: ${holds.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
