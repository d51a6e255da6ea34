import type { Database, Tx } from '#libs/database';
import type { DomainEvent } from '#libs/events';
import { beginStep, partOf, startParticipant, type Part } from '#libs/saga';
import type { Logger } from '#libs/telemetry';
import { advance, ERASE_OWN, lockDeletion, setStep, stepsOf, type Patience } from '../deletion.store.js';
import { eraseSlice } from './erase-account.js';
import { LateSteps } from './late-steps.js';

/** What users does about deletions beside hearing of them: its own part of each, and asking again for what is late. */
export function deletionWork(parts: {
  readonly database: Pick<Database, 'query' | 'transaction' | 'afterCommit'>;
  readonly logger: Logger;
  readonly patience: Patience;
  readonly pausesMs?: readonly number[];
  readonly lookMs?: number;
}): { settled(deadlineMs?: number): Promise<void>; close(): Promise<void> } {
  const { patience, ...work } = parts;
  const late = new LateSteps({ ...work, ...patience });
  const participant = startParticipant<typeof ERASE_OWN>({
    ...work,
    steps: { [ERASE_OWN]: { slice: eraseSlice } },
    tell: (tx, part) => erased(tx, part, patience),
  });
  return {
    settled: async (deadlineMs) => {
      await participant.settled(deadlineMs);
      await late.settled();
    },
    close: async () => {
      await Promise.all([participant.close(), late.close()]);
    },
  };
}

/** Nobody else has to hear of it: the deletion is this service's own. */
async function erased(tx: Tx, { deletionId }: Part, patience: Patience): Promise<void> {
  const deletion = await lockDeletion(tx, deletionId);
  const own = deletion && (await stepsOf(tx, deletionId)).find(({ name }) => name === 'ERASE_ACCOUNT');
  if (deletion === undefined || own?.state !== 'RUNNING') return;
  await setStep(tx, deletionId, 'ERASE_ACCOUNT', 'DONE');
  await advance(tx, deletion, patience);
}

/** A second look, at what was heard while the first was under way; and the first, if a program before this one erased the account. */
export async function userDeleted(tx: Tx, { payload }: DomainEvent<'user-deleted'>): Promise<void> {
  const { userId } = payload;
  const part = await partOf(tx, userId);
  const { deletionId = part?.deletionId ?? userId, saga = part?.saga ?? 'choreographed' } = payload;
  await beginStep(tx, { deletionId, userId, saga, step: ERASE_OWN, last: ERASE_OWN, tells: false });
}
