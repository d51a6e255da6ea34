import type { Tx } from '#libs/database';
import type { DomainEvent } from '#libs/events';
import { registerPerson } from '../relation.store.js';

/** From now on this person may be followed. */
export async function onUserRegistered(tx: Tx, event: DomainEvent<'user-registered'>): Promise<void> {
  await registerPerson(tx, event.payload.userId);
}
