import type { Database, Tx } from '#libs/database';
import { newId } from '#libs/identity';
import type { Clock } from '#libs/telemetry';
import { noAccount } from './account.js';

export interface EndSessionsParts {
  readonly clock: Clock;
  /** For how long a token that was made a moment ago is good. */
  readonly lifetimeS: number;
}

/** Of the log-ins that this person may have; undefined where the account is frozen or gone. */
export async function generationOf(database: Pick<Database, 'query'>, userId: string): Promise<number | undefined> {
  const [row] = await database.query<{ sessions: number }>(
    'SELECT sessions FROM users WHERE id = $1 AND frozen_at IS NULL AND deleted_at IS NULL',
    [userId],
  );
  return row?.sessions;
}

/** Ends one log-in: gateways refuse its token as soon as they have heard of it. */
export async function endSession(
  database: Pick<Database, 'query'>,
  userId: string,
  session: string,
  parts: EndSessionsParts,
): Promise<void> {
  await remember(database, { userId, session, generation: null }, parts);
}

/** Ends all log-ins of a person; answers the generation that those have which come after. Locks the person's row. */
export async function endAllSessions(tx: Tx, userId: string, parts: EndSessionsParts): Promise<number> {
  const [row] = await tx.query<{ sessions: number }>(
    'UPDATE users SET sessions = sessions + 1 WHERE id = $1 RETURNING sessions',
    [userId],
  );
  if (row === undefined) throw noAccount();
  const generation = row.sessions;
  await remember(tx, { userId, session: null, generation }, parts);
  return generation;
}

async function remember(
  database: Pick<Database, 'query'>,
  ended: { readonly userId: string; readonly session: string | null; readonly generation: number | null },
  { clock, lifetimeS }: EndSessionsParts,
): Promise<void> {
  const now = clock();
  // With it goes what a higher generation says as well; nothing else of theirs, for a row that goes and comes in one statement would
  // be gone after it. What has run out goes by the clock: forget-ended-sessions.ts.
  await database.query(
    `WITH forgotten AS (
       DELETE FROM ended_sessions WHERE user_id = $2 AND generation < $4
     )
     INSERT INTO ended_sessions (id, user_id, session, generation, at, until) VALUES ($1, $2, $3, $4, now(), $5)
     ON CONFLICT (user_id, session) DO NOTHING`,
    [
      newId({ now }),
      ended.userId,
      ended.session,
      ended.generation,
      // A minute more, for clocks that are behind.
      new Date(now + (lifetimeS + 60) * 1_000),
    ],
  );
}
