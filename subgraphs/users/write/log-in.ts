import type { Database } from '#libs/database';
import { badInput, Failure, type Deadline } from '#libs/failure';
import { readHandle, readPassword } from '../user.js';
import { UserRow } from '../user.entity.js';
import type { Passwords } from './passwords.js';
import { personOf, type LoggedIn } from './account.js';
import type { Throttle } from './throttle.js';

export interface LogInInput {
  readonly handle: string;
  readonly password: string;
}

/** Who does not know the password learns nothing: no such person, a deleted one and a wrong password cost and answer the same, and are counted the same. */
export class LogIn {
  constructor(
    private readonly parts: {
      database: Pick<Database, 'query' | 'transaction'>;
      passwords: Passwords;
      throttle: Throttle;
    },
  ) {}

  async run(input: LogInInput, client?: string, deadline?: Deadline): Promise<LoggedIn> {
    const { database, passwords, throttle } = this.parts;
    const handle = readHandle(input.handle);
    const password = readPassword(input.password);
    if (password === undefined) throw badInput('password takes 8 to 128 characters');
    await throttle.logIn(handle, client);
    // The generation is of the moment in which the password was right: when it is changed meanwhile, this log-in has ended.
    const [row] = await database.query<UserRow>(ACCOUNT, [handle]);
    const right = await passwords.verify(row?.passwordHash, password, { deadline, line: client });
    if (row === undefined || !right)
      throw new Failure('UNAUTHENTICATED', 'Handle and password do not belong together.');
    await throttle.loggedIn(handle, client);
    // Whoever knows the password may know this.
    if (row.frozenAt !== null) throw new Failure('ACCOUNT_FROZEN', 'This account is being deleted.');
    return { person: personOf(row), sessions: row.sessions };
  }
}

const ACCOUNT = `
  SELECT u.id, u.handle, u.display_name AS "displayName", u.bio, u.avatar_url AS "avatarUrl", u.joined_at AS "joinedAt",
    u.password_hash AS "passwordHash", u.frozen_at AS "frozenAt", u.sessions
  FROM handles h JOIN users u ON u.id = h.user_id AND u.handle = h.handle
  WHERE h.handle = $1 AND u.deleted_at IS NULL`;
