import type { Tx } from '#libs/database';
import type { DomainEvent } from '#libs/events';
import { awaitedBy } from '../deletion.js';
import { lockDeletion, stepGoesOn, stepsOf, type Patience } from '../deletion.store.js';

/** Another service has come further in a step that it was asked for again: it has all its time and tries anew. */
export function onStepGoesOn(patience: Patience) {
  return async (tx: Tx, { payload }: DomainEvent<'posts-step-goes-on' | 'follows-step-goes-on'>): Promise<void> => {
    const deletion = await lockDeletion(tx, payload.deletionId);
    if (deletion === undefined) return;
    const name = awaitedBy(await stepsOf(tx, deletion.id), payload.step);
    if (name !== undefined) await stepGoesOn(tx, deletion.id, name, patience);
  };
}
