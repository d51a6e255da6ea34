import type { Database } from '#libs/database';

/** Numbers that are kept beside the rows that they count. All are SQL written by us, never by a client. */
export interface Counted {
  readonly table: string;
  /** Its uuid. */
  readonly key: string;
  /** What is kept, by what clients call it, and what it must equal; `t` is the row. */
  readonly counts: Readonly<Record<string, { readonly column: string; readonly says?: string; readonly rows: string }>>;
  /** Statements that make the kept number everything there is, at the moment at which it is counted; $1: keys of rows that are held. */
  readonly settle?: readonly string[];
}

export interface Drift {
  readonly count: string;
  readonly key: string;
  readonly says: number;
  readonly counted: number;
}

type Store = Pick<Database, 'query' | 'transaction'>;

interface Options {
  /** Corrects what is wrong. */
  readonly mend: boolean;
  readonly onStep?: (rows: number) => void;
}

/** Rows of one statement. */
export const CHUNK = 1_000;

/**
 * Compares every kept count with COUNT(*). Both are read by one statement, so at one moment, and whoever changes the rows changes the
 * count in the same transaction: what differs is wrong, also while others write. It is mended under the lock that every writer
 * of the count takes.
 */
export async function reconcile(database: Store, counted: Counted, { mend, onStep }: Options): Promise<Drift[]> {
  const found: Drift[] = [];
  for (let after: string | undefined = NIL; after !== undefined;) {
    const { last, rows, drift } = await look(database, counted, after);
    found.push(...drift);
    if (mend && drift.length > 0) await correct(database, counted, keysOf(drift));
    if (rows > 0) onStep?.(rows);
    after = rows < CHUNK ? undefined : last;
  }
  return found;
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
  database: Store,
  { table, key, counts }: Counted,
  after: string,
  limit = CHUNK,
): Promise<{ last: string | undefined; rows: number; drift: Drift[] }> {
  const columns = Object.values(counts).map(
    ({ column, says = `t.${column}`, rows }, nth) => `${says} AS says_${nth}, (${rows})::int AS counted_${nth}`,
  );
  const rows = await database.query<Record<string, string | number>>(
    `SELECT t.${key} AS key, ${columns.join(', ')}
     FROM (SELECT * FROM ${table} WHERE ${key} > $1 ORDER BY ${key} LIMIT ${limit}) t ORDER BY t.${key}`,
    [after],
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

export async function correct(
  database: Store,
  { table, key, counts, settle = [] }: Counted,
  keys: string[],
): Promise<void> {
  await database.transaction(async (tx) => {
    // Held first; then everything by one statement, which sees one moment: what is being written now is in all of it, or in nothing.
    await tx.query(`SELECT FROM ${table} WHERE ${key} = ANY($1::uuid[]) ORDER BY ${key} FOR NO KEY UPDATE`, [keys]);
    const sets = Object.values(counts).map(({ column, rows }) => `${column} = (${rows})`);
    const settled = settle.map((statement, nth) => `settled_${nth} AS (${statement})`);
    const first = settled.length === 0 ? '' : `WITH ${settled.join(', ')} `;
    await tx.query(`${first}UPDATE ${table} t SET ${sets.join(', ')} WHERE t.${key} = ANY($1::uuid[])`, [keys]);
  });
}

export const NIL = '00000000-0000-0000-0000-000000000000';
