import type { Database, Tx } from '#libs/database';
import { BUILDING } from '#libs/read-model';
import type { Logger } from '#libs/telemetry';
import { remakeSlices, SLICES, viewOf } from './slices.js';

interface Refreshing {
  /** For all of it, ms. */
  readonly withinMs?: number;
  /** Asked between two transactions. */
  readonly isOver?: () => boolean;
}

/**
 * Computes the trending posts that answer anew when they are older than `maxAgeMs`. False: they are young enough, or being made.
 *
 * On a server one of several processes does it, and nobody waits: readers have them as they were until the new ones are there, in one step.
 * Embedded everybody would wait for that, so it is a step for each day, with a rest behind it for who waits. Meanwhile some days are
 * younger than others by as long as that takes, and `asOf` is of the oldest, as always; neither ever goes back.
 */
export function refreshTrending(
  database: Pick<Database, 'kind' | 'transaction'>,
  maxAgeMs: number,
  { withinMs = REFRESH_MS_MAX, isOver = () => false }: Refreshing = {},
): Promise<boolean> {
  const untilMs = performance.now() + withinMs;
  return database.kind === 'server'
    ? database.transaction((tx) => refreshSlices(tx, SLICES, maxAgeMs, untilMs))
    : refreshInTurn(database, maxAgeMs, untilMs, isOver);
}

/**
 * The oldest day first: a post of a clock that is ahead leaves the day before today's before it comes into today's, and is in no list twice.
 * A day that cannot be made keeps no other from it, nor takes the others' time; only today's is not made where yesterday's was not.
 */
async function refreshInTurn(
  database: Pick<Database, 'transaction'>,
  maxAgeMs: number,
  untilMs: number,
  isOver: () => boolean,
): Promise<boolean> {
  const today = Math.floor(Date.now() / 86_400_000);
  const errors: unknown[] = [];
  let some = false;
  let isYesterdayMade = true;
  for (const nth of SLICES) {
    if (isOver() || (nth === SLICES.length && !isYesterdayMade)) break;
    const since = performance.now();
    const slice = ((today + nth) % SLICES.length) + 1;
    const sliceUntilMs = since + (untilMs - since) / (SLICES.length + 1 - nth);
    try {
      if (!(await database.transaction((tx) => refreshSlices(tx, [slice], maxAgeMs, sliceUntilMs)))) continue;
      some = true;
    } catch (error) {
      errors.push(error);
      isYesterdayMade = nth !== SLICES.length - 1;
    }
    await rest(since);
  }
  if (errors.length > 0) throw errors[0];
  return some;
}

/** For as long as what began then took, so that whoever waited meanwhile is served. */
function rest(since: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.min(performance.now() - since, REST_MS_MAX)));
}

/** Those of the version that answers, when one of them is due; and what of them is left in the other. */
async function refreshSlices(tx: Tx, slices: readonly number[], maxAgeMs: number, untilMs: number): Promise<boolean> {
  const keptIn = (slot: number): string => `EXISTS (SELECT FROM ${viewOf(slot)} WHERE slice = ANY($2::smallint[]))`;
  // First, and by itself: a rebuild that switched while one statement did both would leave it with what answered before.
  const [lock] = await tx.query<{ ours: boolean }>(
    `SELECT pg_try_advisory_xact_lock(hashtext('trending_slices')) AS ours`,
  );
  if (!lock?.ours) return false;
  const [found] = await tx.query<{ due: boolean; serving: number; left: boolean }>(
    // One of the time to come was made before the clock was set back; one made since this transaction began would go back by it.
    `SELECT serving,
       (SELECT bool_or(made_at NOT BETWEEN now() - $1 * interval '1 ms' AND now())
            AND NOT bool_or(made_at > now() AND made_at <= clock_timestamp())
          FROM trending_slices WHERE slot = serving AND slice = ANY($2::smallint[])) AS due,
       ${BUILDING} IS NULL AND CASE serving WHEN 1 THEN ${keptIn(2)} ELSE ${keptIn(1)} END AS left
     FROM read_models WHERE name = 'trending'`,
    [maxAgeMs, slices],
  );
  if (!found?.due) return false;
  await remakeSlices(tx, found.serving, slices, untilMs);
  // Of a rebuild that was killed behind its switch, given up, or found it in use: it may name who is erased by now.
  if (found.left) await remakeSlices(tx, 3 - found.serving, slices, untilMs);
  return true;
}

/**
 * Programs of the version before keep it young; where none are left, it is not to name for good who is erased by now. It goes with a later version.
 * Nothing of this version reads it, so it is no part of the transaction that makes what is read.
 */
export function refreshOldView(database: Database, withinMs = REFRESH_MS_MAX): Promise<boolean> {
  return database.transaction(async (tx) => {
    const [view] = await tx.query<{ due: boolean }>(
      // The lock that programs of before take for it.
      `SELECT pg_try_advisory_xact_lock(hashtext('trending'))
         AND coalesce(refreshed_at NOT BETWEEN now() - interval '1 hour' AND now(), true) AS due
       FROM read_models WHERE name = 'trending'`,
    );
    if (!view?.due) return false;
    // Embedded there is no other program to keep it young for, and everybody would wait for a week of posts, 0.4 s for 100,000.
    const isMade = database.kind === 'server' || (await namesWhoIsGone(tx));
    const beside = database.kind === 'server' ? 'CONCURRENTLY' : '';
    if (isMade) await tx.query(`REFRESH MATERIALIZED VIEW ${beside} trending_posts`, [], withinMs);
    // Only now: a rebuild, and its switch, would wait for the row as long as that takes.
    await tx.query(`UPDATE read_models SET refreshed_at = now() WHERE name = 'trending'`);
    return isMade;
  });
}

async function namesWhoIsGone(tx: Tx): Promise<boolean> {
  const [row] = await tx.query<{ gone: boolean }>(
    `SELECT EXISTS (
       SELECT FROM trending_posts t WHERE NOT EXISTS (SELECT FROM posts p WHERE p.id = t.id AND p.state = 'published')
     ) AS gone`,
  );
  return row?.gone ?? false;
}

/**
 * Embedded nobody vacuums and nobody writes checkpoints. Each refresh makes a table and drops it for each slice, and leaves 18 kB of dead rows
 * in the catalog and up to 130 kB of log: 25 and 190 MB a day. Afterwards both are filled again.
 */
async function tidyCatalog(database: Database): Promise<void> {
  const [row] = await database.query<{ large: boolean }>(`SELECT pg_relation_size('pg_attribute') > 2000000 AS large`);
  if (!row?.large) return;
  for (const table of ['pg_class', 'pg_attribute', 'pg_type', 'pg_depend', 'pg_shdepend']) {
    const since = performance.now();
    await database.query(`VACUUM ${table}`);
    await rest(since);
  }
  await database.query('CHECKPOINT');
}

/** A week of many posts takes longer than a request may, and nobody waits for it. */
const REFRESH_MS_MAX = 60_000;
/** What had to wait for long itself does not rest for as long. */
const REST_MS_MAX = 250;
/** The first time, and then each hour where TRENDING_REFRESH_S is a minute. */
const TIDY_EACH = 60;

/** Keeps the trending posts no older than `everyMs` and the time that a refresh takes. */
export class TrendingRefresher {
  #timer: NodeJS.Timeout | undefined;
  #work: Promise<void> = Promise.resolve();
  #closed = false;
  #times = 0;

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
      await refreshTrending(database, everyMs / 2, { isOver: () => this.#closed });
    } catch (error) {
      logger.warn({ err: error }, 'The trending posts could not be refreshed; the API tells how old they are');
    }
    try {
      await refreshOldView(database);
    } catch (error) {
      logger.warn(
        { err: error },
        'The trending posts of programs of before could not be refreshed; nobody else reads them',
      );
    }
    try {
      if (database.kind === 'embedded' && this.#times++ % TIDY_EACH === 0) await tidyCatalog(database);
    } catch (error) {
      logger.warn({ err: error }, 'The catalog could not be vacuumed, or its log be ended; the embedded store grows');
    }
  }
}
