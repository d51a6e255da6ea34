import type { Tx } from '#libs/database';
import type { DomainEvent } from '#libs/events';

/**
 * From now on nobody can follow or block this person, nor this person anybody. What stands is ended by the `Farewell`, step
 * by step: one who has 100,000 followers would hold 100,000 rows locked in this transaction.
 */
export async function onUserDeleted(tx: Tx, event: DomainEvent<'user-deleted'>): Promise<void> {
  await tx.query(
    `INSERT INTO people (user_id, state) VALUES ($1, 'leaving')
     ON CONFLICT (user_id) DO UPDATE SET state = 'leaving' WHERE people.state = 'active'`,
    [event.payload.userId],
  );
}
