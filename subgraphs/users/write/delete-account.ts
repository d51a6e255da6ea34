import type { Database } from '#libs/database';
import { Failure, noAccount, type Deadline } from '#libs/failure';
import type { Saga } from '#libs/saga';
import type { Clock } from '#libs/telemetry';
import { beginDeletion, isUnderWay, newDeletionId, type Patience } from '../deletion.store.js';
import { readPassword } from '../user.js';
import type { UserRow } from '../user.entity.js';
import { lockAccount } from './account.js';
import type { Passwords } from './passwords.js';
import type { Throttle } from './throttle.js';

/**
 * The account is frozen at COMMIT: gone for every reader, and for its owner nothing but the state of its deletion. From there
 * on the saga leads, to its erasure or back. The handle is never anybody else's.
 */
export class DeleteAccount {
  constructor(
    private readonly parts: {
      database: Pick<Database, 'query' | 'transaction'>;
      passwords: Passwords;
      throttle: Throttle;
      clock: Clock;
      saga: Saga;
      patience: Patience;
    },
  ) {}

  /** Answers the id of the deletion. */
  async run(viewer: string, input: { readonly password: string }, deadline?: Deadline): Promise<string> {
    const { database, passwords, throttle, clock, saga, patience } = this.parts;
    const password = readPassword(input.password);
    await throttle.password(viewer);
    const [known] = await database.query<Pick<UserRow, 'passwordHash' | 'frozenAt' | 'sessions'>>(
      `SELECT password_hash AS "passwordHash", frozen_at AS "frozenAt", sessions FROM users WHERE id = $1 AND deleted_at IS NULL`,
      [viewer],
    );
    if (known === undefined) throw noAccount();
    if (known.frozenAt !== null) throw new Failure('ACCOUNT_FROZEN', 'This account is being deleted already.');
    const right =
      password !== undefined && (await passwords.verify(known.passwordHash, password, { deadline, line: viewer }));
    if (!right) throw new Failure('FORBIDDEN', 'The password is wrong; the account was not deleted.');
    return database.transaction(async (tx) => {
      const { handle, version, passwordHash, sessions } = await lockAccount(tx, viewer);
      // Whoever was thrown out meanwhile, by a new password or because all log-ins were ended, deletes nothing with what was right before.
      if (passwordHash !== known.passwordHash || sessions !== known.sessions)
        throw new Failure(
          'CONFLICT',
          'All log-ins were ended in between, and the account was not deleted; log in again.',
        );
      // A choreographed one that goes back thaws the account first, and the others bring back what they have after that.
      if (await isUnderWay(tx, viewer)) throw new Failure('CONFLICT', GOES_BACK);
      const id = await newDeletionId(tx, viewer, clock());
      await beginDeletion(tx, { id, userId: viewer, saga }, { handle, version: version + 1 }, patience);
      return id;
    });
  }
}

const GOES_BACK =
  'A deletion of this account is being taken back; delete it again when `accountDeletion` says REVERTED.';
