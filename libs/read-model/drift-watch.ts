import type { Database } from '#libs/database';
import { Failure } from '#libs/failure';
import type { Gauge, Logger } from '#libs/telemetry';
import { CHUNK, look, lookAgain, NIL, nextKey, type Counted, type Drift } from './reconcile.js';

interface Parts {
  readonly database: Database;
  readonly counted: readonly Counted[];
  readonly logger: Logger;
  readonly everyMs?: number;
  /** Rows of one look. */
  readonly rowsMax?: number;
}

/** Where everybody waits for a look: ten of them come to as many rows a minute as one elsewhere. */
const ROWS_EMBEDDED = CHUNK / 10;
/** Between two of them, at most: after one that had to wait for long itself, others have had their turn. */
const REST_MS_MAX = 250;

/** Wrong counts that are remembered; beyond it the gauge says only that they are many. */
const REMEMBERED = 10_000;

/**
 * Looks at a few rows a minute, round and round, whether their counts are right, so that a drift is known before somebody asks
 * `npm run reconcile`. What was wrong is looked at again every time, so that a mended count is no longer told of a minute later. Rows
 * that cannot be counted within a statement's time are looked at fewer at once.
 */
export class DriftWatch {
  readonly gauge: Gauge;
  readonly #parts: Required<Parts>;
  readonly #wrong = new Map<string, { readonly table: number; readonly key: string }>();
  #table = 0;
  #after = NIL;
  #rows: number;
  #rowsAgain: number;
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(parts: Parts) {
    const rowsMax = parts.database.kind === 'embedded' ? ROWS_EMBEDDED : CHUNK;
    this.#parts = { everyMs: 60_000, rowsMax, ...parts };
    this.#rows = this.#rowsAgain = this.#parts.rowsMax;
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
      this.#looking = this.#looks()
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

  /** At a thousand rows, or to the end of a round. */
  async #looks(): Promise<void> {
    for (let rows = 0; rows < CHUNK && !this.#closed; rows += this.#parts.rowsMax) {
      const since = performance.now();
      if (await this.look()) return;
      if (this.#parts.rowsMax >= CHUNK) return;
      const ms = Math.min(performance.now() - since, REST_MS_MAX);
      await new Promise((resolve) => setTimeout(resolve, ms));
    }
  }

  /** One look; true when it ended a round. */
  async look(): Promise<boolean> {
    await this.#again();
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
      if (!tookTooLong(error)) throw error;
      this.#rows = Math.max(1, Math.floor(limit / 4));
      // A single row that takes too long is passed over: the others are to be looked at.
      if (limit === 1) this.#goOn(await nextKey(database, one, this.#after));
      throw error;
    }
  }

  /** What was wrong, the longest known first; on and on while it turns out to have been mended. */
  async #again(): Promise<void> {
    const { database, counted, rowsMax, logger } = this.#parts;
    for (let mended = true; mended && this.#wrong.size > 0;) {
      const table = [...this.#wrong.values()][0]?.table ?? 0;
      const asked = [...this.#wrong].filter(([, wrong]) => wrong.table === table).slice(0, this.#rowsAgain);
      let still = new Set(asked.map(([name]) => name));
      try {
        const keys = [...new Set(asked.map(([, { key }]) => key))];
        const drift = await lookAgain(database, counted[table] as Counted, keys);
        still = new Set(drift.map(nameOf).filter((name) => still.has(name)));
        this.#rowsAgain = Math.min(rowsMax, this.#rowsAgain * 4);
      } catch (error) {
        if (tookTooLong(error)) this.#rowsAgain = Math.max(1, Math.floor(this.#rowsAgain / 4));
        logger.warn({ err: error }, 'Wrong counts could not be looked at again');
      }
      // They go behind the others, which have their turn first; not before it is known: whoever reads the gauge meanwhile sees them.
      for (const [name, wrong] of asked) {
        this.#wrong.delete(name);
        if (still.has(name)) this.#wrong.set(name, wrong);
      }
      mended = still.size === 0;
    }
  }

  /** Of the rows up to `last`, what is wrong now and no more what was. */
  #note(last: string | undefined, drift: readonly Drift[]): void {
    for (const [name, { table, key }] of this.#wrong) {
      if (table === this.#table && key > this.#after && (last === undefined || key <= last)) this.#wrong.delete(name);
    }
    for (const one of drift) {
      this.#parts.logger.warn({ ...one }, 'A count is not the number of its rows');
      if (this.#wrong.size < REMEMBERED) this.#wrong.set(nameOf(one), { table: this.#table, key: one.key });
    }
  }

  #goOn(last: string | undefined): boolean {
    this.#after = last ?? NIL;
    if (last === undefined) this.#table = (this.#table + 1) % this.#parts.counted.length;
    return last === undefined && this.#table === 0;
  }
}

/** The statement itself. Who waited for a connection in vain has looked at nothing, and fewer rows would not come sooner. */
function tookTooLong(error: unknown): boolean {
  return error instanceof Failure && error.code === 'SUBGRAPH_TIMEOUT';
}

function nameOf({ count, key }: Drift): string {
  return `${count} ${key}`;
}
