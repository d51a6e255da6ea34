import type { Database, Tx } from '#libs/database';
import { noAccount } from '#libs/failure';
import { expiryOf, newId, TOKEN_LIFETIME_S_MAX } from '#libs/identity';
import type { Clock } from '#libs/telemetry';

export interface EndSessionsParts {
  readonly clock: Clock;
}

/** Of the log-ins that this person may have; undefined where there is no account. */
export async function generationOf(
  database: Pick<Database, 'query'>,
  userId: string,
): Promise<number | 'frozen' | undefined> {
  const [row] = await database.query<{ sessions: number; frozen: boolean }>(
    'SELECT sessions, frozen_at IS NOT NULL AS frozen FROM users WHERE id = $1 AND deleted_at IS NULL',
    [userId],
  );
  return row?.frozen === true ? 'frozen' : row?.sessions;
}

/** So many log-ins of one person are known as ended at a time, by each gateway too. Nobody has as many, who does not make them to fill memory. */
export const ENDED_ONE_BY_ONE_MAX = 100;

/**
 * Ends one log-in: gateways refuse its token as soon as they have heard of it. False: too many of this person's have ended one by one and
 * their tokens have not run out, so nothing was done; all of them can be ended, which is one thing to remember.
 */
export async function endSession(
  database: Pick<Database, 'query'>,
  userId: string,
  session: string,
  parts: EndSessionsParts,
): Promise<boolean> {
  const [found] = await database.query<{ ended: boolean }>(
    `WITH known AS (
       SELECT count(*) < $5::int AS few, bool_or(session = $3) AS again FROM ended_sessions
       WHERE user_id = $2 AND session IS NOT NULL AND until > now()
     ), added AS (
       INSERT INTO ended_sessions (id, user_id, session, at, until)
       SELECT $1::uuid, $2::uuid, $3::text, now(), $4::timestamptz FROM known WHERE few
       ON CONFLICT (user_id, session) DO NOTHING
     )
     SELECT few OR coalesce(again, false) AS ended FROM known`,
    [newId({ now: parts.clock() }), userId, session, untilOf(parts, session), ENDED_ONE_BY_ONE_MAX],
  );
  return found!.ended;
}

/** Ends all log-ins of a person; answers the generation that those have which come after. Locks the person's row. */
export async function endAllSessions(tx: Tx, userId: string, parts: EndSessionsParts): Promise<number> {
  const [row] = await tx.query<{ sessions: number }>(
    'UPDATE users SET sessions = sessions + 1 WHERE id = $1 RETURNING sessions',
    [userId],
  );
  if (row === undefined) throw noAccount();
  const generation = row.sessions;
  // With it goes what a higher generation says as well: all that have ended one by one, for who has this generation has no token yet.
  await tx.query(
    `WITH forgotten AS (
       DELETE FROM ended_sessions WHERE user_id = $2 AND (session IS NOT NULL OR generation < $3)
     )
     INSERT INTO ended_sessions (id, user_id, generation, at, until) VALUES ($1, $2, $3, now(), $4)`,
    [newId({ now: parts.clock() }), userId, generation, untilOf(parts)],
  );
  return generation;
}

/**
 * When the last token that ends now runs out by itself, and a minute more for clocks that are behind. Not by TOKEN_LIFETIME_S as it is: it
 * may have been more when the token was made, which would be good again. One log-in says by its name when that is; else it is the longest
 * that any is good. What has run out goes by the clock: forget-ended-sessions.ts.
 */
function untilOf({ clock }: EndSessionsParts, session?: string): Date {
  const now = clock() / 1_000;
  const longest = now + TOKEN_LIFETIME_S_MAX;
  const said = session === undefined ? undefined : expiryOf(session);
  const isBelieved = said !== undefined && said >= now && said <= longest;
  return new Date(1_000 * ((isBelieved ? said : longest) + 60));
}
