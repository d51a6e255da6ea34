import type { Tx } from '#libs/database';
import type { DomainEvent } from '#libs/events';
import { changeCounts } from '../post.counts.js';
import type { Post } from '../post.js';
import { POST_COLUMNS, postOf, type PostRow } from '../post.row.js';
import { dropList } from '../timeline/build.js';
import { appendFacts, recordLikes, type LikeChange } from '../post.store.js';

/**
 * Withdraws everything of a person: posts, likes, edges, the home timeline; the counts of others follow. A person can have a hundred thousand of
 * each, so no statement touches more than `CHUNK` of them and none comes near the statement timeout.
 */
export async function userDeleted(tx: Tx, { payload, at }: DomainEvent<'user-deleted'>): Promise<void> {
  const { userId } = payload;
  await endPerson(tx, userId);
  await lockTouchedPosts(tx, userId);
  await withdrawPosts(tx, userId, at);
  await withdrawLikes(tx, userId, at);
  await dropEdges(tx, 'follow_edges', ['follower_id', 'followee_id'], userId);
  await dropEdges(tx, 'block_edges', ['blocker_id', 'blocked_id'], userId);
  await dropList(tx, userId);
}

const CHUNK = 1_000;

/** From here on this person writes nothing: whoever writes holds the row, so they are waited for, and see 'deleted' after. */
async function endPerson(tx: Tx, userId: string): Promise<void> {
  await tx.query('SELECT FROM people WHERE id = $1 FOR UPDATE', [userId]);
  await tx.query(
    `INSERT INTO people (id, state) VALUES ($1, 'deleted') ON CONFLICT (id) DO UPDATE SET state = 'deleted', post_count = 0`,
    [userId],
  );
}

/** All at first and by id, the order of `lockPosts`: own posts, the posts they reply to, the posts that were liked. */
async function lockTouchedPosts(tx: Tx, userId: string): Promise<void> {
  let last = NIL;
  for (;;) {
    const rows: { id: string }[] = await tx.query(
      `SELECT p.id FROM (
         (SELECT id FROM posts WHERE author_id = $1 AND state = 'published' AND id > $2 ORDER BY id LIMIT ${CHUNK})
         UNION
         (SELECT DISTINCT in_reply_to_id FROM posts WHERE author_id = $1 AND state = 'published' AND in_reply_to_id > $2
          ORDER BY in_reply_to_id LIMIT ${CHUNK})
         UNION
         (SELECT post_id FROM likes WHERE user_id = $1 AND liked AND post_id > $2 ORDER BY post_id LIMIT ${CHUNK})
         ORDER BY id LIMIT ${CHUNK}
       ) AS touched JOIN posts p ON p.id = touched.id ORDER BY p.id FOR NO KEY UPDATE OF p`,
      [userId, last],
    );
    if (rows.length === 0) return;
    last = rows.at(-1)?.id ?? last;
  }
}

async function withdrawPosts(tx: Tx, userId: string, at: string): Promise<void> {
  for (;;) {
    const rows = await tx.query<PostRow>(
      `SELECT ${POST_COLUMNS} FROM posts p WHERE p.author_id = $1 AND p.state = 'published' ORDER BY p.id LIMIT ${CHUNK}`,
      [userId],
    );
    if (rows.length === 0) return;
    const posts = rows.map(postOf);
    await appendFacts(
      tx,
      userId,
      posts.map((before) => ({ id: before.id, before, fact: { type: 'deleted', reason: 'account', at } })),
    );
    const parents = posts.map(parentOf).filter((id) => id !== null);
    if (parents.length > 0)
      await changeCounts(
        tx,
        parents.map((postId) => ({ postId, replies: -1 })),
      );
  }
}

async function withdrawLikes(tx: Tx, userId: string, at: string): Promise<void> {
  for (;;) {
    const likes = await tx.query<LikeChange>(
      `UPDATE likes SET liked = false, version = version + 1, at = $2
       WHERE user_id = $1
         AND post_id = ANY(ARRAY(SELECT post_id FROM likes WHERE user_id = $1 AND liked ORDER BY post_id LIMIT ${CHUNK}))
       RETURNING post_id AS "postId", user_id AS "userId", version`,
      [userId, at],
    );
    if (likes.length === 0) return;
    await changeCounts(
      tx,
      likes.map(({ postId }) => ({ postId, likes: -1 })),
    );
    await recordLikes(tx, 'post-unliked', userId, at, likes);
  }
}

/** An edge that another person's deletion holds is that one's to drop: waiting for it could be waiting for each other. */
async function dropEdges(tx: Tx, table: string, [from, to]: readonly [string, string], userId: string): Promise<void> {
  for (const column of [from, to]) {
    let dropped = CHUNK;
    while (dropped === CHUNK) {
      const [row] = await tx.query<{ dropped: number }>(
        `WITH gone AS (
           DELETE FROM ${table}
           WHERE ctid = ANY(ARRAY(SELECT ctid FROM ${table} WHERE ${column} = $1 LIMIT ${CHUNK} FOR UPDATE SKIP LOCKED))
           RETURNING 1
         ) SELECT count(*)::int AS dropped FROM gone`,
        [userId],
      );
      dropped = row?.dropped ?? 0;
    }
  }
}

function parentOf(post: Post): string | null {
  return post.inReplyToId;
}

const NIL = '00000000-0000-0000-0000-000000000000';
