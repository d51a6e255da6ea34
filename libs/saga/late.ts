import type { Tx } from '#libs/database';

/** How an erasure's cursor begins while it waits for others: with a space, then what `othersOfNow` answered. Alone: not yet. */
export const LATE = 'late';

/**
 * For an erasure that has forgotten all that it could see: somebody may have looked before the account was gone, and be about to write of
 * it. Whoever had an xid before they looked is over when all of this moment are; whatever else is open on the server has no more time
 * than half a minute. `place`: '' at first, then what the last slice was answered. Undefined: now look once more.
 */
export async function othersOfNow(tx: Tx, place: string): Promise<string | undefined> {
  if (place === '') return moment(tx);
  const [xid = '', began = '0'] = place.split(' ');
  const [now] = await tx.query<{ ms: number; isOver: boolean }>(
    `SELECT ${NOW_MS} AS ms, pg_snapshot_xmin(pg_current_snapshot()) > $1::text::xid8 AS "isOver"`,
    [xid],
  );
  if (now === undefined || now.isOver) return undefined;
  // One of before counted its tries; its half minute begins now.
  const beganMs = Number(began) < TRIES_MAX ? now.ms : Number(began);
  if (now.ms - beganMs > WAIT_MS) return undefined;
  await tx.query('SELECT pg_sleep(0.1)');
  return `${xid} ${beganMs}`;
}

async function moment(tx: Tx): Promise<string> {
  const [row] = await tx.query<{ xid: string; ms: number }>(
    `SELECT pg_current_xact_id()::text AS xid, ${NOW_MS} AS ms`,
  );
  return row === undefined ? '' : `${row.xid} ${row.ms}`;
}

const NOW_MS = 'floor(extract(epoch FROM clock_timestamp()) * 1000)::float8';
/** A statement of a service has 2 s, and 5 s until the next one. By the clock: of many erasures each has a slice in turn. */
const WAIT_MS = 30_000;
/** More than such a cursor has counted. */
const TRIES_MAX = 1_000;
