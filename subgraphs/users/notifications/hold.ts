import type { Tx } from '#libs/database';

/**
 * Holds the notifications of these people, and of whoever has or had these handles, until the end of the transaction. An id says both
 * the place in the list and whether it was read, so a person's are given one after the other: one that was given before another's
 * COMMIT and seen after it would be read before anybody saw it. All that a transaction needs at once, in one order, so nobody waits
 * in a circle. What the caller reads after this it must read by a statement of its own.
 */
export async function holdLists(tx: Tx, userIds: readonly string[], handles: readonly string[] = []): Promise<void> {
  if (userIds.length + handles.length === 0) return;
  await tx.query(
    `SELECT pg_advisory_xact_lock(k) FROM (
       SELECT DISTINCT hashtextextended('notifications ' || id, 0) AS k FROM (
         SELECT unnest($1::uuid[]) AS id UNION ALL SELECT user_id FROM handles WHERE handle = ANY($2::text[])
       ) AS people ORDER BY k
     ) AS locks`,
    [userIds, handles],
  );
}
