import { setTimeout as sleep } from 'node:timers/promises';
import { openDatabase, type Database, type Tx } from '#libs/database';
import type { DomainEvent } from '#libs/events';
import { newId } from '#libs/identity';
import { openStream, outboxMigrations, recordEvents, Relay, type Stream } from '#libs/outbox';
import { createLogger } from '#libs/telemetry';
import { drawer } from './draw.js';
import { hearLedgered, rowsIn } from './ledgered.js';
import type { Site } from './places.js';
import { troubled } from './troubled-stream.js';
import type { Boss } from './worker.js';

/** `write` records facts of persons, `relay` carries them, `hear` enters their effects in a ledger; any of them in one process. */
export interface FactsOrder {
  readonly site: Pick<Site, 'urls' | 'redisUrl' | 'dataDir'>;
  readonly roles: readonly ('write' | 'relay' | 'hear')[];
  readonly seed: number;
  /** Facts that may be written for now; a message `{ target }` raises it. */
  readonly target: number;
  /** A control: told after COMMIT instead of by an outbox; heard without an inbox. */
  readonly without?: 'outbox' | 'inbox';
}

const PERSONS = 60;
const WRITERS = 3;
/** More than there are relays, so that each has some and whoever lives takes over those of the dead. */
export const RANGES = 4;
/** Whoever takes over waits as long; shorter than in a program, so that there is more to see in the same time. */
const LEASE_MS = 1_000;

export async function work(order: FactsOrder, boss: Boss): Promise<void> {
  const { roles, seed, without, site } = order;
  const logger = createLogger('facts', 'error');
  const draw = drawer(seed + process.pid);
  const open = (service: 'users' | 'posts') =>
    openDatabase({
      service,
      url: site.urls?.[service],
      dataDir: site.dataDir,
      entities: [],
      migrations: outboxMigrations,
      logger,
    });
  const users = roles.includes('write') || roles.includes('relay') ? await open('users') : undefined;
  const posts = roles.includes('hear') ? await open('posts') : undefined;
  const stream = openStream({ redisUrl: site.redisUrl, logger, listeners: { users: ['posts'] } });

  const closers: (() => Promise<void>)[] = [];
  if (posts !== undefined) {
    const subscription = hearLedgered({
      database: posts,
      stream,
      group: 'posts',
      hear: { 'profile-edited': async () => {} },
      draw,
      stumblesAt: 150,
      withoutInbox: without === 'inbox',
    });
    closers.push(async () => {
      await subscription.settled(100_000);
      await subscription.close();
    });
  }
  if (users !== undefined && roles.includes('relay') && without !== 'outbox') {
    const relay = new Relay({
      database: users,
      stream: troubled(stream, draw),
      pollMs: 50,
      ranges: RANGES,
      leaseMs: LEASE_MS,
      logger,
    });
    relay.start();
    closers.push(async () => {
      await relay.settled(100_000);
      await relay.close();
    });
  }
  const finished = new Promise<void>((resolve) => {
    boss.heard(({ finish }: { finish?: boolean }) => finish && resolve());
  });
  if (users !== undefined && roles.includes('write')) {
    const writing = write(users, order, boss, draw, without === 'outbox' ? stream : undefined);
    closers.push(() => writing);
  }
  boss.tell({ ready: true });
  await finished;
  // The writer first, then the relay, then who hears.
  for (const close of closers.reverse()) await close();
  await stream.close();
  await users?.close();
  await posts?.close();
}

/** Writes until it is told to finish and the target is reached. */
async function write(
  users: Database,
  order: FactsOrder,
  boss: Boss,
  draw: (below: number) => number,
  toldAfter: Stream | undefined,
): Promise<void> {
  let { target } = order;
  let isFinal = false;
  boss.heard((message: { target?: number; finish?: boolean }) => {
    target = message.target ?? target;
    isFinal ||= message.finish === true;
  });
  let done = await rowsIn(users, 'facts');
  await Promise.all(
    Array.from({ length: WRITERS }, async () => {
      while (!isFinal || done < target) {
        if (done >= target) {
          await sleep(5);
          continue;
        }
        const size = Math.min(target - done, draw(3) === 0 ? 1 : 1 + draw(PERSONS));
        done += size;
        try {
          // Not in one step: what the others have done meanwhile counts, too.
          const written = await writeSome(users, size, draw, toldAfter);
          done -= size - written;
        } catch {
          // As a client would: whatever became of it, what is there now is what is there.
          done = await rowsIn(users, 'facts');
        }
      }
    }),
  );
}

class ChangedMyMind extends Error {}

/** One transaction; how many facts it has committed. */
async function writeSome(
  users: Database,
  size: number,
  draw: (below: number) => number,
  toldAfter: Stream | undefined,
): Promise<number> {
  const persons = Array.from({ length: PERSONS }, (_, nth) => nth)
    .toSorted(() => draw(3) - 1)
    .slice(0, size);
  let told: DomainEvent[] = [];
  try {
    await users.transaction(async (tx) => {
      await tx.query('SELECT FROM persons WHERE nth = ANY($1::int[]) ORDER BY nth FOR UPDATE', [persons]);
      const facts = await tx.query<{ nth: number; version: number }>(
        `WITH edited AS (UPDATE persons SET version = version + 1 WHERE nth = ANY($1::int[]) RETURNING nth, version),
         stored AS (INSERT INTO facts (aggregate, version) SELECT 'user:' || ${PERSON}, version FROM edited)
         SELECT nth, version FROM edited`,
        [persons],
      );
      // Slow ones commit after later ones, their positions do not.
      if (draw(6) === 0) await sleep(draw(15));
      if (toldAfter === undefined) await record(tx, facts);
      else told = facts.map(eventOf);
      if (draw(20) === 0) throw new ChangedMyMind();
    });
  } catch (error) {
    if (error instanceof ChangedMyMind) return 0;
    throw error;
  }
  if (toldAfter !== undefined) await toldAfter.publish(told);
  return size;
}

/** The nth person's id. */
const PERSON = `('00000000-0000-7000-8000-' || lpad(nth::text, 12, '0'))`;

interface Fact {
  readonly nth: number;
  readonly version: number;
}

async function record(tx: Tx, facts: readonly Fact[]): Promise<void> {
  await recordEvents(tx, facts.map(eventOf));
}

/** As `recordEvents` takes it and, with the envelope that an outbox would give it, as it travels. */
function eventOf({ nth, version }: Fact): DomainEvent<'profile-edited'> {
  const userId = `00000000-0000-7000-8000-${String(nth).padStart(12, '0')}`;
  return {
    id: newId(),
    type: 'profile-edited',
    version: 1,
    source: 'users',
    aggregate: `user:${userId}`,
    aggregateVersion: version,
    at: new Date().toISOString(),
    actor: userId,
    payload: { userId, handle: `h${version}`, previousHandle: `h${version - 1}` },
  };
}
