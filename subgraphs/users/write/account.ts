import type { Tx } from '#libs/database';
import { Failure, noAccount } from '#libs/failure';
import type { Person } from '../user.js';
import { UserRow } from '../user.entity.js';

/** Who has just proved to be somebody, and the generation of log-ins that this one belongs to. */
export interface LoggedIn {
  readonly person: Person;
  readonly sessions: number;
}

/** What a write shows of the row it has just written. */
export function personOf({ id, handle, displayName, bio, avatarUrl, joinedAt }: UserRow): Person {
  return { id, handle, displayName, bio, avatarUrl, joinedAt: joinedAt.toISOString() };
}

/** The person who writes, locked until COMMIT. A token outlives the account that it was made for: then nobody is logged in. */
export async function lockAccount(tx: Tx, id: string): Promise<UserRow> {
  const row = await tx.manager.findOne(UserRow, { where: { id }, lock: { mode: 'pessimistic_write' } });
  if (row === null || row.deletedAt !== null) throw noAccount();
  if (row.frozenAt !== null) throw new Failure('ACCOUNT_FROZEN');
  return row;
}

/** Makes the handle this person's for all time, when it is free or was theirs before. Of two who want it at once one waits here. */
export async function holdHandle(tx: Tx, handle: string, userId: string): Promise<void> {
  const held = await tx.query(
    `INSERT INTO handles (handle, user_id) VALUES ($1, $2)
     ON CONFLICT (handle) DO UPDATE SET user_id = excluded.user_id WHERE handles.user_id = excluded.user_id
     RETURNING handle`,
    [handle, userId],
  );
  if (held.length === 0) throw new Failure('CONFLICT', `The handle ${handle} is taken; choose another one.`);
}
