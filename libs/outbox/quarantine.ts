import { crashPoint } from '#libs/crash-point';
import type { Database, Tx } from '#libs/database';
import { NewerEvent, UnknownEvent, type Catalogue, type Envelope } from '#libs/events';
import { Outage, type Logger, type Tracer } from '#libs/telemetry';

import { ENDS_CONNECTION, type Disconnects, type Progress } from './disconnects.js';
import type { DropsDue } from './drops-due.js';
import { arrive } from './inbox.js';
import { hearTraced } from './traced.js';
import { isOfDatabase } from './trouble.js';
import { Nap } from './within.js';

interface Parts {
  readonly database: Database;
  readonly group: string;
  readonly logger: Logger;
  readonly catalogue: Catalogue;
  readonly pausesMs: readonly number[];
  readonly lookMs: number;
  readonly troubleMs: number;
  readonly handle: (tx: Tx, event: Envelope, isNew: boolean) => Promise<void>;
  readonly disconnects: Disconnects;
  /** What took effect and may still be kept as it was before; looked after here too. */
  readonly drops: DropsDue;
  readonly tracer: Tracer | undefined;
}

/** Lines that one statement walks. */
const HEADS_MAX = 500;
/** Rows that one statement releases. */
const RELEASE_MAX = 1_000;

/**
 * Where an event goes whose handler failed, in the consumer's own database, so the stream need not wait for it. Later
 * events of its aggregate line up behind it; all others flow. The head of each line is tried again after each pause, and
 * after the last one it stays until somebody calls `replay`. Tries are counted in the row: a crash does not reset them. One that
 * could not be because of the database (gone, a lock that did not come free) is not counted: it says nothing of the event. One of a newer
 * program stays until such a program looks, which is of the same group and may run already while this one is being replaced.
 */
export class Quarantine {
  readonly #parts: Parts;
  /** The first try, and one after each pause. */
  readonly #triesMax: number;
  readonly #nap = new Nap();
  /** What is not counted as a try is told of here. */
  readonly #trouble: Outage;
  /** Types and versions of newer programs that were told of. */
  readonly #newer = new Set<string>();
  /** Events that have ended the connection once more, of which the row does not say so yet: the database may have to come back first. */
  readonly #uncounted = new Set<string>();
  #newerAt = 0;
  #running: Promise<void> | undefined;
  #closed = false;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#triesMax = parts.pausesMs.length + 1;
    this.#trouble = new Outage({
      logger: parts.logger,
      fields: { group: parts.group },
      began: 'Events that are held back cannot be tried for want of the database; that is no try',
      lasts: 'Events that are held back still cannot be tried',
      over: 'Events that are held back are tried again',
    });
  }

  start(): void {
    this.#running = this.#run();
  }

  /** Takes an event whose handler failed; waits for the first pause, or for `replay` or a newer program when no try can help. */
  async take(event: Envelope, error: unknown): Promise<void> {
    const { database, logger, group } = this.#parts;
    const hopeless = error instanceof UnknownEvent;
    const newer = error instanceof NewerEvent;
    if (!newer)
      logger.warn(
        { group, event: named(event), err: error, hopeless },
        'An event could not be handled; it is held back',
      );
    else this.#tellOfNewer(event, error);
    const tries = hopeless ? this.#triesMax : 1;
    await database.transaction((tx) => this.hold(tx, event, sentence(error), tries, newer));
    crashPoint('consume:held');
    this.wake();
  }

  /** After the COMMIT of what was put into a line or may be tried now: before it, a look would not see it. */
  wake(): void {
    this.#nap.wake();
  }

  /** Puts an event into its aggregate's line, in the caller's transaction, after which it calls `wake`. */
  async hold(tx: Tx, event: Envelope, reason: string, tries = 0, newer = false): Promise<void> {
    await tx.query(
      `INSERT INTO quarantine (consumer, aggregate, aggregate_version, event, tries, reason, due_at, newer)
       VALUES ($1, $2, $3, $4, $5, $6, now() + $7 * interval '1 ms', nullif($8, false))
       ON CONFLICT (consumer, aggregate, aggregate_version) DO NOTHING`,
      [
        this.#parts.group,
        event.aggregate,
        event.aggregateVersion,
        JSON.stringify(event),
        tries,
        reason,
        this.#parts.pausesMs[Math.max(0, tries - 1)] ?? 0,
        newer,
      ],
    );
  }

  /** Puts an event of a newer program there, in the caller's transaction; no try can help it. */
  async holdNewer(tx: Tx, event: Envelope, error: NewerEvent): Promise<void> {
    this.#tellOfNewer(event, error);
    await this.hold(tx, event, sentence(error), this.#triesMax, true);
  }

  /** Resolves when every event that may still be tried has been. */
  async settled(deadlineMs = 10_000): Promise<void> {
    const deadline = performance.now() + deadlineMs;
    for (;;) {
      const dueInMs = await this.#nextDue();
      if (dueInMs === undefined) return;
      if (performance.now() + dueInMs > deadline) {
        throw new Error(`waited in vain for the quarantine of group ${this.#parts.group}`);
      }
      await new Promise((resolve) => setTimeout(resolve, Math.max(5, dueInMs)));
      this.#nap.wake();
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#nap.wake();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#closed) {
      let pauseMs = this.#parts.lookMs;
      try {
        pauseMs = Math.min(pauseMs, Math.max(25, (await this.#parts.drops.look()) ?? pauseMs));
        await this.#releaseNewer();
        while (!this.#closed && (await this.#tryHeads()) > 0);
        // Due and yet not tried is what another process is at.
        if (!this.#closed) pauseMs = Math.min(pauseMs, Math.max(25, (await this.#nextDue()) ?? pauseMs));
      } catch (error) {
        this.#parts.logger.error({ group: this.#parts.group, err: error }, 'The quarantine could not be looked into');
        pauseMs = Math.min(pauseMs, 1_000);
      }
      if (!this.#closed) await this.#nap.take(pauseMs);
    }
  }

  /**
   * What an older program did not know and this one does: tried from the start, or passed over where nobody here hears it. The older one
   * may go on taking such events until it ends, so at every look. There may be many held back, so some are looked at in each statement.
   */
  async #releaseNewer(): Promise<void> {
    const { catalogue, database, group, logger, lookMs } = this.#parts;
    const now = performance.now();
    if (now < this.#newerAt) return;
    this.#newerAt = now + lookMs;
    const kinds = Object.entries(catalogue);
    let events = 0;
    let from: Released = { events: 0, looked: RELEASE_MAX, aggregate: '', version: 0 };
    while (from.looked === RELEASE_MAX && !this.#closed) {
      const [released] = await database.query<Released>(RELEASE, [
        group,
        kinds.map(([type]) => type),
        kinds.map(([, { version }]) => version),
        from.aggregate,
        from.version,
      ]);
      if (released === undefined) break;
      from = released;
      events += released.events;
    }
    if (events > 0) logger.info({ group, events }, 'Events that an older program did not know are tried by this one');
  }

  /** Once of each type and version: until this program is replaced there may be many. */
  #tellOfNewer(event: Envelope, error: NewerEvent): void {
    const kind = `${event.type} ${event.version}`;
    if (this.#newer.has(kind)) return;
    this.#newer.add(kind);
    this.#parts.logger.warn(
      { group: this.#parts.group, event: named(event), err: error },
      'An event of a newer program came; it and all of its type and version are held back until such a program runs here',
    );
  }

  /** Of every line. How many it tried itself. */
  async #tryHeads(): Promise<number> {
    let tried = 0;
    for await (const { event } of this.#heads()) {
      if (this.#closed) break;
      if (event !== null && (await this.#tryAgain(event))) tried += 1;
    }
    return tried;
  }

  /** By aggregate, some lines in each statement: one that walked all of them would take too long some day, and nothing would be tried any more. */
  async *#heads(): AsyncGenerator<Head> {
    const { database, group } = this.#parts;
    for (let after = ''; ;) {
      const heads = await database.query<Head>(HEADS, [group, this.#triesMax, after]);
      yield* heads;
      const last = heads.at(-1);
      if (last === undefined || heads.length < HEADS_MAX) return;
      after = last.aggregate;
    }
  }

  /** False: another process of this group was faster, or is at it. */
  async #tryAgain(event: Envelope): Promise<boolean> {
    const { database, disconnects, drops, group, handle, tracer } = this.#parts;
    if (this.#uncounted.has(event.id)) {
      // Before it is tried again, which would end every connection once more.
      await this.#failed(event, new Error(ENDS_CONNECTION), 0);
      return true;
    }
    const progress: Progress = { inEffect: false };
    const take = (): Promise<boolean> =>
      database.transaction(async (tx) => {
        const mine = await tx.query(
          `DELETE FROM quarantine WHERE ctid = (
             SELECT ctid FROM quarantine WHERE consumer = $1 AND aggregate = $2 AND aggregate_version = $3 FOR UPDATE SKIP LOCKED
           ) RETURNING 1`,
          [group, event.aggregate, event.aggregateVersion],
        );
        if (mine.length === 0) return false;
        const arrival = (await arrive(tx, group, [event])).arrivals.get(event);
        if (arrival?.is === 'waits') throw new Error(arrival.why);
        progress.inEffect = true;
        await handle(tx, event, arrival?.is === 'new');
        progress.inEffect = false;
        // The stream was told that it was heard when it was put here, and does not bring it again.
        await drops.mark(tx, [event]);
        return true;
      });
    const began = performance.now();
    try {
      const mine = await hearTraced(tracer, group, [event], take);
      this.#trouble.succeeded();
      disconnects.succeeded(event);
      if (mine) {
        crashPoint('consume:retried');
        // Where this fails, it is done once more.
        await drops.done([event]).catch(() => this.wake());
      }
      return mine;
    } catch (error) {
      if (disconnects.failed(event, error, progress.inEffect)) this.#uncounted.add(event.id);
      await this.#failed(event, error, performance.now() - began);
      return true;
    }
  }

  async #failed(event: Envelope, error: unknown, tookMs: number): Promise<void> {
    const { database, group, logger, pausesMs, troubleMs } = this.#parts;
    const isTrouble = isOfDatabase(error) && !this.#uncounted.has(event.id);
    if (isTrouble) this.#trouble.failed(error);
    const newer = error instanceof NewerEvent;
    const [row] = await database.query<{ tries: number }>(
      `UPDATE quarantine SET tries = CASE WHEN $8 THEN greatest(tries, $9) ELSE tries + $6 END, newer = nullif($8, false), reason = $4,
         due_at = now() + CASE $6 WHEN 0 THEN $7 ELSE coalesce(($5::int[])[tries + 1], 0) END * interval '1 ms'
       WHERE consumer = $1 AND aggregate = $2 AND aggregate_version = $3 RETURNING tries`,
      [
        group,
        event.aggregate,
        event.aggregateVersion,
        this.#uncounted.has(event.id) ? ENDS_CONNECTION : sentence(error),
        pausesMs,
        isTrouble ? 0 : 1,
        // Whoever waits for a lock has the others wait for half the time at most.
        Math.ceil(Math.max(troubleMs, tookMs)),
        newer,
        this.#triesMax,
      ],
    );
    this.#uncounted.delete(event.id);
    if (newer) this.#tellOfNewer(event, error);
    else if (row !== undefined && row.tries >= this.#triesMax) {
      logger.error({ group, event: named(event), err: error }, 'An event stays in quarantine until it is replayed');
    }
  }

  async #nextDue(): Promise<number | undefined> {
    let next: number | undefined;
    for await (const { dueInMs } of this.#heads()) if (dueInMs !== null) next = Math.min(next ?? dueInMs, dueInMs);
    return next;
  }
}

/** As programs of before the mark have put it there: what they said of it (versionOf in libs/events/check.ts) tells which version they knew. */
const NEWER_UNMARKED = `(held.newer IS NULL AND held.tries > 0 AND held.reason LIKE '% is version % here; came %'
  AND substring(held.reason FROM '^[^ ]+ is version ([0-9]{1,9}) here; came [0-9]+$')::int < (held.event ->> 'version')::int)`;

/** By key, so that what a slice looks at does not grow with what is held back. */
const RELEASE = `WITH slice AS MATERIALIZED (
     SELECT aggregate, aggregate_version FROM quarantine WHERE consumer = $1 AND (aggregate, aggregate_version) > ($4, $5)
     ORDER BY aggregate, aggregate_version LIMIT ${RELEASE_MAX}
   ), released AS (
     UPDATE quarantine SET tries = 0, due_at = now(), newer = NULL WHERE ctid = ANY(ARRAY(
       SELECT held.ctid FROM slice JOIN quarantine AS held USING (aggregate, aggregate_version)
         JOIN unnest($2::text[], $3::int[]) AS known (type, version)
           ON held.event ->> 'type' = known.type AND (held.event ->> 'version')::int <= known.version
       WHERE held.consumer = $1 AND (held.newer OR ${NEWER_UNMARKED}) FOR UPDATE OF held SKIP LOCKED)) RETURNING 1
   ), last AS (SELECT aggregate, aggregate_version FROM slice ORDER BY aggregate DESC, aggregate_version DESC LIMIT 1)
   SELECT (SELECT count(*) FROM released)::int AS events, (SELECT count(*) FROM slice)::int AS looked,
     (SELECT aggregate FROM last) AS aggregate, (SELECT aggregate_version FROM last)::int AS version`;

/** What one slice released and looked at, and the last of it. */
interface Released {
  readonly events: number;
  readonly looked: number;
  readonly aggregate: string;
  readonly version: number;
}

interface Head {
  readonly aggregate: string;
  /** Where it is due. */
  readonly event: Envelope | null;
  /** Null: it is not tried any more. */
  readonly dueInMs: number | null;
}

/** The first of each aggregate's line, by one step of the index for each line: whatever waits behind it is not looked at. */
const lines = (firsts: string): string => `
  WITH RECURSIVE line AS (
    (${firsts})
    UNION ALL
    SELECT next.* FROM line CROSS JOIN LATERAL (
      SELECT q.* FROM quarantine q WHERE consumer = line.consumer AND aggregate > line.aggregate
      ORDER BY aggregate, aggregate_version LIMIT 1
    ) AS next
  )`;

/** $1: the group; $2: the most tries; $3: the aggregate behind which it begins. LIMIT ends the recursion, which is walked as far as it is read. */
const HEADS = `${lines(
  'SELECT * FROM quarantine WHERE consumer = $1 AND aggregate > $3 ORDER BY aggregate, aggregate_version LIMIT 1',
)} SELECT aggregate, CASE WHEN tries < $2 AND due_at <= now() THEN event END AS event,
     CASE WHEN tries < $2 THEN (extract(epoch FROM due_at - now()) * 1000)::float8 END AS "dueInMs"
   FROM line LIMIT ${HEADS_MAX}`;

const HEADS_OF_ALL = lines(
  'SELECT DISTINCT ON (consumer) * FROM quarantine ORDER BY consumer, aggregate, aggregate_version',
);

export interface Quarantined {
  readonly group: string;
  readonly event: Envelope;
  readonly tries: number;
  readonly reason: string;
  readonly since: Date;
  /** Events of the same aggregate that wait behind it. */
  readonly behind: number;
}

/** The heads of the longest-waiting lines, for people: at most `limit`. */
export function quarantined(database: Database, limit = 100): Promise<Quarantined[]> {
  return database.query<Quarantined>(
    `${HEADS_OF_ALL} SELECT line.consumer AS "group", line.event, line.tries, line.reason, line.since, (
       SELECT count(*)::int FROM quarantine AS other
       WHERE other.consumer = line.consumer AND other.aggregate = line.aggregate
         AND other.aggregate_version > line.aggregate_version) AS behind
     FROM line ORDER BY line.since LIMIT $1`,
    [limit],
  );
}

/** Lets quarantined events be tried again from the start: one aggregate's, or all of the group. Answers how many. */
export async function replay(database: Database, group: string, aggregate?: string): Promise<number> {
  const released = await database.query(
    `UPDATE quarantine SET tries = 0, due_at = now()
     WHERE consumer = $1 AND ($2::text IS NULL OR aggregate = $2) RETURNING 1`,
    [group, aggregate ?? null],
  );
  return released.length;
}

export function named(event: Envelope): object {
  return { id: event.id, type: event.type, aggregate: event.aggregate, aggregateVersion: event.aggregateVersion };
}

function sentence(error: unknown): string {
  return String(error instanceof Error ? error.message : error).slice(0, 500);
}
