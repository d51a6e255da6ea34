import type { Database } from '#libs/database';
import type { Logger } from '#libs/telemetry';

/** Rows that one statement deletes. */
const BATCH = 500;
const EVERY_MS = 60_000;

/**
 * Deletes what no gateway needs any more, because the tokens have run out; by the clock of the database, as gateways are told of them.
 * Until then it stays, also when the account is erased: a gateway that has not read it yet would take the token again.
 */
export async function forgetEndedSessions(database: Pick<Database, 'query'>): Promise<number> {
  for (let forgotten = 0; ;) {
    const rows = await database.query(
      `DELETE FROM ended_sessions WHERE id IN (
         SELECT id FROM ended_sessions WHERE until < now() ORDER BY until LIMIT ${BATCH} FOR UPDATE SKIP LOCKED)
       RETURNING 1`,
    );
    forgotten += rows.length;
    if (rows.length < BATCH) return forgotten;
  }
}

/** Does so once a minute, whether somebody logs out or not, until it is closed. */
export class EndedSessionsRetention {
  readonly #timer: NodeJS.Timeout;
  #running: Promise<void> | undefined;

  constructor({ database, logger }: { readonly database: Pick<Database, 'query'>; readonly logger: Logger }) {
    this.#timer = setInterval(() => {
      this.#running ??= forgetEndedSessions(database)
        .then(
          () => {},
          (err: unknown) => logger.warn({ err }, 'Ended log-ins that have run out are still there; later again'),
        )
        .finally(() => (this.#running = undefined));
    }, EVERY_MS).unref();
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#running;
  }
}
