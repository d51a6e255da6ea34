import { setTimeout as sleep } from 'node:timers/promises';
import type { Statements } from '#libs/database';
import type { Logger } from '#libs/telemetry';
import { NotOpened, type Column, type Sealer } from './sealer.js';

/** What one walk through a column found and did. */
export interface Walked {
  /** Rows that the first key has sealed now, which were plain or sealed by another. */
  readonly sealed: number;
  /** Rows that still are: somebody else was at them, or they cannot be opened. */
  readonly left: number;
  /** Ids of keys that rows name and that are not here. */
  readonly missing: readonly string[];
  /** Rows that are not what was sealed for them. */
  readonly changed: readonly string[];
  /** Ids of keys that are here, by which somebody else has sealed anew what the first had sealed before: those rows are left to them. */
  readonly takenOver: readonly string[];
  /** Up to this row all that can be opened is the first key's now, but for those that somebody else was at. */
  readonly upTo: string;
  readonly held: ReadonlySet<string>;
}

interface Walk {
  readonly slice?: number;
  readonly isClosed?: () => boolean;
  /** What the walk before found. Without it two processes with other first keys seal anew all that the other has, for ever. */
  readonly before?: Pick<Walked, 'upTo' | 'held' | 'takenOver'> | undefined;
}

/** Rows that one statement looks at, all of which it may have to seal. */
const SLICE = 200;
const REST_MS_MAX = 50;

/**
 * Has every text of a column sealed by the first key, what is plain and what other keys have sealed: a slice after the other by the row's `id`
 * (a uuid), with a rest as long as the slice took. How far it is stands in the rows themselves: whoever is killed begins
 * again, and looks once more at what is done. A row that somebody else holds or has changed since is left for the next walk; an empty text is nothing.
 *
 * A row that was ours, and is another key's that is here, was sealed anew by a process that has this one first and began later. Who finds
 * one leaves to it all that other keys have sealed: who began last has its way, and nobody goes round in circles.
 */
export async function sealAnew(
  database: Statements,
  column: Column,
  sealer: Sealer,
  { slice = SLICE, isClosed = () => false, before }: Walk = {},
): Promise<Walked> {
  const walked = { sealed: 0, left: 0, missing: new Set<string>(), changed: [] as string[], upTo: NIL };
  const [held, takenOver] = [new Set<string>(), new Set<string>()];
  const isOthers = (id: string): boolean =>
    before !== undefined &&
    (takenOver.size + before.takenOver.length > 0 || (id <= before.upTo && !before.held.has(id)));
  for (let after: string | undefined = NIL; after !== undefined && !isClosed();) {
    const began = performance.now();
    const seen: Slice = await lookAt(database, column, sealer.beginning, after, slice);
    const rows = seen.old.flatMap(([id, was]) => {
      try {
        const text = sealer.open(column, id, was);
        const other = sealer.otherKeyOf(was);
        if (other === undefined || !isOthers(id)) return [{ id, was, sealed: sealer.seal(column, id, text) }];
        takenOver.add(other);
      } catch (error) {
        if (!(error instanceof NotOpened)) throw error;
        if (error.why === 'key') walked.missing.add(error.keyId);
        else walked.changed.push(id);
      }
      return [];
    });
    const done = rows.length === 0 ? NONE : await replace(database, column, rows);
    walked.sealed += done.size;
    walked.left += seen.old.length - done.size;
    if (held.size < HELD_MAX) {
      for (const { id } of rows) if (!done.has(id)) held.add(id);
      walked.upTo = seen.last ?? walked.upTo;
    }
    after = seen.count < slice ? undefined : (seen.last ?? undefined);
    await sleep(Math.min(REST_MS_MAX, performance.now() - began));
  }
  return { ...walked, missing: [...walked.missing], takenOver: [...takenOver], held };
}

/** Rows that are remembered from one walk to the next. */
const HELD_MAX = 10_000;
const NONE: ReadonlySet<string> = new Set();

interface Slice {
  readonly count: number;
  /** None of no rows. */
  readonly last: string | null;
  /** Ids and texts of those that the first key has not sealed. */
  readonly old: readonly (readonly [string, string])[];
}

const NIL = '00000000-0000-0000-0000-000000000000';

/** So many rows whatever is in them: to look for the few that are old among a million would be one long statement. */
async function lookAt(
  database: Statements,
  { table, column }: Column,
  beginning: string,
  after: string,
  slice: number,
): Promise<Slice> {
  const [seen] = await database.query<Slice>(
    `WITH slice AS (SELECT id, ${column} AS text FROM ${table} WHERE id > $1 ORDER BY id LIMIT $2)
     SELECT count(*)::int AS count, (SELECT id FROM slice ORDER BY id DESC LIMIT 1) AS last,
       coalesce(json_agg(json_build_array(id, text)) FILTER (WHERE text <> '' AND NOT starts_with(text, $3)), '[]') AS old
     FROM slice`,
    [after, slice, beginning],
  );
  return seen ?? { count: 0, last: after, old: [] };
}

async function replace(
  database: Statements,
  { table, column }: Column,
  rows: readonly { readonly id: string; readonly was: string; readonly sealed: string }[],
): Promise<ReadonlySet<string>> {
  const done = await database.query<{ id: string }>(
    `WITH free AS (SELECT id FROM ${table} WHERE id = ANY($1::uuid[]) ORDER BY id FOR UPDATE SKIP LOCKED)
     UPDATE ${table} AS kept SET ${column} = new.sealed
     FROM unnest($1::uuid[], $2::text[], $3::text[]) AS new (id, was, sealed) JOIN free ON free.id = new.id
     WHERE kept.id = new.id AND kept.${column} = new.was RETURNING kept.id`,
    [rows.map(({ id }) => id), rows.map(({ was }) => was), rows.map(({ sealed }) => sealed)],
  );
  return new Set(done.map(({ id }) => id));
}

interface Parts {
  readonly database: Statements;
  readonly column: Column;
  readonly sealer: Sealer;
  readonly logger: Logger;
}

interface Pauses {
  /** From the start to the first walk. */
  readonly firstMs?: number;
  /** After a walk that sealed something, or left what somebody held. */
  readonly soonMs?: number;
  /** After one that found nothing that it could do. */
  readonly thenMs?: number;
}

/**
 * Walks now and then, until it is closed. Not at once: while programs of the version before still run, they cannot read what is
 * sealed; and again after a walk that found something, since they write plain texts meanwhile. Two processes that walk at once do no harm.
 */
export class SealingAnew {
  readonly #parts: Parts;
  readonly #pauses: Required<Pauses>;
  #timer: NodeJS.Timeout | undefined;
  #walking: Promise<void> | undefined;
  #closed = false;
  #before: Walked | undefined;

  constructor(parts: Parts, pauses: Pauses = {}) {
    this.#parts = parts;
    this.#pauses = { firstMs: 60_000, soonMs: 60_000, thenMs: 3_600_000, ...pauses };
    this.#wait(this.#pauses.firstMs);
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#walking;
  }

  #wait(ms: number): void {
    if (this.#closed) return;
    this.#timer = setTimeout(() => {
      this.#walking = this.#walk().then((pauseMs) => this.#wait(pauseMs));
    }, ms).unref();
  }

  /** How long it has time then, ms. */
  async #walk(): Promise<number> {
    const { database, column, sealer, logger } = this.#parts;
    const what = `${column.table}.${column.column}`;
    try {
      const walked = await sealAnew(database, column, sealer, { isClosed: () => this.#closed, before: this.#before });
      if (this.#closed) return 0;
      this.#before = walked;
      const { sealed, left, missing, changed, takenOver } = walked;
      if (sealed > 0) logger.info({ column: what, sealed, left }, 'Sealed by the first key, which they were not');
      if (missing.length > 0)
        logger.error(
          { column: what, left, keys: missing },
          'Rows are sealed by keys that are not here: give them back',
        );
      if (changed.length > 0)
        logger.error(
          { column: what, rows: changed.length, first: changed[0] },
          'Rows are not what was sealed for them',
        );
      if (takenOver.length > 0)
        logger.warn(
          { column: what, left, keys: takenOver },
          'What this process had sealed was sealed anew by another key, which another process has first in SEALING_KEYS: it is left so; give all the same list',
        );
      // What cannot be opened waits for somebody, who is told each hour.
      const isHeld = left > 0 && missing.length + changed.length + takenOver.length === 0;
      return sealed > 0 || isHeld ? this.#pauses.soonMs : this.#pauses.thenMs;
    } catch (err) {
      logger.warn({ column: what, err }, 'Not everything is sealed by the first key; later again');
      return this.#pauses.soonMs;
    }
  }
}
