import { setTimeout as sleep } from 'node:timers/promises';
import { openDatabase, type Database } from '#libs/database';
import { consume, openStream, outboxMigrations, recordEvents, Relay } from '#libs/outbox';
import { createLogger } from '#libs/telemetry';
import type { Site } from './places.js';
import type { Boss } from './worker.js';

/** The event path as a service has it, with nothing in its way: for how fast it is. */
export interface LoadOrder {
  readonly site: Pick<Site, 'urls' | 'redisUrl' | 'dataDir'>;
  readonly roles: readonly ('write' | 'relay' | 'hear')[];
  /** Of the writer: how many transactions at once, and altogether a second at most. */
  readonly writers?: number;
  readonly perSecond?: number;
}

export async function work({ site, roles, writers = 1, perSecond }: LoadOrder, boss: Boss): Promise<void> {
  const logger = createLogger('load', 'error');
  const open = (service: 'users' | 'posts') =>
    openDatabase({
      service,
      url: site.urls?.[service],
      dataDir: site.dataDir,
      entities: [],
      migrations: outboxMigrations,
      poolMax: Math.max(10, writers + 2),
      logger,
    });
  const users = roles.includes('write') || roles.includes('relay') ? await open('users') : undefined;
  const posts = roles.includes('hear') ? await open('posts') : undefined;
  const stream = openStream({ redisUrl: site.redisUrl, logger, listeners: { users: ['posts'] } });
  const [committed, visible] = [[], []] as [Moment[], Moment[]];
  const closers: (() => Promise<void>)[] = [];

  if (posts !== undefined) {
    if (perSecond !== undefined) posts.afterCommit(async (events) => void visible.push(...events.map(momentOf)));
    const subscription = consume({
      database: posts,
      stream,
      group: 'posts',
      hear: {
        'profile-edited': {
          many: async (tx, events) => {
            await tx.query('INSERT INTO ledger (aggregate, version) SELECT * FROM unnest($1::text[], $2::int[])', [
              events.map(({ aggregate }) => aggregate),
              events.map(({ aggregateVersion }) => aggregateVersion),
            ]);
          },
        },
      },
      logger,
    });
    closers.push(async () => {
      await subscription.settled(60_000);
      await subscription.close();
    });
  }
  const relay =
    users && roles.includes('relay') ? new Relay({ database: users, stream, pollMs: 5, logger }) : undefined;
  if (relay !== undefined) {
    closers.push(async () => {
      await relay.settled(60_000);
      await relay.close();
    });
  }
  let isOver = false;
  let writing = Promise.resolve();
  const finished = new Promise<void>((resolve) => {
    boss.heard((message: { go?: boolean; stop?: boolean; finish?: boolean }) => {
      if (message.go) {
        relay?.start();
        if (users !== undefined && roles.includes('write')) {
          users.afterCommit(async (events) => void committed.push(...events.map(momentOf)));
          writing = write(users, writers, perSecond, () => isOver);
        }
      }
      if (message.stop) {
        isOver = true;
        void writing.then(() => boss.tell({ stopped: true, wrote: committed.length }));
      }
      if (message.finish) resolve();
    });
  });
  boss.tell({ ready: true });
  await finished;
  isOver = true;
  await writing;
  for (const close of closers.reverse()) await close();
  await new Promise<void>((resolve) => {
    if (process.send === undefined) resolve();
    else process.send({ committed, visible }, () => resolve());
  });
  await stream.close();
  await users?.close();
  await posts?.close();
}

/** `<aggregate> <version>`, and when: milliseconds, comparable between the processes of one machine. */
export type Moment = readonly [key: string, atMs: number];

function momentOf({ aggregate, aggregateVersion }: { aggregate: string; aggregateVersion: number }): Moment {
  return [`${aggregate} ${aggregateVersion}`, performance.timeOrigin + performance.now()];
}

const PERSONS_EACH = 50;

/** Each write is a transaction of its own: the fact, and its event. */
async function write(users: Database, writers: number, perSecond: number | undefined, isOver: () => boolean) {
  const pauseMs = perSecond === undefined ? 0 : (1_000 * writers) / perSecond;
  await Promise.all(
    Array.from({ length: writers }, async (_, writer) => {
      const started = performance.now();
      for (let nth = 0; !isOver(); nth++) {
        // Also when it is late: an embedded database answers without a turn of the event loop, and nobody would be heard any more.
        await sleep(Math.max(0, started + nth * pauseMs - performance.now()));
        const person = writer * PERSONS_EACH + (nth % PERSONS_EACH);
        await users.transaction(async (tx) => {
          const event = eventOf(person, 1 + Math.floor(nth / PERSONS_EACH));
          await tx.query('INSERT INTO facts (aggregate, version) VALUES ($1, $2)', [
            event.aggregate,
            event.aggregateVersion,
          ]);
          await recordEvents(tx, [event]);
        });
      }
    }),
  );
}

/** The person's `version`th change. */
export function eventOf(person: number, version: number) {
  const userId = `00000000-0000-7000-8000-${String(person).padStart(12, '0')}`;
  return {
    type: 'profile-edited' as const,
    aggregate: `user:${userId}`,
    aggregateVersion: version,
    actor: userId,
    payload: { userId, handle: `h${version}`, previousHandle: `h${version - 1}` },
  };
}
