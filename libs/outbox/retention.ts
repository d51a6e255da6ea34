import type { Database } from '#libs/database';

import { RANGE, type Range } from './leases.js';

/** How long a published row is kept where nothing else is said: a Redis that loses its memory can be filled with it again. */
export const KEEP_DAYS = 7;

/** Rows that one statement deletes. */
const BATCH = 500;
const AT_ONCE = 100_000;
/** Rows that one statement unpublishes. */
const AGAIN = 2_000;

/**
 * Deletes what was published longer than `keepMs` ago, oldest first, in small statements; at most `atOnce` rows per call.
 * It looks at the oldest rows only, so asking costs the same in a small and in a huge outbox.
 */
export async function cleanOutbox(database: Database, keepMs: number, atOnce = AT_ONCE): Promise<number> {
  let deleted = 0;
  while (deleted < atOnce) {
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

/**
 * Has what is retained published again, for a stream that lost it; all of it, or what was published in the last `sinceMs`, or
 * of one range. In small statements but in one transaction: a relay that saw the later half of an aggregate only would reorder
 * it. It ends the relays' leases, so what a relay has in hand meanwhile is not marked: it is told again with the rest. A relay that is
 * marking holds its leases for that, and is waited for. `batches`: how many the stream says that it was given of the range, from here on.
 */
export function publishAgain(database: Database, sinceMs?: number, range?: Range, batches?: number): Promise<number> {
  return database.transaction(async (tx) => {
    await tx.query(
      `WITH ended AS (
         SELECT ranges, nth FROM relay_leases WHERE $1::int IS NULL OR (nth = $1 AND ranges = $2::int)
         ORDER BY ranges, nth FOR UPDATE)
       UPDATE relay_leases AS lease SET again = nextval('relay_token'), token = nextval('relay_token'), until = '-infinity',
         batches = coalesce($3::bigint, batches)
       FROM ended WHERE lease.ranges = ended.ranges AND lease.nth = ended.nth`,
      [range?.nth ?? null, range?.of ?? null, batches ?? null],
    );
    let after = '0';
    for (let count = 0; ;) {
      const [batch] = await tx.query<{ count: number; last: string | null }>(
        `WITH batch AS (
           SELECT position FROM outbox WHERE position > $1 AND published_at IS NOT NULL
             AND ($2::float8 IS NULL OR published_at >= now() - $2 * interval '1 ms')
             AND ($3::int IS NULL OR ${RANGE('$4::int')} = $3)
           ORDER BY position LIMIT ${AGAIN}
         ), again AS (
           UPDATE outbox SET published_at = NULL FROM batch WHERE outbox.position = batch.position RETURNING outbox.position
         ) SELECT count(*)::int AS count, max(position)::text AS last FROM again`,
        [after, sinceMs ?? null, range?.nth ?? null, range?.of ?? 1],
      );
      count += batch?.count ?? 0;
      if (batch === undefined || batch.last === null || batch.count < AGAIN) return count;
      after = batch.last;
    }
  });
}
