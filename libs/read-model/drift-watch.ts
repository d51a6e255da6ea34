import type { Database } from '#libs/database';
import type { Gauge, Logger } from '#libs/telemetry';
import { CHUNK, look, NIL, nextKey, type Counted, type Drift } from './reconcile.js';

interface Parts {
  readonly database: Database;
  readonly counted: readonly Counted[];
  readonly logger: Logger;
  readonly everyMs?: number;
  /** Rows of one look. */
  readonly rowsMax?: number;
}

/** Wrong counts that are remembered; beyond it the gauge says only that they are many. */
const REMEMBERED = 10_000;

/**
 * Looks at a few rows a minute, round and round, whether their counts are right, so that a drift is known before somebody asks
 * `npm run reconcile`. What was wrong counts until its row is looked at again. Rows that cannot be counted within a statement's time
 * are looked at fewer at once.
 */
export class DriftWatch {
  readonly gauge: Gauge;
  readonly #parts: Required<Parts>;
  readonly #wrong = new Map<string, { readonly table: number; readonly key: string }>();
  #table = 0;
  #after = NIL;
  #rows: number;
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(parts: Parts) {
    this.#parts = { everyMs: 60_000, rowsMax: CHUNK, ...parts };
    this.#rows = this.#parts.rowsMax;
    this.gauge = {
      name: 'tributary_count_drift',
      help: 'Counts that were not the number of their rows when they were last looked at. Must be 0; npm run reconcile -- --mend.',
      labels: { service: parts.database.service },
      read: async () => this.#wrong.size,
    };
  }

  start(): void {
    if (this.#closed) return;
    this.#timer = setTimeout(() => {
      this.#looking = this.look()
        .catch((error: unknown) =>
          this.#parts.logger.warn({ err: error }, 'Counts could not be compared with their rows'),
        )
        .finally(() => this.start());
    }, this.#parts.everyMs).unref();
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#looking;
  }

  /** One look; true when it ended a round. */
  async look(): Promise<boolean> {
    const { database, counted, rowsMax } = this.#parts;
    const one = counted[this.#table];
    if (one === undefined) return true;
    const limit = this.#rows;
    try {
      const { last, rows, drift } = await look(database, one, this.#after, limit);
      this.#note(rows < limit ? undefined : last, drift);
      this.#rows = Math.min(rowsMax, limit * 4);
      return this.#goOn(rows < limit ? undefined : last);
    } catch (error) {
      this.#rows = Math.max(1, Math.floor(limit / 4));
      // A single row that takes too long is passed over: the others are to be looked at.
      if (limit === 1) this.#goOn(await nextKey(database, one, this.#after));
      throw error;
    }
  }

  /** Of the rows up to `last`, what is wrong now and no more what was. */
  #note(last: string | undefined, drift: readonly Drift[]): void {
    for (const [name, { table, key }] of this.#wrong) {
      if (table === this.#table && key > this.#after && (last === undefined || key <= last)) this.#wrong.delete(name);
    }
    for (const { count, key, says, counted } of drift) {
      this.#parts.logger.warn({ count, key, says, counted }, 'A count is not the number of its rows');
      if (this.#wrong.size < REMEMBERED) this.#wrong.set(`${count} ${key}`, { table: this.#table, key });
    }
  }

  #goOn(last: string | undefined): boolean {
    this.#after = last ?? NIL;
    if (last === undefined) this.#table = (this.#table + 1) % this.#parts.counted.length;
    return last === undefined && this.#table === 0;
  }
}
