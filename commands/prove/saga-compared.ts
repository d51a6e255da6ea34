import type { Database } from '#libs/database';
import { wholeCount } from '../../subgraphs/followers/relation.counts.js';
import { wholeCount as wholePostCount } from '../../subgraphs/posts/post.counts.js';
import { seenAcrossBlocks } from './block-watch.js';
import type { Acted, Acts } from './saga-bystanders.js';
import { messagesOf } from './saga-messages.js';
import { FOLLOWS_EACH, keyOf, POSTS_EACH, toldIn, type Cast, type Plan, type Stores } from './saga-people.js';

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
  /** Counts of likes, replies, followers and followees, of anybody, that are not the number of their rows. */
  readonly miscounted: number;
  /** Notifications that are there and must not be, or the other way round, or are not the ones that were there before, in their ids. */
  readonly mistold: number;
  /** What others did to those who came back, and they themselves; and how many of it before the deletion was over. */
  readonly acts: number;
  readonly meanwhile: number;
  readonly messages: number;
  readonly p50Ms: number;
}

/** Gone everywhere, or as it was everywhere; anything between is half done. Of the accounts whose deletion was begun. */
export async function compared(
  stores: Stores,
  cast: Cast,
  plan: Plan,
  acted: Acted = { of: new Map(), meanwhile: 0 },
): Promise<Outcome> {
  const ends = new Map<string, 'gone' | 'back'>();
  let [begun, done, reverted, halfDone, astray] = [0, 0, 0, 0, 0];
  for (const { id, fails, posts } of cast.accounts) {
    const acts = acted.of.get(id) ?? {};
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
      parted: number;
      state: string;
      counted: number;
    }>(
      `SELECT ARRAY(SELECT follower_id || ' ' || followee_id FROM follows WHERE $1 IN (follower_id, followee_id)) AS follows,
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
      (post.edges.length + post.blocks + post.likes === 0 || plan.naive === true) &&
      follow?.state === 'gone' &&
      follow.follows.length + follow.parted + follow.counted === 0 &&
      (follow.blocks === 0 || plan.naive === true);
    const follows = followsAfter(id, cast, acts);
    const isBack =
      user.back &&
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
    acts: [...acted.of.values()].reduce((sum, acts) => sum + Object.keys(acts).length, 0),
    meanwhile: acted.meanwhile,
    messages: Math.round((messages / begun) * 10) / 10,
    p50Ms: Math.round(time?.p50 ?? 0),
  };
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

/** Of who is gone nothing is left, to them or of them; all others have what they had, by the ids that it had, and what was done since. */
async function mistoldIn(
  users: Database,
  { told, staying, stranger, liked, accounts }: Cast,
  ends: ReadonlyMap<string, 'gone' | 'back'>,
  acted: Acted,
): Promise<number> {
  const [first = '', second = '', third = ''] = staying;
  const isGone = (key: string): boolean => key.split(' ').some((id) => ends.get(id) === 'gone');
  const truth = new Map<string, string | undefined>([...told].filter(([key]) => !isGone(key)));
  for (const { id, posts } of accounts) {
    const { liked: isLiked, replied, unfollowed, followed, unliked } = acted.of.get(id) ?? {};
    if (isLiked) truth.set(keyOf(id, 'like', first, posts.at(-1)!), undefined);
    if (replied !== undefined) truth.set(keyOf(id, 'reply', second, replied), undefined);
    if (followed) truth.set(keyOf(id, 'follow', stranger, null), undefined);
    if (unfollowed) truth.delete(keyOf(id, 'follow', third, null));
    if (unliked) truth.delete(keyOf(first, 'like', id, liked));
  }
  const facts = await toldIn(users);
  const isRight = ([key, id]: [string, string]): boolean => truth.has(key) && (truth.get(key) ?? id) === id;
  const [lists] = await users.query<{ wrong: number }>(
    `SELECT count(*)::int AS wrong FROM (
       SELECT recipient_id, id, kind, actor_id, post_id FROM notification_facts
     ) f FULL JOIN (
       SELECT recipient_id, id, kind, actor_id, post_id FROM notifications
         WHERE slot = (SELECT serving FROM read_models WHERE name = 'notifications')
     ) n USING (recipient_id, id, kind, actor_id, post_id) WHERE f.* IS NULL OR n.* IS NULL`,
  );
  return (
    [...facts].filter((one) => !isRight(one)).length +
    [...truth.keys()].filter((key) => !facts.has(key)).length +
    lists!.wrong
  );
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
