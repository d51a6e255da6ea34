import type { Database } from '#libs/database';
import { Failure, noAccount, type Deadline } from '#libs/failure';
import { readPassword, takePassword } from '../user.js';
import { UserRow } from '../user.entity.js';
import { lockAccount, personOf, type LoggedIn } from './account.js';
import { endAllSessions, type EndSessionsParts } from './end-sessions.js';
import type { Passwords } from './passwords.js';
import type { Throttle } from './throttle.js';

export interface ChangePasswordInput {
  readonly password: string;
  readonly newPassword: string;
}

/** Whoever knew the old password is out: all log-ins end, and the one that is answered begins. */
export class ChangePassword {
  constructor(
    private readonly parts: {
      database: Pick<Database, 'query' | 'transaction'>;
      passwords: Passwords;
      throttle: Throttle;
    } & EndSessionsParts,
  ) {}

  async run(viewer: string, input: ChangePasswordInput, deadline?: Deadline): Promise<LoggedIn> {
    const { database, passwords, throttle } = this.parts;
    const password = readPassword(input.password);
    const chosen = takePassword(input.newPassword, 'newPassword');
    await throttle.password(viewer);
    const [known] = await database.query<Pick<UserRow, 'passwordHash' | 'frozenAt'>>(
      'SELECT password_hash AS "passwordHash", frozen_at AS "frozenAt" FROM users WHERE id = $1 AND deleted_at IS NULL',
      [viewer],
    );
    if (known === undefined) throw noAccount();
    if (known.frozenAt !== null) throw new Failure('ACCOUNT_FROZEN');
    const right =
      password !== undefined && (await passwords.verify(known.passwordHash, password, { deadline, line: viewer }));
    if (!right) throw new Failure('FORBIDDEN', 'The password is wrong; it was not changed.');
    const passwordHash = await passwords.hash(chosen, { deadline, line: viewer });
    return database.transaction(async (tx) => {
      const row = await lockAccount(tx, viewer);
      // Somebody else was faster: what was checked above is not the password any more.
      if (row.passwordHash !== known.passwordHash)
        throw new Failure('CONFLICT', 'The password was changed in between; log in again.');
      await tx.manager.update(UserRow, { id: viewer }, { passwordHash });
      const sessions = await endAllSessions(tx, viewer, this.parts);
      return { person: personOf(row), sessions };
    });
  }
}
