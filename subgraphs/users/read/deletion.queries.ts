import type { Statements } from '#libs/database';
import type { DeletionState, StepName, StepState } from '../deletion.js';

/** A deletion as its owner is shown it. */
export interface ShownDeletion {
  readonly id: string;
  readonly state: DeletionState;
  readonly steps: readonly { readonly name: StepName; readonly state: StepState; readonly at: Date | null }[];
}

/** Null for everybody but the account's owner, whose token outlives the account. */
export async function deletionOf(statements: Statements, id: string, viewer: string): Promise<ShownDeletion | null> {
  const rows = await statements.query<{
    state: DeletionState;
    name: StepName;
    step: StepState;
    at: Date | null;
  }>(
    `SELECT d.state, s.name, s.state AS step, s.at
     FROM account_deletions d JOIN account_deletion_steps s ON s.deletion_id = d.id
     WHERE d.id = $1 AND d.user_id = $2 ORDER BY s.nth`,
    [id, viewer],
  );
  const [first] = rows;
  if (first === undefined) return null;
  return { id, state: first.state, steps: rows.map(({ name, step, at }) => ({ name, state: step, at })) };
}
