import type { Database } from '#libs/database';
import type { Deadline } from '#libs/failure';
import { newId } from '#libs/identity';
import { recordEvent } from '#libs/outbox';
import type { Sealer } from '#libs/sealing';
import type { Clock } from '#libs/telemetry';
import { sealEmail } from '../sealing.js';
import { cleanDisplayName, cleanEmail, takeHandle, takePassword } from '../user.js';
import { UserRow } from '../user.entity.js';
import type { Passwords } from './passwords.js';
import { holdHandle, personOf, type LoggedIn } from './account.js';
import type { Throttle } from './throttle.js';

export interface SignUpInput {
  readonly handle: string;
  readonly email: string;
  readonly password: string;
  readonly displayName: string;
}

/** Answers the same whether or not the e-mail address is known already, because nothing looks it up. */
export class SignUp {
  constructor(
    private readonly parts: {
      database: Pick<Database, 'query' | 'transaction'>;
      sealer: Sealer;
      passwords: Passwords;
      throttle: Throttle;
      clock: Clock;
    },
  ) {}

  async run(input: SignUpInput, client?: string, deadline?: Deadline): Promise<LoggedIn> {
    const { database, sealer, passwords, throttle, clock } = this.parts;
    const handle = takeHandle(input.handle);
    const displayName = cleanDisplayName(input.displayName);
    const email = cleanEmail(input.email);
    const password = takePassword(input.password);
    await throttle.signUp(client);
    // Before the transaction: a hash takes longer than everything inside it.
    const passwordHash = await passwords.hash(password, { deadline, line: client });
    return database.transaction(async (tx) => {
      const id = newId({ now: clock() });
      await holdHandle(tx, handle, id);
      const row: UserRow = {
        id,
        handle,
        displayName,
        bio: '',
        avatarUrl: null,
        email: sealEmail(sealer, id, email),
        passwordHash,
        joinedAt: new Date(clock()),
        frozenAt: null,
        deletedAt: null,
        sessions: 0,
        version: 1,
      };
      await tx.manager.insert(UserRow, row);
      await recordEvent(tx, {
        type: 'user-registered',
        aggregate: `user:${id}`,
        aggregateVersion: row.version,
        actor: id,
        at: row.joinedAt.toISOString(),
        payload: { userId: id, handle },
      });
      return { person: personOf(row), sessions: 0 };
    });
  }
}
