import { crashPoint } from '#libs/crash-point';
import type { Database } from '#libs/database';
import { ACTIVE_SLOTS, holdLists, trim, type TimelineLimits } from './lists.js';

/** Edges of one transaction: each brings at most a list's length of posts. */
const EDGES_PER_STEP = 20;

/**
 * Copies what new followees published before into their followers' lists, and from then on reads these edges from there. What the
 * list does not take of a followee raises its floor. An edge to somebody who is merged in brings nothing.
 */
export function backfillStep(database: Database, { length }: TimelineLimits): Promise<number> {
  return database.transaction(async (tx) => {
    const edges = await tx.query<{ follower: string; followee: string }>(
      `SELECT follower_id AS follower, followee_id AS followee FROM follow_edges WHERE NOT pushed
       LIMIT ${EDGES_PER_STEP} FOR UPDATE SKIP LOCKED`,
    );
    if (edges.length === 0) return 0;
    const followers = edges.map(({ follower }) => follower);
    await holdLists(tx, followers);
    await tx.query(
      `WITH edge AS (
         SELECT e.follower_id, e.followee_id FROM unnest($1::uuid[], $2::uuid[]) AS e (follower_id, followee_id)
       ), newest AS MATERIALIZED (
         SELECT edge.follower_id, ARRAY(
           SELECT p.id FROM posts p WHERE p.author_id = edge.followee_id AND p.state = 'published' ORDER BY p.id DESC LIMIT $3 + 1
         ) AS ids
         FROM edge JOIN people a ON a.id = edge.followee_id AND NOT a.pulled
       ), stored AS (
         INSERT INTO home_entries (slot, user_id, post_id)
         SELECT s.slot, n.follower_id, id FROM newest n CROSS JOIN unnest(n.ids[1:$3]) AS id CROSS JOIN ${ACTIVE_SLOTS} s
         ORDER BY s.slot, n.follower_id, id
         ON CONFLICT DO NOTHING
       ), raised AS (
         UPDATE home_timelines h SET floor = greatest(h.floor, f.floor)
         FROM (
           SELECT follower_id, (array_agg(ids[$3 + 1] ORDER BY ids[$3 + 1] DESC))[1] AS floor
           FROM newest WHERE ids[$3 + 1] IS NOT NULL GROUP BY follower_id
         ) f
         WHERE h.user_id = f.follower_id
       )
       UPDATE follow_edges f SET pushed = true FROM edge
       WHERE f.follower_id = edge.follower_id AND f.followee_id = edge.followee_id`,
      [followers, edges.map(({ followee }) => followee), length],
    );
    await trim(tx, followers, length);
    crashPoint('project:backfilled');
    return edges.length;
  });
}
