import type { Database, Tx } from '#libs/database';
import { BUILDING } from '#libs/read-model';
import type { Logger } from '#libs/telemetry';
import { remakeSlices, SLICES } from './slices.js';

/**
 * Computes the trending posts that answer anew when they are older than `maxAgeMs`. Of several processes one does it, and nobody waits: readers
 * have them as they were until the new ones are there, in one step. False: they are young enough, or being made.
 */
export function refreshTrending(database: Database, maxAgeMs: number, withinMs = REFRESH_MS_MAX): Promise<boolean> {
  // Embedded there is one connection, so nobody reads meanwhile; and nothing that vacuums what CONCURRENTLY leaves behind.
  const how = { beside: database.kind === 'server', withinMs };
  return database.transaction(async (tx) => {
    const [found] = await tx.query<{ due: boolean; serving: number; left: boolean; old: boolean }>(
      // One of the time to come was made before the clock was set back.
      `SELECT serving,
         pg_try_advisory_xact_lock(hashtext('trending_slices')) AND EXISTS (
           SELECT FROM trending_slices WHERE slot = serving AND made_at NOT BETWEEN now() - $1 * interval '1 ms' AND now()
         ) AS due,
         ${BUILDING} IS NULL AND EXISTS (SELECT FROM trending WHERE slot = 3 - serving) AS left,
         coalesce(refreshed_at < now() - interval '1 hour', true) AS old
       FROM read_models WHERE name = 'trending'`,
      [maxAgeMs],
    );
    if (!found?.due) return false;
    await remakeSlices(tx, found.serving, SLICES, how);
    // Of a rebuild that was killed behind its switch, or given up: it may name who is erased by now.
    if (found.left) await remakeSlices(tx, 3 - found.serving, SLICES, how);
    if (found.old) await refreshOldView(tx, withinMs);
    return true;
  });
}

/** Programs of the version before keep it young; where none are left, it is not to name for good who is erased by now. It goes with a later version. */
async function refreshOldView(tx: Tx, withinMs: number): Promise<void> {
  await tx.query('REFRESH MATERIALIZED VIEW CONCURRENTLY trending_posts', [], withinMs);
  await tx.query(`UPDATE read_models SET refreshed_at = now() WHERE name = 'trending'`);
}

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
