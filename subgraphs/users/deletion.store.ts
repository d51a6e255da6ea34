import { crashPoint } from '#libs/crash-point';
import type { Tx } from '#libs/database';
import { newId, timeOf } from '#libs/identity';
import { recordEvent } from '#libs/outbox';
import { beginStep, type Saga } from '#libs/saga';
import {
  followsOf,
  nextOf,
  WAY,
  type Ask,
  type DeletionState,
  type DeletionStep,
  type StepName,
  type StepState,
} from './deletion.js';

export interface Deletion {
  readonly id: string;
  readonly userId: string;
  readonly saga: Saga;
  readonly state: DeletionState;
}

/** How long an answer of another service may take, and how often it is asked before the deletion goes back. */
export interface Patience {
  readonly stepTimeoutMs: number;
  readonly triesMax: number;
}

/** The name of what is erased here beside the account's row. */
export const ERASE_OWN = 'erase-account';

/** An id behind those of the account's deletions before it, also where the clock was set back: the others tell by it which came last. */
export async function newDeletionId(tx: Tx, userId: string, now: number): Promise<string> {
  const [last] = await tx.query<{ id: string }>(
    'SELECT id FROM account_deletions WHERE user_id = $1 ORDER BY id DESC LIMIT 1',
    [userId],
  );
  return newId({ now: last === undefined ? now : Math.max(now, timeOf(last.id) + 1) });
}

/** Is there one that has not come to its end? Of an account that the caller holds locked, which is in one at a time. */
export async function isUnderWay(tx: Tx, userId: string): Promise<boolean> {
  const under = await tx.query(
    `SELECT FROM account_deletions WHERE user_id = $1 AND state IN ('RUNNING', 'COMPENSATING')`,
    [userId],
  );
  return under.length > 0;
}

/** Begins a deletion of an account that the caller holds locked: it is frozen from here on. `version`: of its aggregate, after this. */
export async function beginDeletion(
  tx: Tx,
  deletion: Omit<Deletion, 'state'>,
  account: { readonly handle: string; readonly version: number },
  patience: Patience,
): Promise<void> {
  const { id, userId, saga } = deletion;
  await tx.query('INSERT INTO account_deletions (id, user_id, saga, state) VALUES ($1, $2, $3, $4)', [
    id,
    userId,
    saga,
    'RUNNING',
  ]);
  await tx.query(
    `INSERT INTO account_deletion_steps (deletion_id, nth, name, state)
     SELECT $1, nth, name, 'PENDING' FROM unnest($2::text[]) WITH ORDINALITY AS step (name, nth)`,
    [id, WAY.map(({ name }) => name)],
  );
  await tx.query('UPDATE users SET frozen_at = now(), version = $2 WHERE id = $1', [userId, account.version]);
  await recordEvent(tx, {
    type: 'account-frozen',
    aggregate: `user:${userId}`,
    aggregateVersion: account.version,
    actor: userId,
    payload: { userId, handle: account.handle, deletionId: id, saga },
  });
  await setStep(tx, id, 'FREEZE_ACCOUNT', 'DONE');
  if (saga === 'choreographed') {
    for (const name of ['WITHDRAW_POSTS', 'DISSOLVE_FOLLOWS'] as const) await setStep(tx, id, name, 'RUNNING');
  } else await advance(tx, { ...deletion, state: 'RUNNING' }, patience);
}

/** The deletion, held until the end of the transaction: whoever changes it does so one after the other. */
export async function lockDeletion(tx: Tx, id: string): Promise<Deletion | undefined> {
  const [row] = await tx.query<Deletion>(
    'SELECT id, user_id AS "userId", saga, state FROM account_deletions WHERE id = $1 FOR UPDATE',
    [id],
  );
  return row;
}

export function stepsOf(tx: Pick<Tx, 'query'>, id: string): Promise<DeletionStep[]> {
  return tx.query<DeletionStep>(
    'SELECT name, state, at, tries FROM account_deletion_steps WHERE deletion_id = $1 ORDER BY nth',
    [id],
  );
}

export async function setStep(tx: Tx, id: string, name: StepName, state: StepState): Promise<void> {
  await tx.query(
    `UPDATE account_deletion_steps SET state = $3, at = now(), tries = 0, due_at = NULL WHERE deletion_id = $1 AND name = $2`,
    [id, name, state],
  );
}

export async function setState(tx: Tx, id: string, state: DeletionState): Promise<void> {
  await tx.query('UPDATE account_deletions SET state = $2 WHERE id = $1', [id, state]);
}

/** Does all that can be done now, in the transaction that made it possible: there is no moment at which a step has ended and the next was not begun. */
export async function advance(tx: Tx, deletion: Deletion, patience: Patience): Promise<void> {
  for (let state = deletion.state; ;) {
    const steps = await stepsOf(tx, deletion.id);
    const next = deletion.saga === 'orchestrated' ? nextOf(state, steps) : followsOf(state, steps);
    crashPoint('saga:advance');
    switch (next?.do) {
      case undefined:
        return;
      case 'ask':
        await setStep(tx, deletion.id, next.name, next.to);
        await ask(tx, deletion, next.name, next.step, patience);
        return;
      case 'erase':
        await eraseAccount(tx, deletion, patience);
        break;
      case 'thaw':
        await thaw(tx, deletion);
        if (deletion.saga === 'choreographed') break;
        await setState(tx, deletion.id, 'REVERTED');
        return;
      case 'end':
        state = state === 'RUNNING' ? 'DONE' : 'REVERTED';
        await setState(tx, deletion.id, state);
        return;
    }
  }
}

/** Asks another service for a step, and notes when the answer is late. */
export async function ask(tx: Tx, deletion: Deletion, name: StepName, step: Ask, patience: Patience): Promise<void> {
  const { id: deletionId, userId } = deletion;
  await expect(tx, deletionId, name, patience);
  const [row] = await tx.query<{ version: number }>(
    'UPDATE account_deletions SET version = version + 1 WHERE id = $1 RETURNING version',
    [deletionId],
  );
  await recordEvent(tx, {
    type: 'deletion-step-asked',
    aggregate: `deletion:${deletionId}`,
    aggregateVersion: row?.version ?? 0,
    actor: null,
    payload: { deletionId, userId, step },
  });
}

/** It was late, and is at it: it has all its tries again. */
export async function stepGoesOn(tx: Tx, id: string, name: StepName, { stepTimeoutMs }: Patience): Promise<void> {
  await tx.query(
    `UPDATE account_deletion_steps SET tries = 0, heard_at = now(), due_at = now() + $3 * interval '1 ms'
     WHERE deletion_id = $1 AND name = $2 AND due_at IS NOT NULL`,
    [id, name, stepTimeoutMs],
  );
}

async function expect(tx: Tx, deletionId: string, name: StepName, { stepTimeoutMs }: Patience): Promise<void> {
  await tx.query(
    `UPDATE account_deletion_steps SET tries = tries + 1, due_at = now() + $3 * interval '1 ms' WHERE deletion_id = $1 AND name = $2`,
    [deletionId, name, stepTimeoutMs],
  );
}

/**
 * The point of no return: what is personal is overwritten here, also in what was told already, and the others hear
 * `user-deleted`. What may be much (notifications, blocks) follows in slices: on/erase-account.ts. The handle stays taken, by nobody.
 */
export async function eraseAccount(tx: Tx, deletion: Deletion, patience: Patience): Promise<void> {
  const { id, userId, saga } = deletion;
  const [row] = await tx.query<{ handle: string; version: number }>(
    'SELECT handle, version FROM users WHERE id = $1 FOR UPDATE',
    [userId],
  );
  if (row === undefined) throw new Error(`account ${userId} is gone`);
  const version = row.version + 1;
  await tx.query(
    `UPDATE users SET handle = '', display_name = '', bio = '', avatar_url = NULL, email = '', password_hash = '',
       deleted_at = now(), version = $2 WHERE id = $1`,
    [userId, version],
  );
  await tx.query(
    `UPDATE outbox SET payload = payload || '{"handle": ""}' ||
       CASE WHEN payload ? 'previousHandle' THEN '{"previousHandle": ""}'::jsonb ELSE '{}'::jsonb END
     WHERE aggregate = $1 AND published_at IS NOT NULL AND payload ? 'handle'`,
    [`user:${userId}`],
  );
  await recordEvent(tx, {
    type: 'user-deleted',
    aggregate: `user:${userId}`,
    aggregateVersion: version,
    actor: userId,
    payload: { userId, handle: row.handle, deletionId: id, saga },
  });
  await setStep(tx, id, 'ERASE_ACCOUNT', 'RUNNING');
  await beginStep(tx, { deletionId: id, userId, saga, step: ERASE_OWN, last: ERASE_OWN, tells: false });
  for (const name of ['ERASE_POSTS', 'ERASE_FOLLOWS'] as const) {
    await setStep(tx, id, name, 'RUNNING');
    if (saga === 'orchestrated') await expect(tx, id, name, patience);
  }
  crashPoint('saga:erased');
}

async function thaw(tx: Tx, { id, userId, saga }: Deletion): Promise<void> {
  const [row] = await tx.query<{ handle: string; version: number }>(
    'UPDATE users SET frozen_at = NULL, version = version + 1 WHERE id = $1 RETURNING handle, version',
    [userId],
  );
  if (row === undefined) throw new Error(`account ${userId} is gone`);
  await recordEvent(tx, {
    type: 'account-thawed',
    aggregate: `user:${userId}`,
    aggregateVersion: row.version,
    actor: null,
    payload: { userId, handle: row.handle, deletionId: id, saga },
  });
  await setStep(tx, id, 'FREEZE_ACCOUNT', 'UNDONE');
}
