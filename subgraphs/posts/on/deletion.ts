import type { Database, Tx } from '#libs/database';
import type { DomainEvent } from '#libs/events';
import { recordEvent } from '#libs/outbox';
import { beginStep, partOf, startParticipant, type Begun, type Part, type Participant, type StepOf } from '#libs/saga';
import type { Logger } from '#libs/telemetry';
import { eraseSlice } from './erase-posts.js';
import { restoreSlice, withdrawSlice } from './withdraw-posts.js';

type Step = DomainEvent<'posts-step-ended'>['payload']['step'];

/** What posts does of an account's deletion. Withdrawing has a way back; bringing back and erasing are tried until they are done. */
const STEPS: Readonly<Record<Step, StepOf<Step>>> = {
  'withdraw-posts': { slice: withdrawSlice, undo: 'restore-posts' },
  'restore-posts': { slice: restoreSlice },
  'erase-posts': { slice: eraseSlice },
};

export function postsParticipant(parts: {
  readonly database: Pick<Database, 'query' | 'transaction' | 'afterCommit'>;
  readonly logger: Logger;
  readonly pausesMs?: readonly number[];
  readonly lookMs?: number;
}): Participant<Step> {
  return startParticipant<Step>({
    ...parts,
    steps: STEPS,
    tell: (tx, { deletionId, userId, step }, version, outcome) =>
      recordEvent(tx, {
        type: 'posts-step-ended',
        aggregate: `withdrawal:${deletionId}`,
        aggregateVersion: version,
        actor: null,
        payload: { deletionId, userId, step, outcome },
      }),
  });
}

/** From here on this person writes nothing: whoever writes holds the row, so they are waited for, and see 'frozen' after. */
export async function accountFrozen(tx: Tx, { payload }: DomainEvent<'account-frozen'>): Promise<void> {
  const { deletionId, userId, saga } = payload;
  // Choreographed, the fact itself is what makes everybody begin.
  if (saga === 'choreographed') await begin(tx, { deletionId, userId, saga, step: 'withdraw-posts' });
  await freeze(tx, userId);
}

/** What the coordinator of an orchestrated deletion asks for; asked again, it is told that the step goes on, where it does. */
export async function stepAsked(tx: Tx, { payload }: DomainEvent<'deletion-step-asked'>): Promise<void> {
  const { deletionId, userId, step } = payload;
  if (!isOurs(step)) return;
  const { goesOn, late } = await begin(tx, { deletionId, userId, saga: 'orchestrated', step }, true);
  // `account-frozen` keeps another order and may come after this; what this person did until then would be seen for the whole deletion.
  if (step === 'withdraw-posts' && !late) await freeze(tx, userId);
  if (goesOn === undefined) return;
  await recordEvent(tx, {
    type: 'posts-step-goes-on',
    aggregate: `withdrawal:${deletionId}`,
    aggregateVersion: goesOn,
    actor: null,
    payload: { deletionId, userId, step },
  });
}

/** The deletion is off. Orchestrated, all is back by now; choreographed, this is what makes everybody undo. */
export async function accountThawed(tx: Tx, { payload }: DomainEvent<'account-thawed'>): Promise<void> {
  const { deletionId, userId, saga } = payload;
  if (saga === 'choreographed') await begin(tx, { deletionId, userId, saga, step: 'restore-posts' });
  await tx.query('SELECT FROM people WHERE id = $1 FOR UPDATE', [userId]);
  // The next deletion may have been asked for already: it has frozen.
  await tx.query(
    `UPDATE people SET state = 'registered' WHERE id = $1 AND state = 'frozen' AND NOT EXISTS (
       SELECT FROM deletion_parts WHERE user_id = $1 AND deletion_id > $2 AND step <> 'restore-posts')`,
    [userId, deletionId],
  );
}

/** The point of no return is passed. An event of a program that knew no freezing is as if it had frozen. */
export async function userDeleted(tx: Tx, { payload }: DomainEvent<'user-deleted'>): Promise<void> {
  const { userId } = payload;
  const part = await partOf<Step>(tx, userId);
  const { deletionId = part?.deletionId ?? userId, saga = part?.saga ?? 'choreographed' } = payload;
  await begin(tx, { deletionId, userId, saga, step: 'erase-posts' });
  await freeze(tx, userId);
}

/** The part before the person, as in a slice: two who lock in one order do not wait for each other. */
async function freeze(tx: Tx, userId: string): Promise<void> {
  await tx.query('SELECT FROM people WHERE id = $1 FOR UPDATE', [userId]);
  await tx.query(
    `INSERT INTO people (id, state) VALUES ($1, 'frozen')
     ON CONFLICT (id) DO UPDATE SET state = 'frozen' WHERE people.state = 'registered'`,
    [userId],
  );
}

function begin(tx: Tx, step: Omit<Part<Step>, 'cursor'>, tells = false): Promise<Begun> {
  return beginStep<Step>(tx, { ...step, last: 'erase-posts', tells, undo: STEPS[step.step].undo });
}

function isOurs(step: string): step is Step {
  return Object.hasOwn(STEPS, step);
}
