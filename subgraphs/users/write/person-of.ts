import { Failure } from '#libs/failure';
import type { Tx } from '#libs/database';
import type { Person } from '../user.js';
import { UserRow } from '../user.entity.js';

/** What a write shows of the row it has just written. */
export function personOf({ id, handle, displayName, bio, avatarUrl, joinedAt }: UserRow): Person {
  return { id, handle, displayName, bio, avatarUrl, joinedAt: joinedAt.toISOString() };
}

/** The person who writes, locked until COMMIT. A token outlives the account that it was made for: then nobody is logged in. */
export async function lockAccount(tx: Tx, id: string): Promise<UserRow> {
  const row = await tx.manager.findOne(UserRow, { where: { id }, lock: { mode: 'pessimistic_write' } });
  if (row === null || row.deletedAt !== null) throw noAccount();
  return row;
}

export function noAccount(): Failure {
  return new Failure('UNAUTHENTICATED', 'This account does not exist (any more).');
}
