import type { Database, Tx } from '#libs/database';
import type { Envelope } from '#libs/events';

/** From the BEGIN of whoever hears it. By then that one has mostly dropped what it made stale; where it has not, two drop it. */
const DUE_MS = 2_000;
/** Events of one look. */
const LOOK_MAX = 100;

/**
 * What the stream gives is given again, where the process that heard it died between COMMIT and the drop of what it made stale. Of an
 * event that came out of the quarantine the stream was told long ago, and of one that a gateway has brought the stream may know nothing
 * for as long as it stands still. So these leave a mark in the transaction of their effect, which goes when the drop is done: as long as
 * it is there, readers who have to be shown the event read past the caches (caught-up.ts), and what is due is dropped by whichever process
 * looks next; one that starts looks at once.
 */
export class DropsDue {
  readonly #database: Database;
  readonly #group: string;
  readonly #tellAgain: (events: readonly Envelope[]) => Promise<void>;

  /** `tellAgain`: has what these events make stale dropped, and resolves after that. */
  constructor(parts: {
    readonly database: Database;
    readonly group: string;
    readonly tellAgain: (events: readonly Envelope[]) => Promise<void>;
  }) {
    this.#database = parts.database;
    this.#group = parts.group;
    this.#tellAgain = parts.tellAgain;
  }

  /** In the transaction of their effect. */
  async mark(tx: Tx, events: readonly Envelope[]): Promise<void> {
    await tx.query(
      `INSERT INTO drops_due (consumer, aggregate, aggregate_version, event, due_at)
       SELECT $1, event ->> 'aggregate', (event ->> 'aggregateVersion')::int, event, now() + $3 * interval '1 ms'
       FROM unnest($2::jsonb[]) AS event
       ON CONFLICT (consumer, aggregate, aggregate_version) DO UPDATE SET due_at = excluded.due_at`,
      [this.#group, events.map((event) => JSON.stringify(event)), DUE_MS],
    );
  }

  /** After their drop. Where it cannot be noted, they are dropped once more. */
  async done(events: readonly Envelope[]): Promise<void> {
    await this.#database.query(
      `DELETE FROM drops_due USING unnest($2::text[], $3::int[]) AS done (of, version)
       WHERE consumer = $1 AND aggregate = done.of AND aggregate_version = done.version`,
      [this.#group, events.map(({ aggregate }) => aggregate), events.map(({ aggregateVersion }) => aggregateVersion)],
    );
  }

  /** Has dropped what is due. In how many ms the next is; undefined for none. */
  async look(): Promise<number | undefined> {
    for (;;) {
      const due = await this.#database.query<{ event: Envelope; inMs: number }>(
        `SELECT event, (extract(epoch FROM due_at - now()) * 1000)::float8 AS "inMs" FROM drops_due
         WHERE consumer = $1 ORDER BY due_at LIMIT ${LOOK_MAX}`,
        [this.#group],
      );
      const events = due.filter(({ inMs }) => inMs <= 0).map(({ event }) => event);
      if (events.length > 0) {
        await this.#tellAgain(events);
        await this.done(events);
      }
      if (events.length < LOOK_MAX) return due[events.length]?.inMs;
    }
  }
}
