import { Redis } from 'ioredis';
import type { CrashPoint } from '#libs/crash-point';
import { openDatabase, type Database } from '#libs/database';
import { recordEvents } from '#libs/outbox';
import { freezeOneAt, killOneAt, Member } from './crew.js';
import { compare, type Entry } from './ledger.js';
import { OUTBOX, type Place, type Site } from './places.js';
import { untilItFails, wrong, zeros, type Proof, type Row, type Setup } from './proof.js';
import type { RelayOrder } from './relay.worker.js';

const POINTS = ['relay:read', 'relay:published'] as const satisfies CrashPoint[];
const CLOCKS_MS = [5 * 60_000, -5 * 60_000];
const PERSONS = 20;
/** One for each relay, until one of them is gone. */
const RANGES = 2;
const STREAM = 'tributary:{events}:users';

/**
 * Two relays run at once, one of them five minutes fast, the other five minutes slow, and share two ranges. Whichever publishes
 * first is frozen (SIGSTOP) longer than its lease, at either side of the publishing, then goes on (SIGCONT); then killed there. What is counted is the
 * stream itself, before any inbox.
 */
export const leases: Proof = {
  name: 'leases',
  waits: true,
  says: 'two relays, frozen past their lease, clocks ±5 min, killed: each event is on the stream once, in order',
  run: async (setup) => {
    const rows: Row[] = [];
    for (const place of setup.places) {
      // An embedded database has one process, and a frozen process cannot meet its successor.
      if (place.name === 'embedded') continue;
      const ways = setup.controls ? [false, true] : [false];
      const shown = ways.map((withoutToken) => {
        const show = (setup: Setup): Promise<Row> => run(setup, place, { withoutToken });
        return withoutToken ? untilItFails(setup, show) : show(setup);
      });
      rows.push(...(await Promise.all(shown)));
    }
    return rows;
  },
};

async function run(setup: Setup, place: Place, { withoutToken }: { withoutToken: boolean }): Promise<Row> {
  const site = await place.prepare({ users: OUTBOX });
  const members: Member[] = [];
  // In a hurry the naive way fails at its first freeze, and nobody is killed for it.
  const isShort = setup.quick && withoutToken;
  const points = isShort ? POINTS.slice(0, 1) : POINTS;
  const kills = isShort ? 0 : points.length;
  const progress = setup.progress(points.length + kills, 'relays frozen or killed');
  const leaseMs = Math.min(3_000, Math.ceil(setup.freezeMs / 3));
  const users = await openDatabase({
    service: 'users',
    url: site.urls?.['users'],
    dataDir: site.dataDir,
    ...OUTBOX,
    // What is counted is what was committed: on a busy machine no write may be given up.
    bulk: true,
  });
  const writer = new Writer(users);
  try {
    for (const clockMs of CLOCKS_MS) {
      const order = (): RelayOrder => ({ site: { ...site }, leaseMs, ranges: RANGES, clockMs, withoutToken });
      members.push(new Member({ job: './relay.worker.js', order }));
    }
    for (const point of points) {
      await whileWriting(writer, untilShared(users));
      const frozen = await whileWriting(writer, freezeOneAt(members, point));
      await whileWriting(writer, sleep(setup.freezeMs));
      frozen.signal('SIGCONT');
      progress.add(1, `frozen at ${point}`);
      if (isShort) continue;
      await whileWriting(writer, killOneAt(members, point));
      progress.add(1, `killed at ${point}`);
    }
    for (const member of members) await member.dismiss();
    const told = await onTheStream(site);
    const counts = { ...compare(writer.committed, told), backwards: backwards(told) };
    return {
      claim: withoutToken
        ? 'control: a lock without a token'
        : `two relays, ${RANGES} ranges; frozen, killed, clocks ±5 min`,
      place: place.name,
      over: `${writer.committed.length.toLocaleString('en')} events, ${points.length} × SIGSTOP ${setup.freezeMs / 1_000} s, ${kills} kills`,
      figures: withoutToken ? wrong(counts, 'doubled', 'backwards') : zeros(counts),
    };
  } finally {
    progress.stop();
    await Promise.all(members.map((member) => member.destroy()));
    await users.close();
    await site.clear();
  }
}

/** How many came after a later one of their aggregate, the first time or again: whoever has no inbox goes back by them. */
function backwards(told: readonly Entry[]): number {
  const last = new Map<string, number>();
  return told.filter(({ aggregate, version }) => {
    const highest = last.get(aggregate) ?? 0;
    last.set(aggregate, Math.max(highest, version));
    return version < highest;
  }).length;
}

class Writer {
  readonly committed: Entry[] = [];
  readonly #users: Database;
  readonly #versions = new Map<number, number>();
  #nth = 0;

  constructor(users: Database) {
    this.#users = users;
  }

  /** Ten persons change. */
  async write(): Promise<void> {
    const told = Array.from({ length: 10 }, () => {
      const person = this.#nth++ % PERSONS;
      const version = 1 + (this.#versions.get(person) ?? 0);
      this.#versions.set(person, version);
      const userId = `00000000-0000-7000-8000-${String(person).padStart(12, '0')}`;
      return {
        type: 'profile-edited' as const,
        aggregate: `user:${userId}`,
        aggregateVersion: version,
        actor: userId,
        payload: { userId, handle: `h${version}`, previousHandle: `h${version - 1}` },
      };
    });
    await this.#users.transaction((tx) => recordEvents(tx, told));
    this.committed.push(...told.map(({ aggregate, aggregateVersion }) => ({ aggregate, version: aggregateVersion })));
  }
}

async function whileWriting<T>(writer: Writer, work: Promise<T>): Promise<T> {
  let isOver = false;
  const over = work.finally(() => {
    isOver = true;
  });
  over.catch(() => undefined);
  while (!isOver) {
    await writer.write();
    await sleep(20);
  }
  return over;
}

/** Until each relay has a range. */
async function untilShared(users: Database): Promise<void> {
  for (const until = performance.now() + SHARED_MS_MAX; performance.now() < until; await sleep(20)) {
    const [row] = await users.query<{ holders: number }>(
      'SELECT count(DISTINCT holder)::int AS holders FROM relay_leases WHERE until > clock_timestamp()',
    );
    if (row?.holders === CLOCKS_MS.length) return;
  }
  throw new Error(`The relays did not share their ranges within ${SHARED_MS_MAX / 1_000} s`);
}

const SHARED_MS_MAX = 60_000;

async function onTheStream({ redisUrl = '' }: Site): Promise<Entry[]> {
  const redis = new Redis(redisUrl, { maxRetriesPerRequest: 1 });
  try {
    const entries = await redis.xrange(STREAM, '-', '+');
    return entries.map(([, fields]) => {
      const event = JSON.parse(fields[1] ?? '') as { aggregate: string; aggregateVersion: number };
      return { aggregate: event.aggregate, version: event.aggregateVersion };
    });
  } finally {
    redis.disconnect();
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
