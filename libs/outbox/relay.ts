import { crashPoint } from '#libs/crash-point';
import type { Database } from '#libs/database';
import type { DomainEvent } from '#libs/events';
import { systemClock, type Clock, type Logger } from '#libs/telemetry';

import { Continuity } from './continuity.js';
import { cleanOutbox, KEEP_DAYS } from './retention.js';
import { Outage } from './outage.js';
import type { Stream } from './stream.js';
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
}

/** Rows of one batch; also most events in flight. */
const BATCH = 200;
const BACKOFF_MS_MAX = 5_000;
const CLEAN_EVERY_MS = 60_000;

/**
 * Carries what a service has recorded to the stream: at least once, each aggregate in order.
 *
 * It asks for what is not marked, not for what is behind a cursor: positions are given before COMMIT, so a slow
 * transaction's row appears behind the cursor and would be lost. It locks nothing, so it holds no connection while it
 * publishes. Two relays on one database tell everything twice, which the inboxes forgive, but neither can tell an
 * aggregate's later event before an earlier one: whoever sees the later row sees the earlier one too, marked only when it
 * was published.
 */
export class Relay {
  readonly #options: Options & { readonly clock: Clock; readonly keepMs: number };
  readonly #nap = new Nap();
  readonly #continuity: Continuity;
  #running: Promise<void> | undefined;
  #passing: Promise<boolean> | undefined;
  #failures = 0;
  readonly #outage: Outage;
  #cleanAt = 0;
  #closed = false;

  constructor(options: Options) {
    const { clock = systemClock, keepMs = KEEP_DAYS * 24 * 60 * 60 * 1000 } = options;
    this.#options = { ...options, clock, keepMs };
    this.#continuity = new Continuity(options);
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

  /** Resolves when nothing is left to publish; rejects after `deadlineMs`. */
  async settled(deadlineMs = 10_000): Promise<void> {
    const deadline = performance.now() + deadlineMs;
    for (;;) {
      try {
        if (!(await this.#pass())) return;
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
  }

  async #run(): Promise<void> {
    while (!this.#closed) {
      const pauseMs = await this.#passOrBackOff();
      if (pauseMs > 0 && !this.#closed) await this.#nap.take(pauseMs);
    }
  }

  async #passOrBackOff(): Promise<number> {
    try {
      const more = await this.#pass();
      this.#failures = 0;
      this.#outage.succeeded();
      if (more) return 0;
      await this.#clean();
      return this.#options.pollMs;
    } catch (error) {
      this.#failures += 1;
      const pauseMs = Math.min(BACKOFF_MS_MAX, 50 * 2 ** Math.min(this.#failures, 10));
      this.#outage.failed(error);
      return pauseMs;
    }
  }

  /** One batch, one at a time, however many ask. False: nothing is left to publish. */
  #pass(): Promise<boolean> {
    this.#passing ??= this.#publishBatch().finally(() => {
      this.#passing = undefined;
    });
    return this.#passing;
  }

  async #publishBatch(): Promise<boolean> {
    const { database } = this.#options;
    const rows = await database.query<Row>(
      `SELECT position::text, id, type, version, source, aggregate, aggregate_version, at, actor, payload
       FROM outbox WHERE published_at IS NULL ORDER BY outbox.position LIMIT ${BATCH}`,
    );
    if (rows.length === 0) return !(await this.#continuity.holds());
    crashPoint('relay:read');
    if (!(await this.#continuity.publish(rows.map(eventOf), Number(rows.at(-1)?.position)))) return true;
    crashPoint('relay:published');
    await database.query(`UPDATE outbox SET published_at = now() WHERE position = ANY($1::bigint[])`, [
      rows.map((row) => row.position),
    ]);
    crashPoint('relay:marked');
    return true;
  }

  async #clean(): Promise<void> {
    const { clock, database, keepMs } = this.#options;
    if (clock() < this.#cleanAt) return;
    this.#cleanAt = clock() + CLEAN_EVERY_MS;
    await cleanOutbox(database, keepMs);
  }
}

interface Row {
  readonly position: string;
  readonly id: string;
  readonly type: string;
  readonly version: number;
  readonly source: string;
  readonly aggregate: string;
  readonly aggregate_version: number;
  readonly at: Date;
  readonly actor: string | null;
  readonly payload: unknown;
}

/** What it holds was checked when it was recorded; a consumer checks it again against its own catalogue. */
function eventOf(row: Row): DomainEvent {
  const { id, type, version, source, aggregate, aggregate_version: aggregateVersion, at, actor, payload } = row;
  return {
    id,
    type,
    version,
    source,
    aggregate,
    aggregateVersion,
    at: at.toISOString(),
    actor,
    payload,
  } as DomainEvent;
}
