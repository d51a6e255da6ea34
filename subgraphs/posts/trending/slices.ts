import type { Tx } from '#libs/database';

/** A version of the trending posts is eight slices: what was published on one day each (migrations/0010-trending-slices.ts). */
export const SLICES = [1, 2, 3, 4, 5, 6, 7, 8] as const;

/** Whoever reads meanwhile has a slice as it was until this is committed. What it is computed for is the beginning of the transaction. */
export async function remakeSlices(
  tx: Tx,
  slot: number,
  slices: readonly number[],
  { beside = true, withinMs }: { beside?: boolean; withinMs?: number } = {},
): Promise<void> {
  for (const slice of slices) {
    const refresh = `REFRESH MATERIALIZED VIEW ${beside ? 'CONCURRENTLY' : ''} trending_${slot === 2 ? 2 : 1}_${slice}`;
    await tx.query(refresh, [], withinMs);
  }
  await tx.query('UPDATE trending_slices SET made_at = now() WHERE slot = $1 AND slice = ANY($2::smallint[])', [
    slot,
    slices,
  ]);
}
