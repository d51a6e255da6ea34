import { setTimeout as sleep } from 'node:timers/promises';
import { crashPoint } from '#libs/crash-point';
import { openDatabase, type Database, type Tx } from '#libs/database';
import { LISTENERS } from '#libs/events';
import { newId } from '#libs/identity';
import { consume, openStream, Relay, type Handlers, type Stream, type Subscription } from '#libs/outbox';
import type { Saga } from '#libs/saga';
import { createLogger } from '#libs/telemetry';
import { dissolveSlice } from '../../subgraphs/followers/on/dissolve-follows.js';
import { followsParticipant } from '../../subgraphs/followers/on/deletion.js';
import { HEARD as heardByFollowers } from '../../subgraphs/followers/on/heard.js';
import { followersTables } from '../../subgraphs/followers/followers.tables.js';
import { postsParticipant } from '../../subgraphs/posts/on/deletion.js';
import { HEARD as heardByPosts } from '../../subgraphs/posts/on/heard.js';
import { withdrawSlice } from '../../subgraphs/posts/on/withdraw-posts.js';
import { postsTables } from '../../subgraphs/posts/posts.tables.js';
import { heard, nextOf, type Ended } from '../../subgraphs/users/deletion.js';
import { beginDeletion, eraseAccount, setStep, stepsOf, type Deletion } from '../../subgraphs/users/deletion.store.js';
import { deletionWork } from '../../subgraphs/users/on/deletion.js';
import { heardBy } from '../../subgraphs/users/on/heard.js';
import { usersTables } from '../../subgraphs/users/users.tables.js';
import { drawer } from './draw.js';
import type { Site } from './places.js';
import { troubled } from './troubled-stream.js';
import type { Boss } from './worker.js';

export const SERVICES = ['users', 'posts', 'followers'] as const;
export type Service = (typeof SERVICES)[number];
export const TABLES = { users: usersTables, posts: postsTables, followers: followersTables };

/** One process with the handlers of these services: users also begins deletions, as many as it is told. */
export interface SagasOrder {
  readonly site: Pick<Site, 'urls' | 'redisUrl' | 'dataDir'>;
  readonly services: readonly Service[];
  readonly saga: Saga;
  readonly seed: number;
  /** The control: one service after the other, by one process that remembers nothing. */
  readonly naive?: boolean;
  /** Another: users decides by what it has read, and writes that down later, whatever was decided meanwhile. */
  readonly stale?: boolean;
  /** Events neither late nor doubled nor shuffled: for what a saga costs. */
  readonly calm?: boolean;
}

/** Deletions that are under way at once. */
export const SIDE_BY_SIDE = 5;

const PATIENCE = { stepTimeoutMs: 1_000, triesMax: 30 };
const PAUSES_MS = [5, 10];

export async function work(order: SagasOrder, boss: Boss): Promise<void> {
  const { services, site, seed } = order;
  const logger = createLogger('sagas', 'silent');
  const draw = drawer(seed + process.pid);
  const stream = openStream({ redisUrl: site.redisUrl, logger, listeners: LISTENERS });
  const open = (service: Service) =>
    openDatabase({ service, url: site.urls?.[service], dataDir: site.dataDir, logger, ...TABLES[service] });
  const databases = new Map<Service, Database>();
  for (const service of services) databases.set(service, await open(service));
  const settlers: (() => Promise<void>)[] = [];
  const closers: (() => Promise<void>)[] = [];

  for (const [service, database] of order.naive ? [] : databases) {
    const background = backgroundOf(service, database, logger);
    const subscription =
      order.stale && service === 'users'
        ? decideStale(database, stream)
        : consume({
            database,
            stream,
            group: service,
            hear: HEARD[service],
            logger,
            pausesMs: [10, 40, 160, 640, 640, 640, 640],
            lookMs: 500,
          });
    const relay = new Relay({
      database,
      stream: order.calm ? stream : troubled(stream, draw),
      pollMs: 50,
      leaseMs: 1_000,
      logger,
    });
    relay.start();
    settlers.push(async () => {
      await subscription.settled(SETTLE_MS_MAX);
      await background.settled(SETTLE_MS_MAX);
      await relay.settled(SETTLE_MS_MAX);
    });
    closers.push(async () => {
      await relay.close();
      await background.close();
      await subscription.close();
    });
  }
  const goal: Goal = { target: 0, isLast: false };
  let finished = false;
  boss.heard((message: { target?: number; last?: boolean; settle?: boolean; finish?: boolean }) => {
    goal.target = message.target ?? goal.target;
    goal.isLast ||= message.last === true;
    finished ||= message.finish === true;
    if (message.settle) void Promise.all(settlers.map((settle) => settle())).then(() => boss.tell({ settled: true }));
  });
  boss.tell({ ready: true });
  const users = databases.get('users');
  if (order.naive) await deleteNaively(databases, goal);
  else if (users !== undefined) {
    await beginDeletions(users, order.saga, goal);
    await untilAtMost(users, 0);
  } else while (!goal.isLast) await sleep(20);
  boss.tell({ over: true });
  while (!finished) await sleep(20);
  for (const close of closers) await close();
  await stream.close();
  for (const database of databases.values()) await database.close();
}

const SETTLE_MS_MAX = 60_000;

interface Goal {
  /** Accounts whose deletion may have begun by now; a message `{ target }` sets it, and `last` says for the last time. */
  target: number;
  /** It will not be raised again. */
  isLast: boolean;
}

const HEARD: Readonly<Record<Service, Handlers>> = {
  users: heardBy(PATIENCE),
  posts: heardByPosts,
  followers: heardByFollowers,
};

/** Without an inbox, and without a look at the deletion in the transaction that goes on with it. */
function decideStale(users: Database, stream: Stream): Subscription {
  const hear = HEARD.users as Readonly<Record<string, ((tx: Tx, event: never) => Promise<void>) | undefined>>;
  return stream.subscribe('users', ['users', 'posts', 'followers'], async (events) => {
    for (const { type, payload, ...event } of events) {
      const answer = payload as Ended & { deletionId: string };
      const isAnswer = type === 'posts-step-ended' || type === 'follows-step-ended';
      const [deletion] = isAnswer ? await lookAt(users, answer.deletionId) : [];
      const steps = deletion === undefined ? [] : await stepsOf(users, deletion.id);
      const change = deletion && heard(deletion.state, steps, answer);
      const after = steps.map((step) => (step.name === change?.name ? { ...step, state: change.to } : step));
      if (deletion !== undefined && change !== undefined && nextOf(change.state, after)?.do === 'erase') {
        // Passed nowhere else here, where nothing is consumed.
        crashPoint('consume:given');
        await users.transaction(async (tx) => {
          await setStep(tx, deletion.id, change.name, change.to);
          await eraseAccount(tx, deletion, PATIENCE);
        });
      } else await users.transaction(async (tx) => hear[type]?.(tx, { ...event, type, payload } as never));
    }
  });
}

function lookAt(users: Database, id: string): Promise<Deletion[]> {
  return users.query<Deletion>('SELECT id, user_id AS "userId", saga, state FROM account_deletions WHERE id = $1', [
    id,
  ]);
}

function backgroundOf(service: Service, database: Database, logger: ReturnType<typeof createLogger>) {
  const parts = { database, logger, pausesMs: PAUSES_MS, lookMs: 500 };
  if (service === 'users') return deletionWork({ ...parts, patience: PATIENCE });
  return service === 'posts' ? postsParticipant(parts) : followsParticipant(parts);
}

/** As `deleteAccount` does it, without a password. */
async function beginDeletions(users: Database, saga: Saga, goal: Goal): Promise<void> {
  for (;;) {
    const [{ begun, next } = { begun: 0, next: null }] = await users
      .query<{ begun: number; next: string | null }>(
        `SELECT (SELECT count(*)::int FROM account_deletions) AS begun, (
           SELECT u.id FROM users u WHERE u.display_name = 'leaves'
             AND NOT EXISTS (SELECT FROM account_deletions d WHERE d.user_id = u.id) ORDER BY u.id LIMIT 1) AS next`,
      )
      .catch(() => []);
    if (next === null || begun >= goal.target) {
      if (goal.isLast && begun >= goal.target) return;
      await sleep(5);
      continue;
    }
    await untilAtMost(users, SIDE_BY_SIDE - 1);
    await users
      .transaction(async (tx) => {
        const [row] = await tx.query<{ handle: string; version: number }>(
          'SELECT handle, version FROM users WHERE id = $1 AND frozen_at IS NULL AND deleted_at IS NULL FOR UPDATE',
          [next],
        );
        if (row === undefined) return;
        const account = { handle: row.handle, version: row.version + 1 };
        await beginDeletion(tx, { id: newId(), userId: next, saga }, account, PATIENCE);
      })
      .catch(() => undefined);
  }
}

async function untilAtMost(users: Database, most: number): Promise<void> {
  for (;;) {
    const [row] = await users
      .query<{ n: number }>(
        `SELECT count(*)::int AS n FROM account_deletions WHERE state IN ('RUNNING', 'COMPENSATING')`,
      )
      .catch(() => []);
    if (row !== undefined && row.n <= most) return;
    await sleep(10);
  }
}

/** What everybody writes first: call one after the other. Whoever is killed in between has left it half done, and nobody knows. */
async function deleteNaively(databases: ReadonlyMap<Service, Database>, goal: Goal): Promise<void> {
  const [users, posts, followers] = SERVICES.map((service) => databases.get(service)!) as [
    Database,
    Database,
    Database,
  ];
  for (;;) {
    const [next] = await users.query<{ id: string; done: number }>(
      `SELECT id, (SELECT count(*)::int FROM users WHERE frozen_at IS NOT NULL) AS done FROM users
       WHERE frozen_at IS NULL AND display_name = 'leaves' ORDER BY id LIMIT 1`,
    );
    if (next === undefined || next.done >= goal.target) {
      if (goal.isLast) return;
      await sleep(5);
      continue;
    }
    const part = { deletionId: newId(), userId: next.id, saga: 'orchestrated', step: '', cursor: '' } as const;
    await users.query('UPDATE users SET frozen_at = now() WHERE id = $1', [next.id]);
    // As foreign keys would cascade: of the counts nobody thinks, nor of whose likes these posts were notified of, nor of the lists.
    const liked = await posts.query<{ id: string }>('DELETE FROM likes WHERE user_id = $1 RETURNING post_id AS id', [
      next.id,
    ]);
    await users.query(`DELETE FROM notification_facts WHERE kind = 'like' AND post_id = ANY($1::uuid[])`, [
      liked.map(({ id }) => id),
    ]);
    await posts.query('DELETE FROM posts WHERE author_id = $1 AND in_reply_to_id IS NOT NULL', [next.id]);
    while ((await posts.transaction((tx) => withdrawSlice(tx, part))) !== undefined) crashPoint('saga:sliced');
    await posts.query(`UPDATE people SET state = 'deleted' WHERE id = $1`, [next.id]);
    crashPoint('saga:sliced');
    await followers.query('DELETE FROM follows WHERE $1 IN (follower_id, followee_id)', [next.id]);
    while ((await followers.transaction((tx) => dissolveSlice(tx, part))) !== undefined) crashPoint('saga:sliced');
    await followers.query(`DELETE FROM parted WHERE owner_id = $1`, [next.id]);
    await followers.query(`UPDATE people SET state = 'gone' WHERE user_id = $1`, [next.id]);
    await users.query(
      `UPDATE users SET handle = '', display_name = '', bio = '', avatar_url = NULL, email = '', password_hash = '', deleted_at = now()
       WHERE id = $1`,
      [next.id],
    );
  }
}
