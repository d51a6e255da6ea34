import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { CRASH_POINTS, type CrashPoint } from '#libs/crash-point';
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
import { wholeCount } from '../../subgraphs/followers/relation.counts.js';
import {
  loadBlocks,
  loadEdges,
  loadLikes,
  loadPeople,
  loadPosts,
  recount as recountPosts,
} from '../../subgraphs/posts/bulk.js';
import { wholeCount as wholePostCount } from '../../subgraphs/posts/post.counts.js';
import { loadUsers } from '../../subgraphs/users/bulk.js';
import type { Progress } from '../seed/progress.js';
import { seenAcrossBlocks, watchBlocks } from './block-watch.js';
import { freezeOneAt, killOneAt, Member } from './crew.js';
import { drawer } from './draw.js';
import type { Place, Site } from './places.js';
import { eachKilled, wrong, zeros, type Proof, type Row, type Setup } from './proof.js';
import { messagesOf } from './saga-messages.js';
import { SERVICES, SIDE_BY_SIDE, TABLES, type SagasOrder, type Service } from './sagas.worker.js';

/**
 * Accounts are deleted, by both sagas under the same kills, while events come late, twice and in the wrong order; every fifth
 * deletion meets a step that fails for good. Afterwards each account is either gone everywhere or exactly as it was. Then the same with
 * two processes that decide, one of which is frozen for longer than it may read without a sign of life, and goes on beside the other.
 */
export const sagas: Proof = {
  name: 'sagas',
  hurriedAt: 'servers',
  says: 'kill -9 at every point of both sagas: no deletion is left half done; and what each saga costs',
  run: (setup) =>
    eachKilled(
      setup,
      showsAt,
      ({ plan }) => plan.points.length,
      async (setup, { place, plan, rowOf }, progress) => ({
        place: place.name,
        ...rowOf(await run(setup, place, plan, progress)),
      }),
    ),
};

interface Show {
  readonly isControl?: true;
  readonly plan: Plan;
  readonly rowOf: (outcome: Outcome) => Omit<Row, 'place'>;
}

const POSTS_EACH = 5;
const FOLLOWS_EACH = 4;
/** Every point of a saga, and the points of the event path at which a saga can be cut. */
const POINTS = Object.keys(CRASH_POINTS).filter(
  (name) =>
    name.startsWith('saga:') ||
    ['commit:before', 'commit:after', 'relay:published', 'consume:committed'].includes(name),
) as CrashPoint[];
/** Of two processes that decide about deletions: with answers in hand, with its decision made, with nothing left but COMMIT. */
const FROZEN_AT = ['consume:given', 'saga:heard', 'commit:before'] as const satisfies CrashPoint[];
/** Longer than it may read for its group without a sign of life (2 s): then the other does. */
const PAUSED_MS_MIN = 2_500;
/** By then the other has something to show, also where it had to wait until PostgreSQL ended the transaction of whoever is frozen (5 s). */
const TAKEN_OVER_MS_MAX = 20_000;
const SAGAS = ['orchestrated', 'choreographed'] as const;

/** Three databases are opened again after each kill: where there is not time for all of them some points are taken, drawn by the seed. */
const SOME = { embedded: 1, servers: { quick: 1, else: 4 } };

function showsAt({ size, quick, whole, seed, controls, freezeMs }: Setup, place: Place): Show[] {
  const pausedMs = Math.max(freezeMs, PAUSED_MS_MIN);
  const isEmbedded = place.name === 'embedded';
  const each = whole ? POINTS.length : isEmbedded ? SOME.embedded : SOME.servers[quick ? 'quick' : 'else'];
  // The same for both sagas, so that they meet the same faults.
  const points = Array.from({ length: each }, (_, at) => POINTS[(seed + at) % POINTS.length] as CrashPoint);
  const accounts = whole ? Math.max(40, Math.round(size / 100)) : quick ? 10 : 20;
  const shows: Show[] = [];
  // Embedded one of the two, and in a hurry the other one on servers; not by the digit that draws the points.
  const nth = (Math.floor(seed / POINTS.length) + (isEmbedded ? 0 : 1)) % 2;
  for (const saga of whole || !(quick || isEmbedded) ? SAGAS : SAGAS.slice(nth, nth + 1)) {
    shows.push({ plan: { saga, accounts, points }, rowOf: (outcome) => killed(saga, outcome) });
    if (whole)
      shows.push({ plan: { saga, accounts: 40, points: [], calm: true }, rowOf: (outcome) => costs(saga, outcome) });
  }
  if (!isEmbedded) {
    const some = whole ? FROZEN_AT : FROZEN_AT.slice(seed % FROZEN_AT.length).slice(0, 1);
    shows.push({ plan: { saga: 'orchestrated', accounts, points: some, pausedMs }, rowOf: paused });
    if (controls && !quick)
      shows.push({
        isControl: true,
        plan: { saga: 'orchestrated', accounts: 10, points: ['consume:given'], pausedMs, stale: true },
        rowOf: pausedStale,
      });
  }
  if (controls && (whole || !isEmbedded))
    shows.push({
      isControl: true,
      plan: { saga: 'orchestrated', accounts: 8, points: ['saga:sliced'], naive: true },
      rowOf: naively,
    });
  return shows;
}

function killed(
  saga: Saga,
  { begun, done, reverted, halfDone, astray, kills, seen, miscounted }: Outcome,
): Omit<Row, 'place'> {
  return {
    claim: `deleted by the ${saga} saga, killed at ${kills} points`,
    over: `${begun} accounts (${done} gone, ${reverted} brought back)`,
    figures: zeros({
      'half done': halfDone,
      'ended the other way': astray,
      'seen across a block': seen,
      miscounted,
    }),
  };
}

function paused({ begun, done, reverted, halfDone, astray, twice, kills }: Outcome): Omit<Row, 'place'> {
  return {
    claim: 'two that decide, one paused (SIGSTOP) until the other has its work, then going on',
    over: `${begun} accounts (${done} gone, ${reverted} brought back), ${kills} pauses`,
    figures: zeros({ 'half done': halfDone, 'ended the other way': astray, 'decided twice': twice }),
  };
}

function pausedStale({ begun, twice, kills }: Outcome): Omit<Row, 'place'> {
  return {
    claim: 'control: the same two, deciding by what they had read',
    over: `${begun} accounts, ${kills} pause`,
    figures: wrong({ 'decided twice': twice }, 'decided twice'),
  };
}

/** Nobody is killed, nothing is late: what it costs. */
function costs(saga: Saga, { begun, messages, p50Ms }: Outcome): Omit<Row, 'place'> {
  return {
    claim: `cost, ${saga}: the state lives in ${saga === 'orchestrated' ? 'users, which asks' : 'each service; users only hears'}`,
    over: `${begun} accounts of ${POSTS_EACH} posts and ${FOLLOWS_EACH} follows, ${SIDE_BY_SIDE} at a time`,
    figures: [
      { name: 'messages each', value: messages },
      { name: 'p50', value: p50Ms, unit: 'ms' },
    ],
  };
}

function naively({ begun, halfDone, kills }: Outcome): Omit<Row, 'place'> {
  return {
    claim: 'control: one service after the other, nothing remembered',
    over: `${begun} accounts, ${kills} kill`,
    figures: wrong({ 'half done': halfDone }, 'half done'),
  };
}

interface Plan {
  readonly saga: Saga;
  /** Whose deletion begins at least. */
  readonly accounts: number;
  readonly points: readonly CrashPoint[];
  readonly naive?: boolean;
  readonly calm?: boolean;
  /** Two processes decide, and nobody is killed: one of them is frozen at each point for so long. */
  readonly pausedMs?: number;
  readonly stale?: boolean;
}

interface Outcome {
  readonly kills: number;
  /** Deletions that were begun. */
  readonly begun: number;
  readonly done: number;
  readonly reverted: number;
  /** Neither gone everywhere nor as it was everywhere. */
  readonly halfDone: number;
  /** Gone although a step failed for good, or brought back although none did. */
  readonly astray: number;
  /** What can happen once to a deletion and was told more than once: its beginning, its end, its way back. */
  readonly twice: number;
  /** Times at which a post was to be seen by whom its author blocks. */
  readonly seen: number;
  /** Counts of likes, replies, followers and followees, of anybody, that are not the number of their rows. */
  readonly miscounted: number;
  readonly messages: number;
  readonly p50Ms: number;
}

async function run(setup: Setup, place: Place, plan: Plan, progress: Progress): Promise<Outcome> {
  const site = await place.prepare(TABLES);
  const members: Member[] = [];
  try {
    const people = await withStores(site, (stores) => layOut(stores, plan));
    const draw = drawer(setup.seed);
    const hire = (services: readonly Service[]): Member => {
      const order = (): SagasOrder => ({
        site: { urls: site.urls, redisUrl: site.redisUrl, dataDir: site.dataDir } as SagasOrder['site'],
        services,
        saga: plan.saga,
        seed: draw(1_000_000),
        ...(plan.naive ? { naive: true } : {}),
        ...(plan.calm ? { calm: true } : {}),
        ...(plan.stale ? { stale: true } : {}),
      });
      const member = new Member({ job: './sagas.worker.js', order });
      members.push(member);
      return member;
    };
    // Embedded, a database is one process's; the naive way is one process everywhere.
    if (place.name === 'embedded' || plan.naive) hire(SERVICES);
    else for (const service of SERVICES) hire([service]);

    const { pausedMs } = plan;
    const coordinators = pausedMs === undefined ? [] : [members[0]!, hire(['users'])];
    for (const point of pausedMs === undefined ? [] : plan.points) {
      const pause = async (): Promise<void> => {
        const users = await openDatabase({ service: 'users', url: site.urls?.['users'], bulk: true, ...TABLES.users });
        try {
          const before = await shownBy(users, plan);
          const frozen = await freezeOneAt(coordinators, point);
          await sleep(pausedMs!);
          await takenOver(users, plan, plan.stale ? before : await shownBy(users, plan));
          frozen.signal('SIGCONT');
        } finally {
          await users.close();
        }
      };
      await keepDeleting(pause(), members, people.length);
      progress.add(1, point);
    }
    for (const point of pausedMs === undefined ? plan.points : []) {
      const dies = killOneAt(members, point, 1 + draw(plan.naive ? 1 : 3));
      await keepDeleting(dies, members, people.length);
      progress.add(1, point);
    }
    await Promise.all(members.map((member) => member.answers('over', { target: plan.accounts, last: true })));
    // What the last step told is on its way to the others, and may tell something itself.
    for (let round = 0; round < SETTLE_ROUNDS; round++)
      await Promise.all(members.map((member) => member.answers('settled', { settle: true })));
    for (const member of members) await member.dismiss();
    progress.add(1, 'compared');
    return await withStores(site, (stores) => compared(stores, people, plan));
  } finally {
    await Promise.all(members.map((member) => member.destroy()));
    await site.clear();
  }
}

/** Until the other has heard something, or, where it has no inbox, has gone past the point of no return. */
async function takenOver(users: Database, plan: Plan, was: number): Promise<void> {
  for (const end = performance.now() + TAKEN_OVER_MS_MAX; performance.now() < end; await sleep(50))
    if ((await shownBy(users, plan)) > was) return;
  throw new Error(`Nobody took over from whoever was paused within ${TAKEN_OVER_MS_MAX / 1_000} s`);
}

async function shownBy(users: Database, { stale }: Plan): Promise<number> {
  const [row] = await users.query<{ count: number }>(
    `SELECT count(*)::int AS count FROM ${stale ? `outbox WHERE type = 'user-deleted'` : 'inbox'}`,
  );
  return row?.count ?? 0;
}

const SETTLE_ROUNDS = 4;

/** Until the one that is to die has come to its point, there is always another account to delete. */
async function keepDeleting(dies: Promise<void>, members: readonly Member[], target: number): Promise<void> {
  await Promise.all(members.map((member) => member.ready()));
  for (const member of members) member.tell({ target });
  await dies;
  for (const member of members) member.tell({ target: 0 });
}

/** A point is passed long before these are used up. */
const SPARE_PER_KILL = 40;

type Stores = Readonly<Record<Service, Database>>;

interface Account {
  readonly id: string;
  /** Some step of its deletion fails for good. */
  readonly fails: boolean;
}

/**
 * Accounts that follow those who stay and are followed by them, block one more of them, and of whose posts one answers a post of
 * theirs, which they like. Every fifth cannot be parted from whom it follows.
 */
async function layOut(stores: Stores, { accounts: least, points, naive, calm }: Plan): Promise<readonly Account[]> {
  const accounts = least + SPARE_PER_KILL * points.length;
  const now = Date.now() - 86_400_000;
  const ids = Array.from({ length: accounts + FOLLOWS_EACH + 1 }, (_, nth) => newId({ now: now + nth }));
  const people = ids.slice(0, accounts);
  const [blockedId = '', ...staying] = ids.slice(accounts);
  await loadUsers(
    stores.users,
    new Sealer([sealingKeyOf('proof', randomBytes(32))]),
    ids.map((id, nth) => ({
      id,
      handle: `h${nth}`,
      displayName: nth < accounts ? 'leaves' : 'stays',
      bio: 'b',
      email: 'e@example.org',
      passwordHash: 'p',
      joinedAt: new Date(now),
    })),
  );
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
    follows.map((follow) => ({ ...follow, followedAt: new Date(now).toISOString() })),
  );
  const blocks = people.map((blockerId) => ({ blockerId, blockedId, at: new Date(now).toISOString() }));
  await loadBlocks(stores.posts, blocks);
  await loadFollowersBlocks(stores.followers, blocks);
  await recount(stores.followers);
  const liked = { id: newId({ now }), authorId: staying[0]!, createdAt: new Date(now).toISOString() };
  await loadPosts(stores.posts, [{ ...liked, body: 'stays', inReplyToId: null }]);
  await loadPosts(
    stores.posts,
    people.flatMap((authorId, nth) =>
      Array.from({ length: POSTS_EACH }, (_, post) => ({
        id: newId({ now: now + 1_000 * nth + post }),
        authorId,
        body: `secret of ${nth}`,
        createdAt: new Date(now + 1_000 * nth + post).toISOString(),
        inReplyToId: post === 0 ? liked.id : null,
      })),
    ),
  );
  await loadLikes(
    stores.posts,
    people.map((userId) => ({ postId: liked.id, userId })),
  );
  await recountPosts(stores.posts);
  await watchBlocks(
    stores.posts,
    people.map((author) => ({ author, from: blockedId })),
  );
  const stuck = naive || calm ? [] : people.filter((_, nth) => nth % 5 === 0);
  if (stuck.length > 0) {
    await stores.followers.query('CREATE TABLE stuck (id uuid PRIMARY KEY)');
    await stores.followers.query('INSERT INTO stuck SELECT * FROM unnest($1::uuid[])', [stuck]);
    await stores.followers.query(
      `CREATE FUNCTION stuck_stays() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
         IF EXISTS (SELECT FROM stuck WHERE id = OLD.follower_id) THEN RAISE EXCEPTION 'stuck'; END IF; RETURN OLD; END $$`,
    );
    await stores.followers.query(
      'CREATE TRIGGER stuck_stays BEFORE DELETE ON follows FOR EACH ROW EXECUTE FUNCTION stuck_stays()',
    );
  }
  return people.map((id) => ({ id, fails: stuck.includes(id) }));
}

/** Gone everywhere, or as it was everywhere; anything between is half done. Of the accounts whose deletion was begun. */
async function compared(stores: Stores, people: readonly Account[], plan: Plan): Promise<Outcome> {
  let [begun, done, reverted, halfDone, astray] = [0, 0, 0, 0, 0];
  for (const { id, fails } of people) {
    const [user] = await stores.users.query<{ begun: boolean; gone: boolean; back: boolean }>(
      `SELECT frozen_at IS NOT NULL OR deleted_at IS NOT NULL
           OR EXISTS (SELECT FROM account_deletions WHERE user_id = users.id) AS begun,
         deleted_at IS NOT NULL AND display_name = '' AND email = '' AND password_hash = '' AS gone,
         deleted_at IS NULL AND frozen_at IS NULL AND display_name = 'leaves' AS back FROM users WHERE id = $1`,
      [id],
    );
    if (user?.begun !== true) continue;
    begun += 1;
    const [post] = await stores.posts.query<{
      visible: number;
      told: number;
      state: string;
      counted: number;
      edges: number;
      blocks: number;
      likes: number;
      liked: number;
    }>(
      `SELECT (SELECT count(*)::int FROM posts WHERE author_id = $1 AND state = 'published' AND body <> '') AS visible,
         (SELECT count(*)::int FROM likes WHERE user_id = $1) AS likes,
         (SELECT count(*)::int FROM likes WHERE user_id = $1 AND liked AND NOT withdrawn) AS liked,
         (SELECT count(*)::int FROM post_events e JOIN posts p ON p.id = e.post_id
          WHERE p.author_id = $1 AND e.fact ->> 'body' <> '') AS told,
         (SELECT count(*)::int FROM follow_edges WHERE $1 IN (follower_id, followee_id)) AS edges,
         (SELECT count(*)::int FROM block_edges WHERE blocker_id = $1) AS blocks,
         state, post_count AS counted FROM people WHERE id = $1`,
      [id],
    );
    const [follow] = await stores.followers.query<{
      follows: number;
      blocks: number;
      parted: number;
      state: string;
      counted: number;
    }>(
      `SELECT (SELECT count(*)::int FROM follows WHERE $1 IN (follower_id, followee_id)) AS follows,
         (SELECT count(*)::int FROM blocks WHERE blocker_id = $1) AS blocks,
         (SELECT count(*)::int FROM parted WHERE owner_id = $1) AS parted,
         state, ${wholeCount('following', 'people')} AS counted FROM people WHERE user_id = $1`,
      [id],
    );
    const isGone =
      user.gone &&
      post?.state === 'deleted' &&
      post.visible === 0 &&
      (post.told === 0 || plan.naive === true) &&
      (post.edges + post.blocks + post.likes === 0 || plan.naive === true) &&
      follow?.state === 'gone' &&
      follow.follows + follow.parted + follow.counted === 0 &&
      (follow.blocks === 0 || plan.naive === true);
    const isBack =
      user.back &&
      post?.state === 'registered' &&
      post.visible === POSTS_EACH &&
      post.counted === POSTS_EACH &&
      post.edges === 2 * FOLLOWS_EACH &&
      post.liked === 1 &&
      post.blocks === 1 &&
      follow?.state === 'active' &&
      follow.follows === 2 * FOLLOWS_EACH &&
      follow.blocks === 1 &&
      follow.counted === FOLLOWS_EACH &&
      follow.parted === 0;
    if (isGone) done += 1;
    else if (isBack) reverted += 1;
    else halfDone += 1;
    if ((isGone && fails) || (isBack && !fails)) astray += 1;
  }
  const [again] = await stores.users.query<{ twice: number }>(
    `SELECT count(*)::int AS twice FROM (
       SELECT FROM outbox WHERE type IN ('account-frozen', 'account-thawed', 'user-deleted')
       GROUP BY type, payload ->> 'deletionId' HAVING count(*) > 1) AS each`,
  );
  const messages = await messagesOf(Object.values(stores));
  const [time] = await stores.users.query<{ p50: number | null }>(
    `SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY took)::float8 AS p50 FROM (
       SELECT extract(epoch FROM max(at) - min(at)) * 1000 AS took FROM account_deletion_steps GROUP BY deletion_id) AS each`,
  );
  return {
    kills: plan.points.length,
    begun,
    done,
    reverted,
    halfDone,
    astray,
    twice: again?.twice ?? 0,
    seen: await seenAcrossBlocks(stores.posts),
    miscounted: await miscountedIn(stores),
    messages: Math.round((messages / begun) * 10) / 10,
    p50Ms: Math.round(time?.p50 ?? 0),
  };
}

async function miscountedIn({ posts, followers }: Stores): Promise<number> {
  const wrong = async (store: Database, counts: readonly string[]): Promise<number> => {
    const [row] = await store.query<{ wrong: number }>(
      `SELECT count(*)::int AS wrong FROM (${counts.join(' UNION ALL ')}) AS each WHERE says <> counted`,
    );
    return row!.wrong;
  };
  const of = (table: string, says: string, rows: string): string =>
    `SELECT ${says} AS says, (SELECT count(*)::int FROM ${rows}) AS counted FROM ${table}`;
  const ofPost = (count: 'likes' | 'replies', rows: string) => of('posts p', wholePostCount(count, 'p'), rows);
  const ofPerson = (count: 'followers' | 'following', rows: string) => of('people', wholeCount(count, 'people'), rows);
  return (
    (await wrong(posts, [
      ofPost('likes', 'likes WHERE post_id = p.id AND liked'),
      ofPost('replies', `posts r WHERE r.in_reply_to_id = p.id AND r.state = 'published'`),
    ])) +
    (await wrong(followers, [
      ofPerson('followers', 'follows WHERE followee_id = people.user_id'),
      ofPerson('following', 'follows WHERE follower_id = people.user_id'),
    ]))
  );
}

/** While no worker has them: an embedded database is one process's. */
async function withStores<T>(site: Site, work: (stores: Stores) => Promise<T>): Promise<T> {
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
