import type { Database } from '#libs/database';
import { CHUNK, correct, keysOf, look, NIL, type Counted } from './reconcile.js';

interface Options {
  /** Called after each step with how many rows it counted. */
  readonly onStep?: (rows: number) => void;
  /** Told once, at the beginning, how far an earlier process had come. */
  readonly onResume?: (rows: number) => void;
  readonly rowsMax?: number;
}

export interface Recounted {
  readonly rows: number;
  /** Counts that were wrong and are right now, with those of a process that was stopped. */
  readonly mended: number;
}

/**
 * Makes the counts of a table what their rows are. How far it is stands in `read_models`, so whoever is killed is gone on with; a step
 * that was done and not noted is done again, which changes nothing. Two at once do the same work twice.
 */
export async function recount(
  database: Database,
  counted: Counted,
  { onStep, onResume, rowsMax = CHUNK }: Options = {},
): Promise<Recounted> {
  const name = `counters:${counted.table}`;
  const begun = await begin(database, name);
  if (begun.rows > 0) onResume?.(begun.rows);
  let { rows: done, mended } = begun;
  for (let after: string | undefined = begun.cursor; after !== undefined;) {
    const { last, rows, drift } = await look(database, counted, after, rowsMax);
    if (drift.length > 0) await correct(database, counted, keysOf(drift));
    after = rows < rowsMax ? undefined : last;
    done += rows;
    mended += drift.length;
    await note(database, name, after, { rows, mended: drift.length });
    if (rows > 0) onStep?.(rows);
  }
  return { rows: done, mended };
}

/** Where somebody else stopped, or at the beginning. */
async function begin(database: Database, name: string): Promise<{ cursor: string; rows: number; mended: number }> {
  await database.query('INSERT INTO read_models (name) VALUES ($1) ON CONFLICT DO NOTHING', [name]);
  const [row] = await database.query<{ cursor: string; rows: string; mended: string }>(
    `UPDATE read_models SET phase = 'filling', began_at = CASE phase WHEN 'idle' THEN now() ELSE began_at END
     WHERE name = $1 RETURNING cursor, done::text AS rows, differing::text AS mended`,
    [name],
  );
  return { cursor: row?.cursor ?? NIL, rows: Number(row?.rows ?? 0), mended: Number(row?.mended ?? 0) };
}

async function note(database: Database, name: string, after: string | undefined, step: Recounted): Promise<void> {
  await database.query(
    after === undefined
      ? `UPDATE read_models SET phase = 'idle', cursor = '${NIL}', done = 0, differing = 0, refreshed_at = now() WHERE name = $1`
      : 'UPDATE read_models SET cursor = $2, done = done + $3, differing = differing + $4 WHERE name = $1',
    after === undefined ? [name] : [name, after, step.rows, step.mended],
  );
}
