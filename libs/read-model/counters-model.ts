import type { Tx } from '#libs/database';
import { versionOf } from './count-versions.js';
import { rowsOf, type Counted } from './reconcile.js';
import type { ReadModel, Slots, Step } from './rebuild.js';

/** Rows of one transaction. Who would change one that is to be written waits, or leaves a delta, for as long as these are counted. */
const ROWS_PER_STEP = 500;

/**
 * How the counts of a table are made anew beside those that answer. With its row held, a count is written by one statement, so what is
 * written and not yet committed is neither among the rows nor among the deltas that it sees, and comes into both versions later.
 * Nothing is emptied first: a version is written over, and only where it says something else. What is right when it is looked at, which
 * holds nothing, stays right: whoever changes the rows changes it too.
 */
export function countersModel(counted: Counted, keysPerStep = ROWS_PER_STEP): ReadModel {
  const { model, table, key, counts } = counted;
  return {
    name: model,
    keys: `rows of ${table}`,
    keysPerStep,
    total: (database) => rowsOf(database, counted),
    clear: async () => {},
    async fill(tx, slot, after, keysMax) {
      const columns = Object.values(counts).map(({ column }) => versionOf(column, slot));
      const numbers = Object.values(counts).map(({ rows, pending = '0' }) => `(${rows}) - (${pending})`);
      const values = numbers.map((number, nth) => `${number} AS counted_${nth}`);
      // What was never built is not counted for this.
      const wrong = columns.map((column, nth) => `t.${column} IS NULL OR t.${column} <> ${numbers[nth]}`);
      const seen = await tx.query<{ id: string; wrong: boolean }>(
        `SELECT t.${key} AS id, ${wrong.join(' OR ')} AS wrong
         FROM (SELECT * FROM ${table} WHERE ${key} > $1 ORDER BY ${key} LIMIT ${keysMax}) t ORDER BY t.${key}`,
        [after],
      );
      const last = seen.at(-1)?.id;
      if (last === undefined) return undefined;
      const done: Step = { last, keys: seen.length, rows: seen.length, end: seen.length < keysMax };
      const ids = seen.filter((row) => row.wrong).map(({ id }) => id);
      if (ids.length === 0) return done;
      await tx.query(`SELECT FROM ${table} WHERE ${key} = ANY($1::uuid[]) ORDER BY ${key} FOR NO KEY UPDATE`, [ids]);
      const each = (line: (column: string, nth: number) => string, between: string): string =>
        columns.map(line).join(between);
      await tx.query(
        `UPDATE ${table} SET ${each((column, nth) => `${column} = n.counted_${nth}`, ', ')}
         FROM (SELECT t.${key} AS id, ${values.join(', ')} FROM ${table} t WHERE t.${key} = ANY($1::uuid[])) n
         WHERE ${table}.${key} = n.id AND (${each((column, nth) => `${table}.${column} IS DISTINCT FROM n.counted_${nth}`, ' OR ')})`,
        [ids],
      );
      return done;
    },
    compare: (tx, slots, after, keysMax) => compareCounts(tx, counted, slots, after, keysMax),
  };
}

/** Both versions with each other and with the rows, at one moment. */
async function compareCounts(
  tx: Tx,
  { table, key, counts }: Counted,
  { serving, building }: Slots,
  after: string,
  keysMax: number,
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
       FROM (SELECT * FROM ${table} WHERE ${key} > $1 ORDER BY ${key} LIMIT ${keysMax}) t
     ) k ORDER BY id`,
    [after],
  );
  const last = found.at(-1)?.id;
  if (last === undefined) return undefined;
  const differing = found.filter((row) => !row.same).map(({ id }) => id);
  return { last, keys: found.length, rows: found.length, end: found.length < keysMax, differing };
}
