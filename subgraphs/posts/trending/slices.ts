import type { Tx } from '#libs/database';

/** A version of the trending posts is eight slices: what was published on one day each (migrations/0010-trending-slices.ts). */
export const SLICES = [1, 2, 3, 4, 5, 6, 7, 8] as const;

/** The view of all slices of a version. */
export function viewOf(slot: number): string {
  return slot === 2 ? 'trending_2' : 'trending_1';
}

/**
 * Whoever reads meanwhile has a slice as it was until this is committed; embedded nobody does, and nobody vacuums what CONCURRENTLY leaves
 * behind. What it is computed for is the beginning of the transaction. All of it is to be done `untilMs` by the monotonic clock.
 */
export async function remakeSlices(tx: Tx, slot: number, slices: readonly number[], untilMs?: number): Promise<void> {
  for (const slice of slices) {
    const refresh = `REFRESH MATERIALIZED VIEW ${tx.kind === 'server' ? 'CONCURRENTLY' : ''} ${viewOf(slot)}_${slice}`;
    // No time at all would be no bound at all.
    await tx.query(refresh, [], untilMs && Math.max(1, untilMs - performance.now()));
  }
  await tx.query('UPDATE trending_slices SET made_at = now() WHERE slot = $1 AND slice = ANY($2::smallint[])', [
    slot,
    slices,
  ]);
}
