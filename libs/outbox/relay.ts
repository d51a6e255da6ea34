import { crashPoint } from '#libs/crash-point';
import type { Database } from '#libs/database';
import { Outage, systemClock, type Clock, type Logger, type Tracer } from '#libs/telemetry';

import { Continuity } from './continuity.js';
import { LEASE_MS, Leases, RANGE, type Lease } from './leases.js';
import { EVENT_COLUMNS, eventOf, type OutboxRow } from './outbox-row.js';
import { cleanOutbox, KEEP_DAYS } from './retention.js';
import { LeaseLost, type Stream } from './stream.js';
import { publishTraced } from './traced.js';
import { Nap } from './within.js';

interface Options {
  readonly database: Database;
  readonly stream: Stream;
  /** Insurance against a lost wake-up; also how late another process's rows are found. */
  readonly pollMs: number;
  readonly logger: Logger;
  readonly clock?: Clock | undefined;
  /** How long a published row is kept: what a lost stream can be filled with again. */
  readonly keepMs?: number;
  /** How many parts the aggregates are divided into, each published by one relay at a time; the same for all relays of a service. */
  readonly ranges?: number;
  /** How long a range stays with a relay that has gone without a word. */
  readonly leaseMs?: number;
  /** Makes spans of what it publishes; absent: nobody traces. */
  readonly tracer?: Tracer | undefined;
}

/** Rows of one batch; also most events in flight. */
const BATCH = 200;
const BACKOFF_MS_MAX = 5_000;
const CLEAN_EVERY_MS = 60_000;
/** Rows that are forgotten beside one batch: five times what it adds. */
const CLEAN_AT_ONCE = 1_000;

/**
 * Carries what a service has recorded to the stream: at least once, each aggregate in order.
 *
 * It asks for what is not marked, not for what is behind a cursor: positions are given before COMMIT, so a slow
 * transaction's row appears behind the cursor and would be lost. It locks nothing, so it holds no connection while it
 * publishes. Whoever sees an aggregate's later row sees the earlier one too, marked only when it was published; so no relay can
 * tell a later event before an earlier one.
 *
 * One relay at a time publishes a range of the aggregates, by a lease (leases.ts). A second one that believes to have it,
 * because it slept, is refused by the stream (continuity.ts) and marks nothing, so nothing is told twice either.
 */
export class Relay {
  readonly #options: Required<Omit<Options, 'clock' | 'tracer'>> & Pick<Options, 'tracer'> & { readonly clock: Clock };
  readonly #nap = new Nap();
  readonly #leases: Leases;
  /** By token. */
  #continuities = new Map<number, Continuity>();
  #running: Promise<void> | undefined;
  #passing: Promise<boolean> | undefined;
  #failures = 0;
  readonly #outage: Outage;
  #cleanAt = 0;
  #closed = false;

  constructor(options: Options) {
    const { clock = systemClock, keepMs = KEEP_DAYS * 24 * 60 * 60 * 1000, ranges = 1, leaseMs = LEASE_MS } = options;
    this.#options = { ...options, clock, keepMs, ranges, leaseMs };
    this.#leases = new Leases(this.#options);
    this.#outage = new Outage({
      logger: options.logger,
      fields: { service: options.database.service },
      began: 'Events cannot be published; they wait in the outbox and are tried again until they can',
      lasts: 'Events still cannot be published',
      over: 'Events are published again',
    });
    options.database.afterCommit(async (events) => {
      if (events.some((event) => event.source === options.database.service)) this.wake();
    });
  }

  start(): void {
    this.#running ??= this.#run();
  }

  wake(): void {
    this.#nap.wake();
  }

  /** Resolves when nothing is left to publish, by this relay or another; rejects after `deadlineMs`. */
  async settled(deadlineMs = 10_000): Promise<void> {
    const deadline = performance.now() + deadlineMs;
    // One that is under way may have looked before what was told.
    await this.#passing?.catch(() => undefined);
    for (;;) {
      try {
        if (!(await this.#pass())) {
          if (this.#continuities.size === this.#options.ranges || (await this.#isEmpty())) return;
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
      } catch (error) {
        if (performance.now() > deadline) throw new Error('the outbox could not be drained', { cause: error });
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      if (performance.now() > deadline) throw new Error('the outbox was not empty in time');
    }
  }

  /** Waits for the batch in flight. */
  async close(): Promise<void> {
    this.#closed = true;
    this.wake();
    await this.#running;
    await this.#passing?.catch(() => undefined);
    // Whoever is there takes over at once. Without a database the leases run out.
    await this.#leases.giveBack().catch(() => undefined);
  }

  async #run(): Promise<void> {
    while (!this.#closed) {
      const pauseMs = await this.#passOrBackOff();
      if (pauseMs > 0 && !this.#closed) await this.#nap.take(pauseMs);
      // An embedded database answers without a turn of the event loop: a backlog would keep every request waiting to its end.
      else await new Promise((resolve) => setImmediate(resolve));
    }
  }

  async #passOrBackOff(): Promise<number> {
    try {
      const more = await this.#pass();
      this.#failures = 0;
      this.#outage.succeeded();
      return more ? 0 : Math.min(this.#options.pollMs, this.#leases.dueInMs);
    } catch (error) {
      this.#failures += 1;
      // Somebody else has what this one has slept over: nothing is wrong.
      if (error instanceof LeaseLost && this.#failures === 1) return 0;
      const pauseMs = Math.min(BACKOFF_MS_MAX, 50 * 2 ** Math.min(this.#failures, 10));
      this.#outage.failed(error);
      return pauseMs;
    }
  }

  /** One batch, one at a time, however many ask, and some of what is old forgotten. False: nothing is left to publish. */
  #pass(): Promise<boolean> {
    this.#passing ??= this.#publishAndClean().finally(() => {
      this.#passing = undefined;
    });
    return this.#passing;
  }

  async #publishAndClean(): Promise<boolean> {
    const more = await this.#publishBatch();
    await this.#clean();
    return more;
  }

  async #publishBatch(): Promise<boolean> {
    const held = await this.#continuitiesHeld();
    if (held === undefined) return true;
    if (held.length === 0) return false;
    const rows = await this.#read(held.map(({ range }) => range.nth));
    if (rows.length === 0) {
      // All of them are over before anything is forgotten: one that went on would repair what its successor looks at.
      const looks = await Promise.allSettled(held.map((one) => one.holds()));
      const isLacking = looks.some((look) => look.status === 'fulfilled' && !look.value);
      if (isLacking) this.#leases.doubt();
      const failed = looks.find((look) => look.status === 'rejected');
      if (failed !== undefined) throw this.#forget(failed.reason);
      return isLacking;
    }
    crashPoint('relay:read');
    const outcomes = await Promise.allSettled(
      held.map(async (one) => {
        const mine = rows.filter((row) => row.range === one.range.nth);
        if (mine.length === 0) return [];
        const positions = mine.map((row) => Number(row.position));
        const told = await publishTraced(this.#options.tracer, mine.map(eventOf), (events) =>
          one.publish(events, positions),
        );
        if (told) {
          return [{ positions, token: one.token, batches: one.batches }];
        }
        this.#leases.doubt();
        return [];
      }),
    );
    crashPoint('relay:published');
    try {
      await this.#mark(outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? outcome.value : [])));
    } catch (error) {
      // The stream remembers what it was told: it is asked, and that is marked, before anything is added again.
      this.#continuities.clear();
      throw error;
    }
    crashPoint('relay:marked');
    const failed = outcomes.find((outcome) => outcome.status === 'rejected');
    if (failed !== undefined) throw this.#forget(failed.reason);
    return true;
  }

  /** One for each range that this relay has, taken; undefined where the stream has lost events, and leases are to be asked for anew. */
  async #continuitiesHeld(): Promise<Continuity[] | undefined> {
    const leases = await this.#leases.held();
    this.#continuities = new Map(
      leases.map((lease) => [lease.token, this.#continuities.get(lease.token) ?? this.#continuityOf(lease)]),
    );
    let isWhole = true;
    for (const one of this.#continuities.values()) {
      try {
        isWhole = (await one.take()) && isWhole;
      } catch (error) {
        throw this.#forget(error);
      }
    }
    if (isWhole) return [...this.#continuities.values()];
    this.#leases.doubt();
    return undefined;
  }

  #continuityOf(lease: Lease): Continuity {
    const { database, stream, logger } = this.#options;
    return new Continuity({ database, stream, logger, lease });
  }

  /** What a lost lease was thought to be is asked anew. */
  #forget(error: unknown): unknown {
    if (error instanceof LeaseLost) {
      this.#continuities.clear();
      this.#leases.doubt(error.token);
    }
    return error;
  }

  #read(ranges: readonly number[]): Promise<Row[]> {
    const { database, ranges: of } = this.#options;
    // With one range there is nothing to compute; with all of them, nothing to leave out.
    const range = of === 1 ? '0' : RANGE('$1');
    const mine = ranges.length === of ? '' : `AND ${range} = ANY($2::int[])`;
    return database.query<Row>(
      `SELECT position::text, ${EVENT_COLUMNS}, ${range} AS range
       FROM outbox WHERE published_at IS NULL ${mine} ORDER BY outbox.position LIMIT ${BATCH}`,
      [...(of === 1 ? [] : [of]), ...(ranges.length === of ? [] : [ranges])],
    );
  }

  /**
   * Only while the lease is this relay's: else its successor has marked them, or they are to be told again. The leases are held for
   * it, in the order of `publishAgain`, so that whoever has all told again finds them marked or has them never marked.
   */
  async #mark(batches: readonly Told[]): Promise<void> {
    const told = batches.flatMap(({ positions, token }) => positions.map((position) => ({ position, token })));
    if (told.length === 0) return;
    const [row] = await this.#options.database.query<{ marked: number }>(
      `WITH lease AS (
         SELECT lease.token, told.batches FROM relay_leases AS lease
         JOIN unnest($3::bigint[], $4::bigint[]) AS told (token, batches) ON told.token = lease.token
         ORDER BY ranges, nth FOR NO KEY UPDATE OF lease),
       counted AS (
         UPDATE relay_leases SET batches = lease.batches FROM lease
         WHERE relay_leases.token = lease.token AND lease.batches IS NOT NULL),
       marked AS (
         UPDATE outbox SET published_at = now()
         FROM unnest($1::bigint[], $2::bigint[]) AS told (position, token)
         JOIN lease ON lease.token = told.token
         WHERE outbox.position = told.position RETURNING 1
       ) SELECT count(*)::int AS marked FROM marked`,
      [
        told.map(({ position }) => position),
        told.map(({ token }) => token),
        batches.map(({ token }) => token),
        batches.map((one) => one.batches ?? null),
      ],
    );
    if (row?.marked !== told.length) this.#leases.doubt();
  }

  async #isEmpty(): Promise<boolean> {
    const rows = await this.#options.database.query('SELECT FROM outbox WHERE published_at IS NULL LIMIT 1');
    return rows.length === 0;
  }

  /** Also beside the batches of a relay that is never idle. Whoever has the first range does it for all. */
  async #clean(): Promise<void> {
    const { clock, database, keepMs } = this.#options;
    if (clock() < this.#cleanAt || ![...this.#continuities.values()].some(({ range }) => range.nth === 0)) return;
    const cleaned = await cleanOutbox(database, keepMs, CLEAN_AT_ONCE);
    this.#cleanAt = cleaned < CLEAN_AT_ONCE ? clock() + CLEAN_EVERY_MS : 0;
  }
}

/** What the stream has taken of one range, and how many batches that makes. */
interface Told {
  readonly positions: readonly number[];
  readonly token: number;
  readonly batches: number | undefined;
}

interface Row extends OutboxRow {
  readonly range: number;
  readonly position: string;
}
