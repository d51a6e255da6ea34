import type { Database, Tx } from '#libs/database';
import type { DomainEvent } from '#libs/events';
import { recordEvent } from '#libs/outbox';
import { beginStep, partOf, startParticipant, type Begun, type Part, type Participant, type StepOf } from '#libs/saga';
import type { Logger } from '#libs/telemetry';
import { untilNobodyActs } from '../relation.store.js';
import { dissolveSlice, eraseSlice, restoreSlice } from './dissolve-follows.js';

type Step = DomainEvent<'follows-step-ended'>['payload']['step'];

/** What followers does of an account's deletion. Dissolving has a way back; bringing back and erasing are tried until they are done. */
const STEPS: Readonly<Record<Step, StepOf<Step>>> = {
  'dissolve-follows': { slice: dissolveSlice, undo: 'restore-follows' },
  'restore-follows': { slice: restoreSlice },
  'erase-follows': { slice: eraseSlice },
};

export function followsParticipant(parts: {
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
        type: 'follows-step-ended',
        aggregate: `dissolution:${deletionId}`,
        aggregateVersion: version,
        actor: null,
        payload: { deletionId, userId, step, outcome },
      }),
  });
}

/** From now on nobody can follow or block this person, nor this person anybody. */
export async function accountFrozen(tx: Tx, { payload }: DomainEvent<'account-frozen'>): Promise<void> {
  const { deletionId, userId, saga } = payload;
  // Choreographed, the fact itself is what makes everybody begin.
  if (saga === 'choreographed') await begin(tx, { deletionId, userId, saga, step: 'dissolve-follows' });
  await freeze(tx, userId);
}

/** What the coordinator of an orchestrated deletion asks for; asked again, it is told that the step goes on, where it does. */
export async function stepAsked(tx: Tx, { payload }: DomainEvent<'deletion-step-asked'>): Promise<void> {
  const { deletionId, userId, step } = payload;
  if (!isOurs(step)) return;
  const { goesOn, late } = await begin(tx, { deletionId, userId, saga: 'orchestrated', step }, true);
  // `account-frozen` keeps another order and may come after this; what this person did until then would be seen for the whole deletion.
  if (step === 'dissolve-follows' && !late) await freeze(tx, userId);
  if (goesOn === undefined) return;
  await recordEvent(tx, {
    type: 'follows-step-goes-on',
    aggregate: `dissolution:${deletionId}`,
    aggregateVersion: goesOn,
    actor: null,
    payload: { deletionId, userId, step },
  });
}

/** The deletion is off. Choreographed, this is what makes everybody undo; and what another's deletion left here comes back. */
export async function accountThawed(tx: Tx, { payload }: DomainEvent<'account-thawed'>): Promise<void> {
  const { deletionId, userId, saga } = payload;
  // Another's restoring that found this account frozen may be about to leave here what it cannot bring back.
  await tx.query('SELECT FROM deletion_parts WHERE user_id = $1 FOR UPDATE', [userId]);
  await untilNobodyActs(tx, userId);
  const [left] = await tx.query('SELECT FROM parted WHERE owner_id = $1 LIMIT 1', [userId]);
  if (saga === 'choreographed' || left !== undefined)
    await begin(tx, { deletionId, userId, saga, step: 'restore-follows' });
  // The next deletion may have been asked for already: it has frozen.
  await tx.query(
    `UPDATE people SET state = 'active' WHERE user_id = $1 AND state = 'frozen' AND NOT EXISTS (
       SELECT FROM deletion_parts WHERE user_id = $1 AND deletion_id > $2 AND step <> 'restore-follows')`,
    [userId, deletionId],
  );
}

/** The point of no return is passed. An event of a program that knew no freezing is as if it had frozen. */
export async function userDeleted(tx: Tx, { payload }: DomainEvent<'user-deleted'>): Promise<void> {
  const { userId } = payload;
  const part = await partOf<Step>(tx, userId);
  const { deletionId = part?.deletionId ?? userId, saga = part?.saga ?? 'choreographed' } = payload;
  await begin(tx, { deletionId, userId, saga, step: 'erase-follows' });
  await freeze(tx, userId);
}

/** The part before the person, as in a slice: two who lock in one order do not wait for each other. */
async function freeze(tx: Tx, userId: string): Promise<void> {
  await tx.query(
    `INSERT INTO people (user_id, state) VALUES ($1, 'frozen')
     ON CONFLICT (user_id) DO UPDATE SET state = 'frozen' WHERE people.state <> 'gone'`,
    [userId],
  );
}

function begin(tx: Tx, step: Omit<Part<Step>, 'cursor'>, tells = false): Promise<Begun> {
  return beginStep<Step>(tx, { ...step, last: 'erase-follows', tells, undo: STEPS[step.step].undo });
}

function isOurs(step: string): step is Step {
  return Object.hasOwn(STEPS, step);
}
