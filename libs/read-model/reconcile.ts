import type { Database, Tx } from '#libs/database';
import { answering, versionOf } from './count-versions.js';
import { StepSize } from './step-size.js';

/** Numbers that are kept beside the rows that they count. All are SQL written by us, never by a client. */
export interface Counted {
  /** Its row in `read_models`, which says which version of the counts answers. */
  readonly model: string;
  readonly table: string;
  /** Its uuid. */
  readonly key: string;
  /** What is kept, by what clients call it; `t` is the row. */
  readonly counts: Readonly<Record<string, Count>>;
  /** Statements that make the kept number everything there is, at the moment at which it is counted; $1: keys of rows that are held. */
  readonly settle?: readonly string[];
}

export interface Count {
  /** Of version 1; version 2 is beside it. */
  readonly column: string;
  /** What is counted and in neither version yet. */
  readonly pending?: string;
  /** What the two of them must equal. */
  readonly rows: string;
}

export interface Drift {
  readonly count: string;
  readonly key: string;
  readonly says: number;
  readonly counted: number;
}

interface Looked {
  /** The last key that was looked at. */
  readonly last: string | undefined;
  readonly rows: number;
  readonly drift: Drift[];
}

type Store = Pick<Database, 'query' | 'transaction'>;

interface Options {
  /** Corrects what is wrong. */
  readonly mend: boolean;
  /** Called after each step; the next begins when it is done. */
  readonly onStep?: (rows: number) => void | Promise<void>;
  /** How long a step may hold its connection, about, where others wait for it; absent: for as long as a thousand rows take. */
  readonly stepMs?: number | undefined;
}

/** Rows of one statement. */
export const CHUNK = 1_000;
/** Of a step that is to be short, at least: a row each would come to nothing, and each waits for its turn. */
const ROWS_MIN = 20;

/**
 * Compares every kept count with COUNT(*). Both are read by one statement, so at one moment, and whoever changes the rows changes the
 * count in the same transaction: what differs is wrong, also while others write. It is mended under the lock that every writer
 * of the count takes.
 */
export async function reconcile(
  database: Store,
  counted: Counted,
  { mend, onStep, stepMs }: Options,
): Promise<Drift[]> {
  const found: Drift[] = [];
  const size = new StepSize(CHUNK, stepMs, undefined, ROWS_MIN);
  for (let after: string | undefined = NIL; after !== undefined;) {
    const limit = size.keys;
    const { last, rows, drift } = await step(database, counted, { after, limit, size, isTimed: stepMs !== undefined });
    found.push(...drift);
    if (mend && drift.length > 0) await correct(database, counted, keysOf(drift));
    if (rows > 0) await onStep?.(rows);
    after = rows < limit ? undefined : last;
  }
  return found;
}

/** Timed, its connection is there before it begins: the wait for it is no part of the time. */
function step(
  database: Store,
  counted: Counted,
  { after, limit, size, isTimed }: { after: string; limit: number; size: StepSize; isTimed: boolean },
): Promise<Looked> {
  if (!isTimed) return look(database, counted, after, limit);
  return database.transaction(async (tx) => {
    const since = performance.now();
    const looked = await look(tx, counted, after, limit);
    size.took(performance.now() - since, looked.rows);
    return looked;
  });
}

export async function rowsOf(database: Database, { table }: Counted): Promise<number> {
  const [row] = await database.query<{ n: number }>(`SELECT count(*)::int AS n FROM ${table}`);
  return row?.n ?? 0;
}

export async function nextKey(database: Database, { table, key }: Counted, after: string): Promise<string | undefined> {
  const [row] = await database.query<{ key: string }>(
    `SELECT ${key} AS key FROM ${table} WHERE ${key} > $1 ORDER BY ${key} LIMIT 1`,
    [after],
  );
  return row?.key;
}

export async function look(
  database: Pick<Store, 'query'>,
  counted: Counted,
  after: string,
  limit = CHUNK,
): Promise<Looked> {
  const { key } = counted;
  return lookAt(database, counted, `WHERE ${key} > $1 ORDER BY ${key} LIMIT ${limit}`, after);
}

/** The same, of these rows. */
export async function lookAgain(database: Store, counted: Counted, keys: readonly string[]): Promise<Drift[]> {
  return (await lookAt(database, counted, `WHERE ${counted.key} = ANY($1::uuid[])`, keys)).drift;
}

async function lookAt(
  database: Pick<Store, 'query'>,
  { model, table, key, counts }: Counted,
  which: string,
  parameter: unknown,
): Promise<Looked> {
  const columns = Object.values(counts).map(
    ({ column, pending = '0', rows }, nth) =>
      `(${answering(model, 't', column)} + (${pending}))::int AS says_${nth}, (${rows})::int AS counted_${nth}`,
  );
  const rows = await database.query<Record<string, string | number>>(
    `SELECT t.${key} AS key, ${columns.join(', ')} FROM (SELECT * FROM ${table} ${which}) t ORDER BY t.${key}`,
    [parameter],
  );
  const drift = rows.flatMap((row) =>
    Object.keys(counts).flatMap((count, nth) => {
      const [says, is] = [Number(row[`says_${nth}`]), Number(row[`counted_${nth}`])];
      return says === is ? [] : [{ count, key: String(row['key']), says, counted: is }];
    }),
  );
  return { last: rows.at(-1)?.['key'] as string | undefined, rows: rows.length, drift };
}

export function keysOf(drift: readonly Drift[]): string[] {
  return [...new Set(drift.map(({ key }) => key))];
}

export function correct(database: Store, counted: Counted, keys: readonly string[]): Promise<void> {
  return database.transaction(async (tx) => {
    await hold(tx, counted, `WHERE ${counted.key} = ANY($1::uuid[]) ORDER BY ${counted.key}`, keys);
    await countHeld(tx, counted, keys);
  });
}

/** Every count from its rows, whatever it says; for whoever has loaded rows. */
export async function recount(database: Store, counted: Counted, rowsMax = CHUNK): Promise<void> {
  for (let after: string | undefined = NIL; after !== undefined;) {
    after = await database.transaction(async (tx) => {
      const keys = await hold(tx, counted, `WHERE ${counted.key} > $1 ORDER BY ${counted.key} LIMIT ${rowsMax}`, after);
      if (keys.length > 0) await countHeld(tx, counted, keys);
      return keys.at(-1);
    });
  }
}

async function hold(tx: Tx, { table, key }: Counted, which: string, parameter: unknown): Promise<string[]> {
  const rows = await tx.query<{ key: string }>(`SELECT ${key} AS key FROM ${table} ${which} FOR NO KEY UPDATE`, [
    parameter,
  ]);
  return rows.map((row) => row.key);
}

/** Of rows that are held, by one statement, which sees one moment: what is being written now is in all of it, or in nothing. */
async function countHeld(tx: Tx, { table, key, counts, settle = [] }: Counted, keys: readonly string[]): Promise<void> {
  const sets = Object.values(counts).map(
    ({ column, rows }) =>
      `(${versionOf(column, 1)}, ${versionOf(column, 2)}) = (SELECT n, n FROM (${rows}) AS counted (n))`,
  );
  const settled = settle.map((statement, nth) => `settled_${nth} AS (${statement})`);
  const first = settled.length === 0 ? '' : `WITH ${settled.join(', ')} `;
  await tx.query(`${first}UPDATE ${table} t SET ${sets.join(', ')} WHERE t.${key} = ANY($1::uuid[])`, [keys]);
}

export const NIL = '00000000-0000-0000-0000-000000000000';
