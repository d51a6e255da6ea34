import type { Tx } from '#libs/database';
import type { DomainEvent } from '#libs/events';

export async function blockEnded(tx: Tx, { payload }: DomainEvent<'block-ended'>): Promise<void> {
  await tx.query('DELETE FROM block_edges WHERE blocker_id = $1 AND blocked_id = $2', [
    payload.blockerId,
    payload.blockedId,
  ]);
}
