import type { Database } from '#libs/database';
import type { Logger } from '#libs/telemetry';

/**
 * Computes the trending posts anew when they are older than `maxAgeMs`. Of several processes one does it, and nobody waits: readers
 * have the view as it was until the new one is there (REFRESH … CONCURRENTLY), in one step. False: it is young enough, or being made.
 */
export function refreshTrending(database: Database, maxAgeMs: number, withinMs = REFRESH_MS_MAX): Promise<boolean> {
  return database.transaction(async (tx) => {
    const [view] = await tx.query<{ due: boolean }>(
      // One of the time to come was made before the clock was set back.
      `SELECT pg_try_advisory_xact_lock(hashtext('trending'))
         AND refreshed_at NOT BETWEEN now() - $1 * interval '1 ms' AND now() AS due
       FROM read_models WHERE name = 'trending'`,
      [maxAgeMs],
    );
    if (!view?.due) return false;
    await tx.query('REFRESH MATERIALIZED VIEW CONCURRENTLY trending_posts', [], withinMs);
    // The moment that the view was computed for: now() is the beginning of the transaction.
    await tx.query(`UPDATE read_models SET refreshed_at = now() WHERE name = 'trending'`);
    return true;
  });
}

/**
 * Computes them anew for somebody who asked for it, after whoever is at it already: that one may have begun before what was to be seen was
 * there, or be what a killed process has left behind on the server, which works on to its end for nobody.
 */
export async function remakeTrending(
  database: Database,
  withinMs: number,
  pause: (ms: number) => Promise<unknown> = (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
): Promise<void> {
  const deadline = performance.now() + withinMs;
  while (!(await refreshTrending(database, 0, withinMs))) {
    if (performance.now() > deadline)
      throw new Error('Another process has been making the trending posts all the time (pg_stat_activity)');
    await pause(AGAIN_MS);
  }
}

const AGAIN_MS = 250;

/** A week of many posts takes longer than a request may, and nobody waits for it. */
const REFRESH_MS_MAX = 60_000;

/** Keeps the trending posts no older than `everyMs` and the time that a refresh takes. */
export class TrendingRefresher {
  #timer: NodeJS.Timeout | undefined;
  #work: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(private readonly parts: { database: Database; logger: Logger; everyMs: number }) {}

  start(): void {
    const { everyMs } = this.parts;
    this.#work = this.#refresh().finally(() => {
      if (!this.#closed) this.#timer = setTimeout(() => this.start(), everyMs).unref();
    });
  }

  async settled(): Promise<void> {
    await this.#work;
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#work;
  }

  async #refresh(): Promise<void> {
    const { database, logger, everyMs } = this.parts;
    try {
      // A timer is never early by more than it was late the last time.
      await refreshTrending(database, everyMs / 2);
    } catch (error) {
      logger.warn({ err: error }, 'The trending posts could not be refreshed; the API tells how old they are');
    }
  }
}
