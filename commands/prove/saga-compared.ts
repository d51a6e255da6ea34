import { wholeCount } from '../../subgraphs/followers/relation.counts.js';
import { seenAcrossBlocks } from './block-watch.js';
import { KINDS, type Acted, type Acts } from './saga-bystanders.js';
import { checksumsOf } from './saga-checksums.js';
import { miscountedIn, type Miscounted } from './saga-counted.js';
import { messagesOf } from './saga-messages.js';
import { FOLLOWS_EACH, POSTS_EACH, type Cast, type Plan, type Stores } from './saga-people.js';
import { mistoldIn, type Mistold } from './saga-told.js';

export interface Outcome {
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
  readonly miscounted: Miscounted;
  readonly mistold: Mistold;
  /** What others did to those who came back, and they themselves; undefined: nobody acted. */
  readonly acts: ActsDone | undefined;
  readonly messages: number;
  readonly p50Ms: number;
}

export interface ActsDone {
  readonly count: number;
  /** Of the kind of which there were fewest. */
  readonly leastOfAKind: number;
  readonly meanwhile: number;
  readonly refused: number;
}

/** Gone everywhere, or as it was everywhere; anything between is half done. Of the accounts whose deletion was begun. */
export async function compared(stores: Stores, cast: Cast, plan: Plan, acted: Acted | undefined): Promise<Outcome> {
  const checksums = await checksumsOf(stores);
  const ends = new Map<string, 'gone' | 'back'>();
  let [begun, done, reverted, halfDone, astray] = [0, 0, 0, 0, 0];
  for (const { id, fails, posts } of cast.accounts) {
    const acts = acted?.of.get(id) ?? {};
    const [user] = await stores.users.query<{ begun: boolean; gone: boolean; back: boolean }>(
      `SELECT frozen_at IS NOT NULL OR deleted_at IS NOT NULL
           OR EXISTS (SELECT FROM account_deletions WHERE user_id = users.id) AS begun,
         deleted_at IS NOT NULL AND avatar_url IS NULL
           AND (handle, display_name, bio, email, password_hash) = ('', '', '', '', '') AS gone,
         deleted_at IS NULL AND frozen_at IS NULL AS back FROM users WHERE id = $1`,
      [id],
    );
    if (user?.begun !== true) continue;
    begun += 1;
    const [post] = await stores.posts.query<{
      visible: number;
      told: number;
      state: string;
      counted: number;
      edges: string[];
      likedBy: number;
      replies: number;
      blocks: number;
      likes: number;
      liked: number;
    }>(
      `SELECT (SELECT count(*)::int FROM posts WHERE author_id = $1 AND state = 'published' AND body <> '') AS visible,
         (SELECT count(*)::int FROM likes WHERE user_id = $1) AS likes,
         (SELECT count(*)::int FROM likes WHERE user_id = $1 AND liked AND NOT withdrawn) AS liked,
         (SELECT count(*)::int FROM post_events e JOIN posts p ON p.id = e.post_id
          WHERE p.author_id = $1 AND e.fact ->> 'body' <> '') AS told,
         ARRAY(SELECT follower_id || ' ' || followee_id FROM follow_edges WHERE $1 IN (follower_id, followee_id)) AS edges,
         (SELECT count(*)::int FROM likes WHERE post_id = $2 AND liked) AS "likedBy",
         (SELECT count(*)::int FROM posts WHERE in_reply_to_id = $2 AND state = 'published') AS replies,
         (SELECT count(*)::int FROM block_edges WHERE blocker_id = $1) AS blocks,
         state, post_count AS counted FROM people WHERE id = $1`,
      [id, posts.at(-1)],
    );
    const [follow] = await stores.followers.query<{
      follows: string[];
      blocks: number;
      blocksSince: number;
      parted: number;
      state: string;
      counted: number;
    }>(
      `SELECT ARRAY(SELECT follower_id || ' ' || followee_id || CASE WHEN followed_at = $2 OR follower_id = $3 THEN '' ELSE ' later' END
           FROM follows WHERE $1 IN (follower_id, followee_id)) AS follows,
         (SELECT count(*)::int FROM blocks WHERE blocker_id = $1) AS blocks,
         (SELECT count(*)::int FROM blocks WHERE blocker_id = $1 AND at = $2) AS "blocksSince",
         (SELECT count(*)::int FROM parted WHERE owner_id = $1) AS parted,
         state, ${wholeCount('following', 'people')} AS counted FROM people WHERE user_id = $1`,
      [id, cast.since, cast.stranger],
    );
    const isGone =
      user.gone &&
      post?.state === 'deleted' &&
      post.visible === 0 &&
      (post.told === 0 || plan.naive === true) &&
      (post.edges.length + post.blocks + post.likes === 0 || plan.naive === true) &&
      follow?.state === 'gone' &&
      follow.follows.length + follow.parted === 0 &&
      (follow.counted + follow.blocks === 0 || plan.naive === true);
    const follows = followsAfter(id, cast, acts);
    const isBack =
      user.back &&
      checksums.get(id) === cast.checksums.get(id) &&
      post?.state === 'registered' &&
      post.visible === POSTS_EACH &&
      post.counted === POSTS_EACH &&
      isSame(post.edges, follows) &&
      post.liked === (acts.unliked ? 0 : 1) &&
      post.likedBy === (acts.liked ? 1 : 0) &&
      post.replies === (acts.replied === undefined ? 0 : 1) &&
      post.blocks === 1 &&
      follow?.state === 'active' &&
      isSame(follow.follows, follows) &&
      follow.blocks === 1 &&
      follow.blocksSince === 1 &&
      follow.counted === FOLLOWS_EACH - (acts.left ? 1 : 0) &&
      follow.parted === 0;
    if (isGone) done += 1;
    else if (isBack) reverted += 1;
    else halfDone += 1;
    if ((isGone && fails !== false) || (isBack && fails === false)) astray += 1;
    if (isGone || isBack) ends.set(id, isGone ? 'gone' : 'back');
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
    mistold: await mistoldIn(stores.users, cast, ends, acted),
    acts: acted && actsDone(acted),
    messages: Math.round((messages / begun) * 10) / 10,
    p50Ms: Math.round(time?.p50 ?? 0),
  };
}

function actsDone({ of, meanwhile, refused }: Acted): ActsDone {
  const done = [...of.values()].flatMap((acts) => Object.keys(acts));
  const leastOfAKind = Math.min(...KINDS.map((kind) => done.filter((one) => one === kind).length));
  return { count: done.length, leastOfAKind, meanwhile, refused };
}

/** Everybody who stays follows and is followed, but for what was done. */
function followsAfter(id: string, { staying, stranger }: Cast, acts: Acts): string[] {
  const [, , third, fourth] = staying;
  return [
    ...staying.flatMap((other) => [
      ...(acts.left && other === fourth ? [] : [`${id} ${other}`]),
      ...(acts.unfollowed && other === third ? [] : [`${other} ${id}`]),
    ]),
    ...(acts.followed ? [`${stranger} ${id}`] : []),
  ];
}

function isSame(some: readonly string[], others: readonly string[]): boolean {
  return some.length === others.length && some.every((one) => others.includes(one));
}
