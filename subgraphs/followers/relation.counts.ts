import type { Tx } from '#libs/database';
import { answering, inBoth } from '#libs/read-model';
import type { Change } from './relation.js';

/** The row of `read_models` that says which version of the counts answers. */
export const FOLLOW_COUNTS = 'follow-counts';

/**
 * Both counts of a person stand in the person's row. Whoever follows or unfollows changes them there, unless somebody else holds the
 * row: then the change is a row of its own in `count_deltas`, and nobody waits. A read adds both up by one statement, so it is exact at
 * every moment; whoever counts next takes the deltas into the row. So a person whom many follow at once is spread over as many rows as
 * there are followers at that moment, and everybody else is one row.
 */
export async function changeCounts(tx: Tx, started: readonly Change[], ended: readonly Change[]): Promise<void> {
  const followers = new Map<string, number>();
  const following = new Map<string, number>();
  const add = (counts: Map<string, number>, id: string, by: number) => counts.set(id, (counts.get(id) ?? 0) + by);
  for (const { from, to } of started) {
    add(following, from, 1);
    add(followers, to, 1);
  }
  for (const { from, to } of ended) {
    add(following, from, -1);
    add(followers, to, -1);
  }
  const ids = [...new Set([...followers.keys(), ...following.keys()])];
  if (ids.length === 0) return;
  await tx.query(CHANGE, [ids, ids.map((id) => followers.get(id) ?? 0), ids.map((id) => following.get(id) ?? 0)]);
}

/** What others have counted for this person goes into the person's row, if nobody holds it. */
export async function foldCounts(tx: Tx, userId: string): Promise<void> {
  await tx.query(CHANGE, [[userId], [0], [0]]);
}

/**
 * Nothing waits here, so nobody can wait in a circle. A row that is held is locked until the commit; deltas that it folds go with it.
 * Counts are added to what stands in the row that was locked, not in the one that this statement saw when it began: whoever held it
 * before may have taken deltas into it since, and PostgreSQL looks at the check of a count before it looks at the row again.
 */
const CHANGE = `
  WITH w AS (SELECT * FROM unnest($1::uuid[], $2::int[], $3::int[]) AS w (user_id, followers, following)),
  held AS MATERIALIZED (
    SELECT user_id, follower_count, follower_count_2, following_count, following_count_2
    FROM people WHERE user_id = ANY ($1::uuid[]) ORDER BY user_id FOR NO KEY UPDATE SKIP LOCKED
  ), folded AS (
    DELETE FROM count_deltas WHERE user_id IN (SELECT user_id FROM held) RETURNING user_id, followers, following
  ), spread AS (
    INSERT INTO count_deltas (user_id, followers, following)
    SELECT user_id, followers, following FROM w
    WHERE user_id NOT IN (SELECT user_id FROM held) AND (followers, following) <> (0, 0)
  ), changed AS (
    SELECT user_id, sum(followers) AS followers, sum(following) AS following FROM (
      SELECT * FROM w WHERE user_id IN (SELECT user_id FROM held) UNION ALL SELECT * FROM folded
    ) AS each GROUP BY user_id
  )
  UPDATE people p
  SET ${inBoth('follower_count', (kept) => `h.${kept} + c.followers`)}, ${inBoth('following_count', (kept) => `h.${kept} + c.following`)}
  FROM changed c JOIN held h USING (user_id) WHERE p.user_id = c.user_id`;

/** SQL: a count of the row `person`, with what is not in it yet; null where there is no such row. */
export function wholeCount(count: 'followers' | 'following', person: string): string {
  const column = count === 'followers' ? 'follower_count' : 'following_count';
  return `(${answering(FOLLOW_COUNTS, person, column)} + ${pendingCount(count, person)})::int`;
}

/** SQL: what of a count is not in the row `person` yet. */
export function pendingCount(count: 'followers' | 'following', person: string): string {
  return `coalesce((SELECT sum(d.${count}) FROM count_deltas d WHERE d.user_id = ${person}.user_id), 0)`;
}
