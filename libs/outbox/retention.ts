import type { Database } from '#libs/database';

/** Rows that one statement deletes. */
const BATCH = 500;
const BATCHES_MAX = 200;

/**
 * Deletes what was published longer than `keepMs` ago, oldest first, in small statements; at most 100,000 rows per call.
 * It looks at the oldest rows only, so asking costs the same in a small and in a huge outbox.
 */
export async function cleanOutbox(database: Database, keepMs: number): Promise<number> {
  let deleted = 0;
  for (let batch = 0; batch < BATCHES_MAX; batch++) {
    const rows = await database.query(
      `DELETE FROM outbox WHERE position IN (
         SELECT position FROM (SELECT position, published_at FROM outbox ORDER BY position LIMIT ${BATCH}) AS oldest
         WHERE published_at < now() - $1 * interval '1 ms')
       RETURNING 1`,
      [keepMs],
    );
    deleted += rows.length;
    if (rows.length < BATCH) break;
  }
  return deleted;
}

/** Has what was published in the last `sinceMs` published again, for a stream that lost its memory. Answers how many. */
export async function publishAgain(database: Database, sinceMs: number): Promise<number> {
  const rows = await database.query(
    `UPDATE outbox SET published_at = NULL WHERE published_at >= now() - $1 * interval '1 ms' RETURNING 1`,
    [sinceMs],
  );
  return rows.length;
}
