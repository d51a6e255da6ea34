import type { Tx } from '#libs/database';
import type { Slice } from '#libs/saga';
import { changeCounts, changePostCount } from '../post.counts.js';
import type { PostFact } from '../post.js';
import { POST_COLUMNS, postOf, type PostRow } from '../post.row.js';
import { appendFacts, lockPosts, recordLikes, type LikeChange } from '../post.store.js';
import { replay } from '../replay.js';

/** Rows of one slice: few enough to be a moment, on an embedded database too. */
export const SLICE = 200;

/** Takes what a person wrote and liked out of sight, a slice at a time. The facts stay: it can all be brought back. */
export const withdrawSlice: Slice<string> = async (tx, { userId }) => {
  await holdPerson(tx, userId);
  if (await changePosts(tx, userId, 'withdraw')) return '';
  return (await changeLikes(tx, userId, 'withdraw')) ? '' : undefined;
};

/** Brings back what a deletion has withdrawn, with its likes and replies as they are now; what its author deleted stays deleted. */
export const restoreSlice: Slice<string> = async (tx, { userId }) => {
  await holdPerson(tx, userId);
  if (await changePosts(tx, userId, 'restore')) return '';
  return (await changeLikes(tx, userId, 'restore')) ? '' : undefined;
};

type Way = 'withdraw' | 'restore';

/** As everybody who writes in this person's name: first the person, then posts by id, then likes. */
async function holdPerson(tx: Tx, userId: string): Promise<void> {
  await tx.query('SELECT FROM people WHERE id = $1 FOR NO KEY UPDATE', [userId]);
}

async function changePosts(tx: Tx, userId: string, way: Way): Promise<boolean> {
  const found = await tx.query<PostRow>(
    `SELECT ${POST_COLUMNS} FROM posts p WHERE p.author_id = $1 AND p.state = $2 ORDER BY p.id LIMIT ${SLICE}`,
    [userId, way === 'withdraw' ? 'published' : 'withdrawn'],
  );
  if (found.length === 0) return false;
  const parents = found.flatMap(({ inReplyToId }) => (inReplyToId === null ? [] : [inReplyToId]));
  const locked = await lockPosts(tx, [...new Set([...found.map(({ id }) => id), ...parents])]);
  const posts = found.map((row) => locked.get(row.id) ?? postOf(row));
  const at = new Date().toISOString();
  const bodies =
    way === 'restore'
      ? await replay(
          tx,
          posts.map(({ id, version }) => ({ id, version: version - 1 })),
        )
      : [];
  const factOf = (nth: number): PostFact =>
    way === 'withdraw'
      ? { type: 'deleted', reason: 'account', at }
      : { type: 'restored', body: bodies[nth]?.post.body ?? '', at };
  await appendFacts(
    tx,
    userId,
    posts.map((before, nth) => ({ id: before.id, before, fact: factOf(nth) })),
  );
  const by = way === 'withdraw' ? -1 : 1;
  if (parents.length > 0)
    await changeCounts(
      tx,
      parents.map((postId) => ({ postId, replies: by })),
    );
  await changePostCount(tx, userId, by * posts.length);
  return true;
}

async function changeLikes(tx: Tx, userId: string, way: Way): Promise<boolean> {
  const which = way === 'withdraw' ? 'liked' : 'withdrawn';
  const found = await tx.query<{ id: string }>(
    `SELECT post_id AS id FROM likes WHERE user_id = $1 AND ${which} ORDER BY post_id LIMIT ${SLICE}`,
    [userId],
  );
  if (found.length === 0) return false;
  const ids = found.map(({ id }) => id);
  await lockPosts(tx, ids);
  const at = new Date().toISOString();
  // Of a like that is to come back, programs of before that were given it once more left that it is: it is there, counted and told of.
  const changed = await tx.query<LikeChange & { readonly isNew: boolean }>(
    `WITH before AS (
       SELECT post_id, liked <> $4 AS "isNew" FROM likes WHERE user_id = $1 AND post_id = ANY($2::uuid[]) AND ${which} FOR UPDATE)
     UPDATE likes l SET liked = $4, withdrawn = NOT $4,
       version = CASE WHEN "isNew" THEN version + 1 ELSE version END, at = CASE WHEN "isNew" THEN $3 ELSE at END
     FROM before WHERE l.user_id = $1 AND l.post_id = before.post_id
     RETURNING l.post_id AS "postId", user_id AS "userId", version, "isNew"`,
    [userId, ids, at, way === 'restore'],
  );
  const likes = changed.filter(({ isNew }) => isNew);
  await changeCounts(
    tx,
    likes.map(({ postId }) => ({ postId, likes: way === 'withdraw' ? -1 : 1 })),
  );
  // By nobody: whoever hears it can tell it from a like that was taken back.
  await recordLikes(tx, way === 'withdraw' ? 'post-unliked' : 'post-liked', null, at, likes);
  return true;
}
