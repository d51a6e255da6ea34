import { randomUUID } from 'node:crypto';

import type { Database, Tx } from '#libs/database';

/** One of the ranges that the aggregates are divided into, by hash. */
export interface Range {
  readonly nth: number;
  readonly of: number;
}

/** A range that this relay may publish, as long as nobody has a higher token for it. */
export interface Lease {
  readonly range: Range;
  /** Whoever takes the range next has a higher one. */
  readonly token: number;
  /** What was told with this token or a lower one is to be told again: see `publishAgain`. */
  readonly again: number;
  /** The ranges of other divisions, before RELAY_RANGES was changed: whoever slept meanwhile believes to have one of them. */
  readonly former: readonly Range[];
}

interface Options {
  readonly database: Database;
  readonly ranges: number;
  readonly leaseMs: number;
}

/** How long a range waits for a relay that has gone without a word, where nothing else is said. */
export const LEASE_MS = 3_000;

/** Made anew by every process. */
const PROCESS = randomUUID();
let relays = 0;

/** Which range an aggregate is in. */
export const RANGE = (of: string): string => `((hashtextextended(aggregate, 0) & 2147483647) % ${of})::int`;

/**
 * Which ranges this relay publishes. Leases stand in PostgreSQL and run by its clock alone, so a process whose clock is
 * wrong, or that slept, believes nothing that is not so: its token is compared wherever it would change something, by the
 * stream that it publishes to and by the statement that marks.
 *
 * Relays share the ranges evenly; who is there stands in `relays`. A lease is renewed when a third of it is over, by a relay that is
 * between two batches; one that is closed gives its leases back at once. An embedded database is one process's, which its
 * folder's lock sees to: there a lease never runs out, and what another process held is free, for that process is dead.
 *
 * Where RELAY_RANGES was changed, the leases of the division before are waited for, then ended and given tokens that nobody has.
 */
export class Leases {
  readonly #options: Options;
  readonly #me = `${PROCESS}/${++relays}`;
  readonly #isAlone: boolean;
  #held: readonly Lease[] = [];
  #tendAt = 0;
  #above = 0;

  constructor(options: Options) {
    this.#options = options;
    this.#isAlone = options.database.kind === 'embedded';
  }

  /** Renews, takes and gives back where that is due; what is held then. Called between two batches only. */
  async held(): Promise<readonly Lease[]> {
    if (performance.now() < this.#tendAt) return this.#held;
    this.#held = await this.#options.database.transaction((tx) => this.#tend(tx));
    const isForGood = this.#isAlone && this.#held.length === this.#options.ranges;
    this.#tendAt = isForGood ? Number.POSITIVE_INFINITY : performance.now() + this.#options.leaseMs / 3;
    return this.#held;
  }

  /** When `held` has to be asked again for a lease not to run out: never, where none does. */
  get dueInMs(): number {
    return Math.max(0, this.#tendAt - performance.now());
  }

  /**
   * Looks before the next batch whether they are still held. The stream has seen `token`: if ours are lower and yet still
   * ours, PostgreSQL was set back to an older day, and they get higher ones.
   */
  doubt(token = 0): void {
    this.#tendAt = 0;
    this.#above = Math.max(this.#above, token);
  }

  async giveBack(): Promise<void> {
    this.#held = [];
    await this.#options.database.query(
      `WITH gone AS (DELETE FROM relays WHERE holder = $1)
       UPDATE relay_leases SET until = '-infinity' WHERE holder = $1`,
      [this.#me],
    );
  }

  async #tend(tx: Tx): Promise<readonly Lease[]> {
    const { ranges, leaseMs } = this.#options;
    // One relay at a time looks who is there and takes.
    await tx.query(`SELECT pg_advisory_xact_lock(hashtext('tributary relays'))`);
    const [live] = await tx.query<{ others: number; divided: boolean; former: Range[] }>(
      `WITH here AS (
         INSERT INTO relays AS relay (holder, ranges, until) VALUES ($1, $2, ${UNTIL})
         ON CONFLICT (holder) DO UPDATE SET until = excluded.until),
       gone AS (DELETE FROM relays WHERE holder <> $1 AND ${isFree('relays')})
       SELECT count(*)::int AS others,
         EXISTS (SELECT FROM relay_leases AS lease WHERE lease.ranges <> $2 AND NOT ${isFree('lease')}) AS divided,
         (SELECT coalesce(json_agg(json_build_object('nth', nth, 'of', ranges)), '[]') FROM relay_leases WHERE ranges <> $2) AS former
       FROM relays WHERE holder <> $1 AND ranges = $2 AND NOT ${isFree('relays')}`,
      [this.#me, ranges, leaseMs, this.#isAlone, PROCESS],
    );
    // Relays that divide the aggregates otherwise: they are waited for.
    if (live === undefined || live.divided) return [];
    if (this.#above > 0) await this.#raise(tx);
    const share = Math.ceil(ranges / (live.others + 1));
    const rows = await tx.query<{ nth: number; token: string; again: string }>(
      `WITH ended AS (
         UPDATE relay_leases SET token = nextval('relay_token'), until = '-infinity' WHERE ranges <> $2 AND until > '-infinity'),
       mine AS (SELECT nth FROM relay_leases WHERE ranges = $2 AND holder = $1 AND until > '-infinity'),
       kept AS (
         UPDATE relay_leases AS lease SET until = ${UNTIL}
         WHERE ranges = $2 AND nth IN (SELECT nth FROM mine ORDER BY nth LIMIT $6::bigint)
         RETURNING nth, token, again),
       given_back AS (
         UPDATE relay_leases SET until = '-infinity'
         WHERE ranges = $2 AND nth IN (SELECT nth FROM mine ORDER BY nth OFFSET $6::bigint)),
       free AS (
         SELECT nth FROM generate_series(0, $2 - 1) AS nth
         WHERE nth NOT IN (SELECT nth FROM mine)
           AND NOT EXISTS (SELECT FROM relay_leases AS lease WHERE lease.ranges = $2 AND lease.nth = nth.nth AND NOT ${isFree('lease')})
         ORDER BY nth LIMIT greatest(0, $6::bigint - (SELECT count(*) FROM mine))),
       taken AS (
         INSERT INTO relay_leases AS lease (ranges, nth, holder, token, until)
         SELECT $2, nth, $1, nextval('relay_token'), ${UNTIL} FROM free
         ON CONFLICT (ranges, nth) DO UPDATE SET holder = excluded.holder, token = excluded.token, until = excluded.until
         RETURNING nth, token, again)
       SELECT * FROM kept UNION ALL SELECT * FROM taken ORDER BY nth`,
      [this.#me, ranges, leaseMs, this.#isAlone, PROCESS, share],
    );
    return rows.map(({ nth, token, again }) => ({
      range: { nth, of: ranges },
      token: Number(token),
      again: Number(again),
      former: live.former,
    }));
  }

  async #raise(tx: Tx): Promise<void> {
    await tx.query(`SELECT setval('relay_token', $1) FROM relay_token WHERE last_value < $1`, [this.#above]);
    await tx.query(`UPDATE relay_leases SET token = nextval('relay_token') WHERE holder = $1 AND token < $2`, [
      this.#me,
      this.#above,
    ]);
    this.#above = 0;
  }
}

/** $3: how long, $4: whether for good. */
const UNTIL = `(CASE WHEN $4::boolean THEN 'infinity' ELSE clock_timestamp() + $3::float8 * interval '1 ms' END)`;

/** Run out, or of a process that is dead. */
function isFree(row: string): string {
  return `(${row}.until <= clock_timestamp() OR ($4::boolean AND split_part(${row}.holder, '/', 1) <> $5::text))`;
}
