import type { Tx } from '#libs/database';
import { versionOf } from './count-versions.js';
import { rowsOf, type Counted } from './reconcile.js';
import type { ReadModel, Slots, Step } from './rebuild.js';

/** Rows of one transaction. Who would change one of them meanwhile waits, or leaves a delta, for as long as these are counted. */
const ROWS_PER_STEP = 500;

/**
 * How the counts of a table are made anew beside those that answer. With its row held, a count is written by one statement, so what is
 * written and not yet committed is neither among the rows nor among the deltas that it sees, and comes into both versions later.
 * Nothing is emptied first: a version is written over, and only where it says something else.
 */
export function countersModel(counted: Counted, rowsMax = ROWS_PER_STEP): ReadModel {
  const { model, table, key, counts } = counted;
  return {
    name: model,
    keys: `rows of ${table}`,
    total: (database) => rowsOf(database, counted),
    clear: async () => {},
    async fill(tx, slot, after) {
      const held = await tx.query<{ id: string }>(
        `SELECT ${key} AS id FROM ${table} WHERE ${key} > $1 ORDER BY ${key} LIMIT ${rowsMax} FOR NO KEY UPDATE`,
        [after],
      );
      const ids = held.map(({ id }) => id);
      const last = ids.at(-1);
      if (last === undefined) return undefined;
      const columns = Object.values(counts).map(({ column }) => versionOf(column, slot));
      const values = Object.values(counts).map(
        ({ rows, pending = '0' }, nth) => `(${rows}) - (${pending}) AS counted_${nth}`,
      );
      const each = (line: (column: string, nth: number) => string, between: string): string =>
        columns.map(line).join(between);
      await tx.query(
        `UPDATE ${table} SET ${each((column, nth) => `${column} = n.counted_${nth}`, ', ')}
         FROM (SELECT t.${key} AS id, ${values.join(', ')} FROM ${table} t WHERE t.${key} = ANY($1::uuid[])) n
         WHERE ${table}.${key} = n.id AND (${each((column, nth) => `${table}.${column} IS DISTINCT FROM n.counted_${nth}`, ' OR ')})`,
        [ids],
      );
      return { last, keys: ids.length, rows: ids.length, end: ids.length < rowsMax };
    },
    compare: (tx, slots, after) => compareCounts(tx, counted, slots, after, rowsMax),
  };
}

/** Both versions with each other and with the rows, at one moment. */
async function compareCounts(
  tx: Tx,
  { table, key, counts }: Counted,
  { serving, building }: Slots,
  after: string,
  rowsMax: number,
): Promise<(Step & { readonly differing: readonly string[] }) | undefined> {
  const kept = Object.values(counts).map(
    ({ column, rows, pending = '0' }, nth) =>
      `t.${versionOf(column, serving)} AS here_${nth}, t.${versionOf(column, building)} AS there_${nth}, (${rows}) - (${pending}) AS is_${nth}`,
  );
  const same = kept.map(
    (_, nth) => `here_${nth} IS NOT DISTINCT FROM is_${nth} AND there_${nth} IS NOT DISTINCT FROM is_${nth}`,
  );
  const found = await tx.query<{ id: string; same: boolean }>(
    `SELECT id, ${same.join(' AND ')} AS same FROM (
       SELECT t.${key} AS id, ${kept.join(', ')}
       FROM (SELECT * FROM ${table} WHERE ${key} > $1 ORDER BY ${key} LIMIT ${rowsMax}) t
     ) k ORDER BY id`,
    [after],
  );
  const last = found.at(-1)?.id;
  if (last === undefined) return undefined;
  const differing = found.filter((row) => !row.same).map(({ id }) => id);
  return { last, keys: found.length, rows: found.length, end: found.length < rowsMax, differing };
}
