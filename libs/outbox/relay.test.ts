import { setTimeout as sleep } from 'node:timers/promises';

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';

import { provisionServices } from '#libs/database';
import type { DomainEvent } from '#libs/events';
import { silent } from '#libs/telemetry';

import { withServer } from '../../test/servers/needs.js';
import { cleanOutbox, consume, openStream, publishAgain, Relay, type Stream } from './index.js';
import { enter, openScene, record, tell, type Scene } from './scene.contract.js';
import { gate, numbers } from './stream.contract.js';

describe('the relay on the embedded database', () => relaySuite(() => openScene()));

it('with nothing to tell and no lease that runs out, it asks its database nothing between two looks (control: looks)', async () => {
  const scene = await openScene();
  const statementsOf = async (pollMs: number): Promise<number> => {
    const relay = new Relay({
      database: scene.users,
      stream: double(async () => {}),
      pollMs,
      leaseMs: 300,
      logger: silent,
    });
    relay.start();
    await relay.settled();
    // At its start it cleans, once; so the quietest of some seconds counts.
    let quietest = Number.POSITIVE_INFINITY;
    for (let second = 0; second < 5 && quietest > 0; second++) {
      const before = scene.users.statements;
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      quietest = Math.min(quietest, scene.users.statements - before);
    }
    await relay.close();
    return quietest;
  };
  try {
    expect(await statementsOf(60_000)).toBe(0);
    expect(await statementsOf(50)).toBeGreaterThan(0);
  } finally {
    await scene.close();
  }
}, 180_000);

it('while it carries a backlog, embedded, others have their turn', async () => {
  const scene = await openScene();
  const turns: number[] = [];
  let published = 0;
  const relay = new Relay({
    database: scene.users,
    stream: double(async (events) => {
      published += events.length;
      setImmediate(() => turns.push(published));
    }),
    pollMs: 60_000,
    logger: silent,
  });
  try {
    await tell(
      scene.users,
      Array.from({ length: 1_000 }, (_, nth) => [nth, 1] as const),
    );
    relay.start();
    while (published < 1_000) await new Promise((resolve) => setTimeout(resolve, 5));
    await relay.close();
    // Once in each batch of 200, not all of them when the last is over.
    expect(new Set(turns).size).toBeGreaterThan(3);
  } finally {
    await relay.close();
    await scene.close();
  }
});

withServer('postgres', 'the relay on PostgreSQL', (url) => {
  const open = async () => {
    const passwords = { users: 'secret', posts: 'secret' };
    const urls = await provisionServices(url, ['users', 'posts'], passwords, { prefix: 'relay_test_' });
    return openScene({ users: urls['users'] ?? '', posts: urls['posts'] ?? '' });
  };
  relaySuite(open);
  schedules(open);
});

function relaySuite(open: () => Promise<Scene>): void {
  let scene: Scene;
  let relays: Relay[] = [];

  beforeAll(async () => {
    scene = await open();
  });
  afterAll(() => scene.close());
  beforeEach(() => empty(scene));
  afterEach(async () => {
    for (const relay of relays.splice(0)) await relay.close();
  });

  function relay(stream: Stream, options: { logger?: typeof silent } = {}): Relay {
    const made = new Relay({ database: scene.users, stream, pollMs: 60_000, logger: silent, ...options });
    relays.push(made);
    return made;
  }

  it('publishes what was committed, as it was recorded, once it is woken by the commit', async () => {
    const told: DomainEvent[] = [];
    const arrived = gate();
    relay(
      double(async (events) => {
        told.push(...events);
        arrived.open();
      }),
    ).start();
    let recorded: readonly DomainEvent[] = [];
    await scene.users.transaction(async (tx) => {
      await record(tx, [[1, 1]]);
      recorded = tx.events;
    });
    await arrived.passed;
    expect(told).toEqual(recorded);
  });

  it('publishes a backlog in batches of at most 200, in order', async () => {
    const batches: string[][] = [];
    const outbox = relay(double(async (events) => void batches.push(events.map(numbers))));
    for (let version = 1; version <= 5; version++) {
      await tell(
        scene.users,
        Array.from({ length: 100 }, (_, nth) => [nth, version] as const),
      );
    }
    await outbox.settled();
    expect(batches.map((batch) => batch.length)).toEqual([200, 200, 100]);
    expect(batches.flat().filter((one) => one.startsWith('7:'))).toEqual(['7:1', '7:2', '7:3', '7:4', '7:5']);
  });

  it('marks nothing that was not taken, says why, and tries again', async () => {
    const said: object[] = [];
    const taken: string[] = [];
    let refusals = 0;
    const done = gate();
    const stream = double(async (events) => {
      if (refusals++ < 2) throw new Error('the stream is down');
      taken.push(...events.map(numbers));
      done.open();
    });
    const outbox = relay(stream, { logger: { ...silent, warn: (fields) => void said.push(fields) } });
    outbox.start();
    await tell(scene.users, [[1, 1]]);
    await done.passed;
    expect(taken).toEqual(['1:1']);
    await outbox.close();
    expect(said).toEqual([
      { service: 'users', err: new Error('the stream is down') },
      { service: 'users', failures: 2, forMs: expect.any(Number) },
    ]);
  });

  it('waits with closing for the batch in flight, which is marked', async () => {
    const [begun, go] = [gate(), gate()];
    const outbox = relay(
      double(async () => {
        begun.open();
        await go.passed;
      }),
    );
    outbox.start();
    await tell(scene.users, [[1, 1]]);
    await begun.passed;
    const closed = outbox.close();
    go.open();
    await closed;
    expect(await unpublished(scene)).toBe(0);
  });

  it('holds no connection while it publishes', async () => {
    const outbox = relay(double(async () => void (await scene.users.query('SELECT 1'))));
    await tell(scene.users, [[1, 1]]);
    await outbox.settled();
    expect(await unpublished(scene)).toBe(0);
  });

  it('two at once neither lose nor reorder nor double an effect', async () => {
    const stream = openStream({ logger: silent });
    const consumer = consume({
      database: scene.posts,
      stream,
      group: 'posts',
      hear: { 'profile-edited': enter },
      logger: silent,
    });
    const pair = [relay(stream), relay(stream)];
    for (const one of pair) one.start();
    for (let version = 1; version <= 8; version++) {
      await tell(
        scene.users,
        Array.from({ length: 40 }, (_, nth) => [nth, version] as const),
      );
    }
    for (const one of pair) await one.settled();
    await consumer.settled();
    const effects = await scene.effects();
    expect(effects).toHaveLength(320);
    for (let nth = 0; nth < 40; nth++) {
      const expected = Array.from({ length: 8 }, (_, before) => `${nth}:${before + 1}`);
      expect(effects.filter((one) => one.startsWith(`${nth}:`))).toEqual(expected);
    }
    for (const one of pair) await one.close();
    await consumer.close();
    await stream.close();
  });

  it('publishes again what a stream has lost, for inboxes to sort out', async () => {
    const taken: string[] = [];
    const outbox = relay(double(async (events) => void taken.push(...events.map(numbers))));
    await tell(scene.users, [
      [1, 1],
      [1, 2],
    ]);
    await outbox.settled();
    expect(await publishAgain(scene.users, 60_000)).toBe(2);
    await outbox.settled();
    expect(taken.slice(0, 4)).toEqual(['1:1', '1:2', '1:1', '1:2']);
    expect(await unpublished(scene)).toBe(0);
  });

  it('forgets while it is never idle: under load that lasts the outbox does not grow', async () => {
    let most = 0;
    const stream = double(async () => undefined);
    // A minute goes by from look to look.
    let minutes = 0;
    const outbox = new Relay({
      database: scene.users,
      stream,
      pollMs: 60_000,
      keepMs: 0,
      logger: silent,
      clock: () => 60_000 * minutes++,
    });
    relays.push(outbox);
    outbox.start();
    for (let version = 1; version <= 30; version++) {
      await tell(
        scene.users,
        Array.from({ length: 200 }, (_, nth) => [nth, version] as const),
      );
      await outbox.settled();
      most = Math.max(most, await rowsIn(scene));
    }
    // 6,000 rows went through it; a call forgets five times what a batch adds.
    expect(most).toBeLessThan(3_000);
  });

  it('control: nobody forgets, and the outbox has all that ever went through it', async () => {
    const outbox = relay(double(async () => undefined));
    for (let version = 1; version <= 5; version++) {
      await tell(
        scene.users,
        Array.from({ length: 200 }, (_, nth) => [nth, version] as const),
      );
      await outbox.settled();
    }
    expect(await rowsIn(scene)).toBe(1_000);
  });

  it('forgets published events after their time, in small statements, and never an unpublished one', async () => {
    const outbox = relay(double(async () => undefined));
    for (let version = 1; version <= 3; version++) {
      await tell(
        scene.users,
        Array.from({ length: 400 }, (_, nth) => [nth, version] as const),
      );
    }
    await outbox.settled();
    await scene.users.query(`UPDATE outbox SET published_at = now() - interval '2 hours' WHERE aggregate_version < 3`);
    await tell(scene.users, [[1, 4]]);
    expect(await cleanOutbox(scene.users, 3 * 3_600_000)).toBe(0);
    const before = scene.users.statements;
    expect(await cleanOutbox(scene.users, 3_600_000)).toBe(800);
    expect(scene.users.statements - before).toBe(2);
    const kept = await scene.users.query('SELECT DISTINCT aggregate_version AS version FROM outbox ORDER BY 1');
    expect(kept).toEqual([{ version: 3 }, { version: 4 }]);
    expect(await unpublished(scene)).toBe(1);
  });
}

/** The schedules in which the usual ways to read an outbox lose or reorder: each with that way as its control. */
function schedules(open: () => Promise<Scene>): void {
  let scene: Scene;

  beforeAll(async () => {
    scene = await open();
  });
  afterAll(() => scene.close());
  beforeEach(() => empty(scene));

  /** A transaction that has recorded its fact and is slow to commit. */
  async function slowly(facts: readonly (readonly [number, number])[]): Promise<() => Promise<void>> {
    const [recorded, go] = [gate(), gate()];
    const work = scene.users.transaction(async (tx) => {
      await record(tx, facts);
      recorded.open();
      await go.passed;
    });
    await recorded.passed;
    return async () => {
      go.open();
      await work;
    };
  }

  it('a slow transaction’s event is found when it commits, though later ones were published before', async () => {
    const taken: string[] = [];
    const stream = double(async (events) => void taken.push(...events.map(numbers)));
    const outbox = new Relay({ database: scene.users, stream, pollMs: 60_000, logger: silent });
    const commit = await slowly([[1, 1]]);
    await tell(scene.users, [[2, 1]]);
    await outbox.settled();
    await commit();
    await outbox.settled();
    expect(taken).toEqual(['2:1', '1:1']);
    await outbox.close();
  });

  it('control: a reader that asks for what is behind its cursor loses it', async () => {
    const taken: string[] = [];
    let cursor = '0';
    const poll = async () => {
      const text =
        'SELECT position::text, aggregate, aggregate_version FROM outbox WHERE position > $1 ORDER BY outbox.position';
      const rows = await scene.users.query<Row>(text, [cursor]);
      taken.push(...rows.map(nameOf));
      cursor = rows.at(-1)?.position ?? cursor;
    };
    const commit = await slowly([[1, 1]]);
    await tell(scene.users, [[2, 1]]);
    await poll();
    await commit();
    await poll();
    await poll();
    expect(taken).toEqual(['2:1']);
  });

  it('an aggregate keeps its order when its second event comes from a transaction that began before the first', async () => {
    const taken: string[] = [];
    const stream = double(async (events) => void taken.push(...events.map(numbers)));
    const outbox = new Relay({ database: scene.users, stream, pollMs: 60_000, logger: silent });
    await begunEarly(scene);
    await outbox.settled();
    expect(taken).toEqual(['1:1', '1:2']);
    await outbox.close();
  });

  it('control: ordered by transaction id, its second event comes first', async () => {
    await begunEarly(scene);
    let rows: Row[] = [];
    // The oldest transaction of the whole server counts, and others use it too.
    for (const until = Date.now() + 20_000; rows.length < 2 && Date.now() < until; await sleep(20))
      rows = await scene.users.query<Row>(
        `SELECT aggregate, aggregate_version FROM outbox
         WHERE xmin::text::bigint < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
         ORDER BY xmin::text::bigint, outbox.position`,
      );
    expect(rows.map(nameOf)).toEqual(['1:2', '1:1']);
  });

  it('two relays, one of them slow, tell an aggregate’s events in order', async () => {
    const taken: string[] = [];
    const [begun, go] = [gate(), gate()];
    const slow = double(async (events) => {
      begun.open();
      await go.passed;
      taken.push(...events.map(numbers));
    });
    const fast = double(async (events) => void taken.push(...events.map(numbers)));
    const [one, two] = [slow, fast].map(
      (stream) => new Relay({ database: scene.users, stream, pollMs: 60_000, logger: silent }),
    );
    await tell(scene.users, [
      [1, 1],
      [1, 2],
    ]);
    const late = one?.settled();
    await begun.passed;
    await tell(scene.users, [
      [1, 3],
      [1, 4],
    ]);
    const other = two?.settled();
    go.open();
    await Promise.all([late, other]);
    expect(taken).toEqual(['1:1', '1:2', '1:3', '1:4']);
    await one?.close();
    await two?.close();
  });

  it('control: two relays that skip each other’s locked rows reorder an aggregate', async () => {
    const taken: string[] = [];
    const [begun, go] = [gate(), gate()];
    const poll = (before: () => Promise<void>) =>
      scene.users.transaction(async (tx) => {
        const text = `SELECT aggregate, aggregate_version FROM outbox WHERE published_at IS NULL
          ORDER BY position LIMIT 2 FOR UPDATE SKIP LOCKED`;
        const rows = await tx.query<Row>(text);
        await before();
        taken.push(...rows.map(nameOf));
      });
    await tell(scene.users, [
      [1, 1],
      [1, 2],
      [1, 3],
      [1, 4],
    ]);
    const slow = poll(async () => {
      begun.open();
      await go.passed;
    });
    await begun.passed;
    await poll(async () => undefined);
    go.open();
    await slow;
    expect(taken).toEqual(['1:3', '1:4', '1:1', '1:2']);
  });
}

/** v2 is written by a transaction that took its id before the one that wrote v1. */
async function begunEarly(scene: Scene): Promise<void> {
  await scene.users.transaction(async (tx) => {
    await tx.query('SELECT pg_current_xact_id()');
    await tell(scene.users, [[1, 1]]);
    await record(tx, [[1, 2]]);
  });
}

interface Row {
  readonly position: string;
  readonly aggregate: string;
  readonly aggregate_version: number;
}

const nameOf = (row: Row): string => `${Number(row.aggregate.slice(-12))}:${row.aggregate_version}`;

/** A stream of which the relay sees no more than this. */
function double(publish: (events: readonly DomainEvent[]) => Promise<void>): Stream {
  return {
    publish,
    subscribe: () => ({ settled: async () => undefined, close: async () => undefined }),
    close: async () => undefined,
  };
}

async function empty(scene: Scene): Promise<void> {
  await scene.empty();
}

async function rowsIn(scene: Scene): Promise<number> {
  return (await scene.users.query('SELECT FROM outbox')).length;
}

async function unpublished(scene: Scene): Promise<number> {
  return (await scene.users.query('SELECT FROM outbox WHERE published_at IS NULL')).length;
}
