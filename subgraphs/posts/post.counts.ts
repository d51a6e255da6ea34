import type { Tx } from '#libs/database';
import { answering, inBoth } from '#libs/read-model';

/** Rows of `read_models`: which version of a post's counts answers, and which of a person's. */
export const POST_COUNTS = 'post-counts';
export const AUTHOR_COUNTS = 'author-counts';

/**
 * The counts of a post stand in its row. Whoever likes or answers it changes them there, under the row's lock, unless somebody else
 * holds it: then the change is a row of its own in `count_deltas`, and nobody waits. A read adds both up by one statement, so it is
 * exact at every moment; whoever holds the post next takes the deltas into the row. So a post that many like at once is spread over as
 * many rows as there are likers at that moment, and every other post is one row.
 */
export interface CountChange {
  readonly postId: string;
  readonly likes?: number;
  readonly replies?: number;
}

export interface Counts {
  readonly likes: number;
  readonly replies: number;
}

/** Of posts that this transaction holds locked. Answers the counts of each. */
export async function changeCounts(tx: Tx, changes: readonly CountChange[]): Promise<Map<string, Counts>> {
  const rows = await tx.query<Counts & { id: string }>(
    `WITH folded AS (
       DELETE FROM count_deltas WHERE post_id = ANY($1::uuid[]) RETURNING post_id, likes, replies
     ), changed AS (
       SELECT post_id, sum(likes) AS likes, sum(replies) AS replies FROM (
         SELECT * FROM unnest($1::uuid[], $2::int[], $3::int[]) AS c (post_id, likes, replies) UNION ALL SELECT * FROM folded
       ) AS each GROUP BY post_id
     )
     UPDATE posts p
     SET ${inBoth('like_count', (kept) => `p.${kept} + c.likes`)}, ${inBoth('reply_count', (kept) => `p.${kept} + c.replies`)}
     FROM changed c WHERE p.id = c.post_id
     RETURNING p.id, greatest(0, ${answering(POST_COUNTS, 'p', 'like_count')}) AS likes,
       greatest(0, ${answering(POST_COUNTS, 'p', 'reply_count')}) AS replies`,
    columns(changes),
  );
  return new Map(rows.map(({ id, likes, replies }) => [id, { likes, replies }]));
}

/** Of posts that somebody else holds. */
export async function appendCounts(tx: Tx, changes: readonly CountChange[]): Promise<void> {
  await tx.query(
    'INSERT INTO count_deltas (post_id, likes, replies) SELECT * FROM unnest($1::uuid[], $2::int[], $3::int[])',
    columns(changes),
  );
}

/** SQL: a count of the row `post`, with what is not in it yet. One that is wrong may be below zero, which no client is shown. */
export function wholeCount(count: 'likes' | 'replies', post: string): string {
  const column = count === 'likes' ? 'like_count' : 'reply_count';
  return `(${answering(POST_COUNTS, post, column)} + ${pendingCount(count, post)})::int`;
}

/** SQL: what of a count is not in the row `post` yet. */
export function pendingCount(count: 'likes' | 'replies', post: string): string {
  return `coalesce((SELECT sum(d.${count}) FROM count_deltas d WHERE d.post_id = ${post}.id), 0)`;
}

/** SQL: how many posts the person of the row `person` has. */
export function postCountOf(person: string): string {
  return answering(AUTHOR_COUNTS, person, 'post_count');
}

/** Of a person whom this transaction holds. */
export async function changePostCount(tx: Tx, userId: string, by: number): Promise<void> {
  await tx.query(`UPDATE people SET ${inBoth('post_count', (kept) => `${kept} + $2`)} WHERE id = $1`, [userId, by]);
}

function columns(changes: readonly CountChange[]): [string[], number[], number[]] {
  return [
    changes.map(({ postId }) => postId),
    changes.map(({ likes = 0 }) => likes),
    changes.map(({ replies = 0 }) => replies),
  ];
}
