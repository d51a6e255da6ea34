import type { Tx } from '#libs/database';
import type { DomainEvent } from '#libs/events';

export async function followEnded(tx: Tx, { payload }: DomainEvent<'follow-ended'>): Promise<void> {
  await tx.query('DELETE FROM follow_edges WHERE follower_id = $1 AND followee_id = $2', [
    payload.followerId,
    payload.followeeId,
  ]);
}
