import type { Tx } from '#libs/database';
import { BUILDING } from '#libs/read-model';

/** How the lists are kept. */
export interface TimelineLimits {
  /** Posts of people with more followers are merged in by those who read. */
  readonly pushMax: number;
  /** Newest posts that a person's list keeps; older pages are read from the source. */
  readonly length: number;
  /** A list is shortened at one delivery of so many, by chance: at one of 32, looking was a third of what a delivery cost. */
  readonly trimEvery: number;
  /** Followers that one post reaches in one step. */
  readonly sliceMax: number;
}

export const NIL = '00000000-0000-0000-0000-000000000000';

/** The versions that every change goes into: the one that answers, and the one that is being built. */
export const ACTIVE_SLOTS = `(
  SELECT slot FROM read_models, unnest(ARRAY[serving, ${BUILDING}]) AS slot WHERE name = 'home-timeline' AND slot IS NOT NULL
)`;

/** Keeps `length` posts of each of these lists; what is older than its floor is read from the source. */
export async function trim(tx: Tx, userIds: readonly string[], length: number): Promise<void> {
  if (userIds.length === 0) return;
  await tx.query(
    `WITH cut AS (
       SELECT h.slot, h.user_id, newest.ids[$2 + 1] AS post_id
       FROM (SELECT DISTINCT id FROM unnest($1::uuid[]) AS id) u
       JOIN home_timelines h ON h.user_id = u.id AND h.slot IN ${ACTIVE_SLOTS}
       CROSS JOIN LATERAL (
         SELECT array_agg(e.post_id ORDER BY e.post_id DESC) AS ids FROM (
           SELECT post_id FROM home_entries WHERE slot = h.slot AND user_id = h.user_id ORDER BY post_id DESC LIMIT $2 + 1
         ) e
       ) newest
       WHERE newest.ids[$2 + 1] IS NOT NULL
     ), raised AS (
       UPDATE home_timelines h SET floor = greatest(h.floor, cut.post_id)
       FROM cut WHERE h.slot = cut.slot AND h.user_id = cut.user_id
     )
     DELETE FROM home_entries e USING cut WHERE e.slot = cut.slot AND e.user_id = cut.user_id AND e.post_id <= cut.post_id`,
    [userIds, length],
  );
}

/**
 * Holds the lists of these people until the end of the transaction. Only who writes a list anew, or what a new edge brings, needs it:
 * the one must see what the other did. What the caller reads after this it must read by a statement of its own.
 */
export async function holdLists(tx: Tx, userIds: readonly string[]): Promise<void> {
  await tx.query(
    `SELECT pg_advisory_xact_lock(k) FROM (
       SELECT DISTINCT hashtextextended(id::text, 0) AS k FROM unnest($1::uuid[]) AS id ORDER BY k
     ) AS locks`,
    [userIds],
  );
}
