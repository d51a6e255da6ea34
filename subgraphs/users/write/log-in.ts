import type { Database } from '#libs/database';
import { badInput, Failure } from '#libs/failure';
import { readHandle, readPassword, type Person } from '../user.js';
import { UserRow } from '../user.entity.js';
import type { Passwords } from './passwords.js';
import { personOf } from './account.js';

export interface LogInInput {
  readonly handle: string;
  readonly password: string;
}

/** Who does not know the password learns nothing: no such person, a deleted one and a wrong password cost and answer the same. */
export class LogIn {
  constructor(private readonly parts: { database: Pick<Database, 'query' | 'transaction'>; passwords: Passwords }) {}

  async run(input: LogInInput): Promise<Person> {
    const { database, passwords } = this.parts;
    const handle = readHandle(input.handle);
    const password = readPassword(input.password);
    if (password === undefined) throw badInput('password takes 8 to 128 characters');
    const [row] = await database.query<UserRow>(ACCOUNT, [handle]);
    const right = await passwords.verify(row?.passwordHash, password);
    if (row === undefined || !right)
      throw new Failure('UNAUTHENTICATED', 'Handle and password do not belong together.');
    // Whoever knows the password may know this.
    if (row.frozenAt !== null) throw new Failure('ACCOUNT_FROZEN', 'This account is being deleted.');
    return personOf(row);
  }
}

const ACCOUNT = `
  SELECT u.id, u.handle, u.display_name AS "displayName", u.bio, u.avatar_url AS "avatarUrl", u.joined_at AS "joinedAt",
    u.password_hash AS "passwordHash", u.frozen_at AS "frozenAt"
  FROM handles h JOIN users u ON u.id = h.user_id AND u.handle = h.handle
  WHERE h.handle = $1 AND u.deleted_at IS NULL`;
