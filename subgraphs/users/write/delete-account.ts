import type { Database } from '#libs/database';
import { Failure } from '#libs/failure';
import { recordEvent } from '#libs/outbox';
import type { Clock } from '#libs/telemetry';
import { readPassword } from '../user.js';
import { UserRow } from '../user.entity.js';
import type { Passwords } from './passwords.js';
import { lockAccount, noAccount } from './account.js';

/**
 * The account is gone for everybody at COMMIT; the other services follow by event. The row stays, marked, and so does the handle:
 * nobody can come back as somebody who left.
 */
export class DeleteAccount {
  constructor(
    private readonly parts: { database: Pick<Database, 'query' | 'transaction'>; passwords: Passwords; clock: Clock },
  ) {}

  async run(viewer: string, input: { readonly password: string }): Promise<{ id: string; state: 'RUNNING' }> {
    const { database, passwords, clock } = this.parts;
    const password = readPassword(input.password);
    const [known] = await database.query<Pick<UserRow, 'passwordHash'>>(
      'SELECT password_hash AS "passwordHash" FROM users WHERE id = $1 AND deleted_at IS NULL',
      [viewer],
    );
    if (known === undefined) throw noAccount();
    const right = password !== undefined && (await passwords.verify(known.passwordHash, password));
    if (!right) throw new Failure('FORBIDDEN', 'The password is wrong; the account was not deleted.');
    return database.transaction(async (tx) => {
      const row = await lockAccount(tx, viewer);
      const deletedAt = new Date(clock());
      const version = row.version + 1;
      await tx.manager.update(UserRow, { id: viewer }, { deletedAt, version });
      await recordEvent(tx, {
        type: 'user-deleted',
        aggregate: `user:${viewer}`,
        aggregateVersion: version,
        actor: viewer,
        at: deletedAt.toISOString(),
        payload: { userId: viewer, handle: row.handle },
      });
      return { id: viewer, state: 'RUNNING' };
    });
  }
}
