import { setTimeout as sleep } from 'node:timers/promises';
import { openDatabase, type Database } from '#libs/database';
import { LISTENERS } from '#libs/events';
import { newId, shardOf } from '#libs/identity';
import { openStream, Relay } from '#libs/outbox';
import { createLogger } from '#libs/telemetry';
import { HEARD as heardByFollowers } from '../../subgraphs/followers/on/heard.js';
import { ChangeRelation } from '../../subgraphs/followers/write/change-relation.js';
import { Waiting } from '../../subgraphs/followers/write/until-heard-of.js';
import { HEARD as heardByPosts } from '../../subgraphs/posts/on/heard.js';
import { TimelineWorker } from '../../subgraphs/posts/timeline/worker.js';
import { deletePost } from '../../subgraphs/posts/write/delete-post.js';
import { likePost } from '../../subgraphs/posts/write/like-post.js';
import { publishPost } from '../../subgraphs/posts/write/publish-post.js';
import { unlikePost } from '../../subgraphs/posts/write/unlike-post.js';
import { heardBy } from '../../subgraphs/users/on/heard.js';
import { EditProfile } from '../../subgraphs/users/write/edit-profile.js';
import { drawer } from './draw.js';
import { hearLedgered, rowsIn } from './ledgered.js';
import type { Site } from './places.js';
import { SERVICES, TABLES, type Service } from './sagas.worker.js';
import { troubled } from './troubled-stream.js';
import type { Boss } from './worker.js';

/** `write` does what people do, by the services' own commands; each service tells and hears by its own handlers. Any of them in one process. */
export interface HandlersOrder {
  readonly site: Pick<Site, 'urls' | 'redisUrl' | 'dataDir'>;
  readonly roles: readonly ('write' | Service)[];
  readonly people: readonly string[];
  readonly seed: number;
  /** Events that there may be for now; a message `{ target }` raises it. */
  readonly target: number;
  readonly withoutInbox: boolean;
}

/** In slices of a few followers, so that a post is on its way for a while; those with many are merged in by who reads. */
const LIMITS = { pushMax: 14, length: 1_000, trimEvery: 32, sliceMax: 3 };
const HEARD = {
  users: heardBy({ stepTimeoutMs: 1_000, triesMax: 3 }),
  posts: heardByPosts,
  followers: heardByFollowers,
};
const WRITERS = 3;
const SETTLED_MS_MAX = 60_000;

export async function work(order: HandlersOrder, boss: Boss): Promise<void> {
  const { roles, seed, site, withoutInbox } = order;
  const logger = createLogger('handlers', 'error');
  const draw = drawer(seed + process.pid);
  const stream = openStream({ redisUrl: site.redisUrl, logger, listeners: LISTENERS });
  const databases = new Map<Service, Database>();
  for (const service of SERVICES) {
    if (!roles.includes('write') && !roles.includes(service)) continue;
    const url = site.urls?.[service];
    databases.set(service, await openDatabase({ service, url, dataDir: site.dataDir, logger, ...TABLES[service] }));
  }
  const settlers: (() => Promise<unknown>)[] = [];
  const closers: (() => Promise<void>)[] = [];
  for (const [service, database] of databases) {
    if (!roles.includes(service)) continue;
    const lists = service === 'posts' ? new TimelineWorker({ database, logger, limits: LIMITS }) : undefined;
    lists?.wake();
    const subscription = hearLedgered({
      database,
      stream,
      group: service,
      hear: HEARD[service],
      draw,
      stumblesAt: 60,
      withoutInbox,
    });
    const relay = new Relay({ database, stream: troubled(stream, draw), pollMs: 100, leaseMs: 1_000, logger });
    relay.start();
    settlers.push(async () => {
      await relay.settled(SETTLED_MS_MAX);
      await subscription.settled(SETTLED_MS_MAX);
      await lists?.settled();
    });
    closers.push(async () => {
      await relay.close();
      await subscription.close();
      await lists?.close();
    });
  }
  const finished = new Promise<void>((resolve) => {
    boss.heard((message: { settle?: boolean; finish?: boolean }) => {
      if (message.settle) void Promise.all(settlers.map((settle) => settle())).then(() => boss.tell({ settled: true }));
      if (message.finish) resolve();
    });
  });
  if (roles.includes('write')) {
    const writing = write(databases, order, boss, draw);
    settlers.unshift(() => writing);
  }
  boss.tell({ ready: true });
  await finished;
  for (const close of closers) await close();
  await stream.close();
  for (const database of databases.values()) await database.close();
}

/** Until it is told to settle and the target is reached. */
async function write(
  databases: ReadonlyMap<Service, Database>,
  order: HandlersOrder,
  boss: Boss,
  draw: (below: number) => number,
): Promise<void> {
  let { target } = order;
  let isFinal = false;
  boss.heard((message: { target?: number; settle?: boolean }) => {
    target = message.target ?? target;
    isFinal ||= message.settle === true;
  });
  const one = something(databases, order.people, draw);
  let done = 0;
  for (const database of databases.values()) done += await rowsIn(database, 'outbox');
  await Promise.all(
    Array.from({ length: WRITERS }, async () => {
      while (!isFinal || done < target) {
        if (done >= target) await sleep(5);
        // What may not be done, or nobody knows of: as a client would, it goes on with something else.
        else if (
          await one().then(
            () => true,
            () => sleep(5, false),
          )
        )
          done += 1;
      }
    }),
  );
}

/** What people do, one thing at each call; posts and likes are of the last few, so that the same ones are changed again and again. */
function something(
  databases: ReadonlyMap<Service, Database>,
  people: readonly string[],
  draw: (below: number) => number,
): () => Promise<unknown> {
  const [users, posts, followers] = SERVICES.map((service) => databases.get(service)!) as [
    Database,
    Database,
    Database,
  ];
  // Nobody is renamed.
  const profiles = new EditProfile({ database: users, throttle: { rename: async () => {} }, clock: Date.now });
  const pause = (ms: number): Promise<void> => sleep(ms);
  const newPostId = (authorId: string): string => newId({ shard: shardOf(authorId) });
  const writing = { database: posts, clock: Date.now, newPostId, pause };
  const relations = new ChangeRelation({ database: followers, clock: Date.now, waiting: new Waiting() });
  const recent: { id: string; authorId: string }[] = [];
  return async () => {
    const [viewer, other] = [people[draw(people.length)]!, people[draw(people.length)]!];
    const post = recent[draw(recent.length || 1)];
    const what = draw(100);
    if (what < 20 || post === undefined) {
      const inReplyToId = draw(3) === 0 ? (post?.id ?? null) : null;
      recent.push(await publishPost(writing, { viewer, body: `for @p${draw(people.length)}`, inReplyToId }));
      if (recent.length > RECENT) recent.shift();
    } else if (what < 23) await deletePost(writing, { viewer: post.authorId, id: post.id });
    else if (what < 45) await likePost(writing, { viewer, postId: post.id });
    else if (what < 60) await unlikePost(writing, { viewer, postId: post.id });
    else if (what < 80) await relations.run('follow', viewer, other);
    else if (what < 90) await relations.run('unfollow', viewer, other);
    else if (what < 95) await profiles.run(viewer, { displayName: `p${draw(1_000_000)}` });
    else await relations.run(draw(3) === 0 ? 'block' : 'unblock', viewer, other);
  };
}

const RECENT = 20;
