import { crashPoint } from '#libs/crash-point';
import type { Tx } from '#libs/database';
import type { DomainEvent } from '#libs/events';
import { heard } from '../deletion.js';
import { advance, lockDeletion, setState, setStep, stepsOf, type Patience } from '../deletion.store.js';

/** Another service has ended its part of a deletion: what follows from that is begun in the same transaction. */
export function onStepEnded(patience: Patience) {
  return async (tx: Tx, { payload }: DomainEvent<'posts-step-ended' | 'follows-step-ended'>): Promise<void> => {
    const deletion = await lockDeletion(tx, payload.deletionId);
    // Of a deletion that a program before this one began, and knew nothing to follow it by.
    if (deletion === undefined) return;
    const change = heard(deletion.state, await stepsOf(tx, deletion.id), payload);
    if (change === undefined) return;
    await setStep(tx, deletion.id, change.name, change.to);
    if (change.state !== deletion.state) await setState(tx, deletion.id, change.state);
    await advance(tx, { ...deletion, state: change.state }, patience);
    crashPoint('saga:heard');
  };
}
