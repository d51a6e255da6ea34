import { randomBytes } from 'node:crypto';
import type { CrashPoint } from '#libs/crash-point';
import { openDatabase, type Database } from '#libs/database';
import { newId } from '#libs/identity';
import type { Saga } from '#libs/saga';
import { Sealer, sealingKeyOf } from '#libs/sealing';
import {
  loadBlocks as loadFollowersBlocks,
  loadFollows,
  loadPeople as loadFollowersPeople,
  recount,
} from '../../subgraphs/followers/bulk.js';
import {
  loadBlocks,
  loadEdges,
  loadLikes,
  loadPeople,
  loadPosts,
  recount as recountPosts,
} from '../../subgraphs/posts/bulk.js';
import { loadUsers } from '../../subgraphs/users/bulk.js';
import { notify, type Fact } from '../../subgraphs/users/notifications/facts.js';
import { watchBlocks } from './block-watch.js';
import type { Site } from './places.js';
import { checksumsOf } from './saga-checksums.js';
import { toldIn, type Told } from './saga-told.js';
import { SERVICES, TABLES, type Service } from './sagas.worker.js';

export const POSTS_EACH = 5;
export const FOLLOWS_EACH = 4;

/** What follows were ended, or posts withdrawn: the step that says so. */
export type Untold = 'dissolve-follows' | 'withdraw-posts';

export interface Plan {
  readonly saga: Saga;
  /** Whose deletion begins at least. */
  readonly accounts: number;
  readonly points: readonly CrashPoint[];
  /** Of which step the end cannot be told first, of those accounts of which one cannot; then of both by turns. */
  readonly firstUntold?: Untold;
  readonly naive?: boolean;
  readonly calm?: boolean;
  /** Two processes decide, and nobody is killed: one of them is frozen at each point for so long. */
  readonly pausedMs?: number;
  readonly stale?: boolean;
}

/** A point is passed long before these are used up. */
const SPARE_PER_KILL = 40;
/** Accounts of which the one that they like and answer is told: of all it would be more than anybody's list keeps. */
const TOLD_OF_MAX = 200;

export type Stores = Readonly<Record<Service, Database>>;

export interface Account {
  readonly id: string;
  /** A step of its deletion fails for good: before it has done anything, or when all is done and only its end is to be told. */
  readonly fails: false | 'at once' | 'at the end';
  /** Newest last. */
  readonly posts: readonly string[];
}

export interface Cast {
  readonly accounts: readonly Account[];
  /** They follow all accounts and are followed by them; the first wrote the post that all accounts like and answer. */
  readonly staying: readonly string[];
  readonly liked: string;
  /** Nobody knows this one yet. */
  readonly stranger: string;
  /** What everybody was told before, by what it says (`keyOf`). */
  readonly told: ReadonlyMap<string, Told>;
  /** Since when everybody follows and blocks whom they do; RFC 3339. */
  readonly since: string;
  /** What each account and its posts said before. */
  readonly checksums: ReadonlyMap<string, string>;
}

/**
 * Accounts that follow those who stay and are followed by them, block one more of them, and of whose posts one answers a post of
 * theirs, which they like. Every tenth cannot be parted from whom it follows; of every tenth all of a step is done and cannot be told, by
 * turns one of followers and one of posts: the same of both sagas, though each brings back something else then.
 */
export async function layOut(stores: Stores, plan: Plan): Promise<Cast> {
  const accounts = plan.accounts + SPARE_PER_KILL * plan.points.length;
  const now = Date.now() - 86_400_000;
  const at = new Date(now).toISOString();
  const ids = Array.from({ length: accounts + FOLLOWS_EACH + 2 }, (_, nth) => newId({ now: now + nth }));
  const people = ids.slice(0, accounts);
  const [blockedId = '', stranger = '', ...staying] = ids.slice(accounts);
  await loadUsers(
    stores.users,
    new Sealer([sealingKeyOf('proof', randomBytes(32))]),
    ids.map((id, nth) => ({
      id,
      handle: `h${nth}`,
      displayName: nth < accounts ? 'leaves' : 'stays',
      bio: `b${nth}`,
      email: 'e@example.org',
      passwordHash: `p${nth}`,
      joinedAt: new Date(now),
    })),
  );
  await stores.users.query(`UPDATE users SET avatar_url = 'https://example.org/' || handle`);
  await loadPeople(stores.posts, ids);
  await loadFollowersPeople(stores.followers, ids);
  // Only those who stay are followed and follow: whoever comes back finds them all.
  const follows = people.flatMap((id) =>
    staying.flatMap((other) => [
      { followerId: id, followeeId: other },
      { followerId: other, followeeId: id },
    ]),
  );
  await loadEdges(stores.posts, follows);
  await loadFollows(
    stores.followers,
    follows.map((follow) => ({ ...follow, followedAt: at })),
  );
  const blocks = people.map((blockerId) => ({ blockerId, blockedId, at }));
  await loadBlocks(stores.posts, blocks);
  await loadFollowersBlocks(stores.followers, blocks);
  await recount(stores.followers);
  const liked = { id: newId({ now }), authorId: staying[0]!, createdAt: at };
  await loadPosts(stores.posts, [{ ...liked, body: 'stays', inReplyToId: null }]);
  const posts = people.map((authorId, nth) =>
    Array.from({ length: POSTS_EACH }, (_, post) => ({
      id: newId({ now: now + 1_000 * nth + post }),
      authorId,
      body: `secret ${post} of ${nth}`,
      createdAt: new Date(now + 1_000 * nth + post).toISOString(),
      inReplyToId: post === 0 ? liked.id : null,
    })),
  );
  await loadPosts(stores.posts, posts.flat());
  await loadLikes(
    stores.posts,
    people.map((userId) => ({ postId: liked.id, userId })),
  );
  await recountPosts(stores.posts);
  await watchBlocks(
    stores.posts,
    people.map((author) => ({ author, from: blockedId })),
  );
  const fact = (recipientId: string, kind: Fact['kind'], actorId: string, postId: string | null): Fact => {
    const id = newId();
    return { id, recipientId, kind, actorId, postId, at };
  };
  await stores.users.transaction((tx) =>
    notify(tx, [
      ...people.flatMap((id) => staying.slice(1, 3).map((follower) => fact(id, 'follow', follower, null))),
      ...people
        .slice(0, TOLD_OF_MAX)
        .flatMap((id, nth) => [
          fact(staying[0]!, 'reply', id, posts[nth]![0]!.id),
          fact(staying[0]!, 'like', id, liked.id),
        ]),
    ]),
  );
  // Somebody has read a part of it.
  await stores.users.query(
    `INSERT INTO notification_reads (user_id, read_to)
     SELECT recipient_id, (array_agg(id ORDER BY id))[(count(*) + 1) / 2] FROM notification_facts GROUP BY recipient_id`,
  );
  const failsOf = (nth: number): Account['fails'] =>
    plan.naive || plan.calm || nth % 5 > 0 ? false : nth % 10 === 0 ? 'at once' : 'at the end';
  const idsOf = (when: Account['fails']): string[] => people.filter((_, nth) => failsOf(nth) === when);
  await failAtOnce(stores.followers, idsOf('at once'));
  const untold = idsOf('at the end');
  const first = plan.firstUntold ?? 'dissolve-follows';
  const turn = (step: Untold): string[] => untold.filter((_, nth) => (nth % 2 === 0) === (step === first));
  await failAtTheEnd(stores.followers, 'dissolve-follows', turn('dissolve-follows'));
  await failAtTheEnd(stores.posts, 'withdraw-posts', turn('withdraw-posts'));
  return {
    accounts: people.map((id, nth) => ({ id, fails: failsOf(nth), posts: posts[nth]!.map((post) => post.id) })),
    staying,
    liked: liked.id,
    stranger,
    told: await toldIn(stores.users),
    since: at,
    checksums: await checksumsOf(stores),
  };
}

async function failAtOnce(followers: Database, ids: readonly string[]): Promise<void> {
  await followers.query('CREATE TABLE stuck AS SELECT unnest($1::uuid[]) AS id', [ids]);
  await followers.query(raising('stays', 'EXISTS (SELECT FROM stuck WHERE id = OLD.follower_id)', 'OLD'));
  await followers.query('CREATE TRIGGER stays BEFORE DELETE ON follows FOR EACH ROW EXECUTE FUNCTION stays()');
}

async function failAtTheEnd(store: Database, step: Untold, ids: readonly string[]): Promise<void> {
  await store.query('CREATE TABLE untellable AS SELECT unnest($1::uuid[]) AS id', [ids]);
  const isOne = `EXISTS (SELECT FROM untellable WHERE id = (NEW.payload ->> 'userId')::uuid)`;
  await store.query(raising('untold', isOne, 'NEW'));
  await store.query(
    `CREATE TRIGGER untold BEFORE INSERT ON outbox FOR EACH ROW
       WHEN (NEW.payload ->> 'step' = '${step}' AND NEW.payload ->> 'outcome' = 'done') EXECUTE FUNCTION untold()`,
  );
}

function raising(name: string, condition: string, back: 'OLD' | 'NEW'): string {
  return `CREATE FUNCTION ${name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF ${condition} THEN RAISE EXCEPTION 'stuck'; END IF; RETURN ${back}; END $$`;
}

/** While no worker has them: an embedded database is one process's. */
export async function withStores<T>(site: Site, work: (stores: Stores) => Promise<T>): Promise<T> {
  const stores: Partial<Record<Service, Database>> = {};
  try {
    for (const service of SERVICES) {
      stores[service] = await openDatabase({
        service,
        url: site.urls?.[service],
        dataDir: site.dataDir,
        bulk: true,
        ...TABLES[service],
      });
    }
    return await work(stores as Stores);
  } finally {
    for (const store of Object.values(stores)) await store.close();
  }
}
