import type { Tx } from '#libs/database';

/**
 * For an erasure that has forgotten all that it could see: somebody may have looked before the account was gone, and be about to write of
 * it. Whoever had an xid before they looked is over when all of this moment are; whatever else is open on the server has no more time
 * than this. `place`: '' at first, then what the last slice was answered. Undefined: now look once more.
 */
export async function othersOfNow(tx: Tx, place: string): Promise<string | undefined> {
  if (place === '') return currentXid(tx);
  const [xid = '', tries = '0'] = place.split(' ');
  if (Number(tries) >= TRIES || (await isOver(tx, xid))) return undefined;
  return `${xid} ${Number(tries) + 1}`;
}

async function currentXid(tx: Tx): Promise<string> {
  const [row] = await tx.query<{ xid: string }>('SELECT pg_current_xact_id()::text AS xid');
  return row?.xid ?? '';
}

/** Whether every transaction that had an xid when this one was given out is over. If not, a moment has passed. */
async function isOver(tx: Tx, xid: string): Promise<boolean> {
  const [row] = await tx.query<{ over: boolean }>(
    'SELECT pg_snapshot_xmin(pg_current_snapshot()) > $1::text::xid8 AS over',
    [xid],
  );
  if (!row?.over) await tx.query('SELECT pg_sleep(0.1)');
  return row?.over ?? false;
}

/** Half a minute: a statement of a service has 2 s, and 5 s until the next one. */
const TRIES = 300;
