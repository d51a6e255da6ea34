import pg from 'pg';
import { pgDriver } from './driver.js';
import { oneStatement } from './one-statement.js';

/** How far a primary is. */
export interface Standing {
  /** LSN, in bytes: what was acknowledged is before it. With `synchronous_commit = off` up to three of `wal_writer_delay` is not. */
  readonly at: bigint;
  /** Of which cluster it is; all copies of it say the same. */
  readonly cluster: string;
}

/** How far a replica is. */
export interface Look {
  /** False: it takes writes itself. */
  readonly follows: boolean;
  /** What it has replayed; undefined: nothing since it was started. */
  readonly at: bigint | undefined;
  readonly cluster: string;
  /** When it was started: which server it is, wherever its name leads. */
  readonly server: string;
}

export async function lookAtPrimary(pool: pg.Pool): Promise<Standing> {
  const [row] = await oneStatement<{ at: string; cluster: string }>(pool, PRIMARY, undefined, undefined);
  return { at: BigInt(row!.at), cluster: row!.cluster };
}

export async function lookAtReplica(pool: pg.Pool): Promise<Look> {
  const [row] = await oneStatement<Omit<Look, 'at'> & { at: string | null }>(pool, REPLICA, undefined, undefined);
  return { ...row!, at: row!.at === null ? undefined : BigInt(row!.at) };
}

/** Which server a connection leads to. */
export async function serverOf(client: pg.PoolClient): Promise<string> {
  const { rows } = await client.query<{ server: string }>(`SELECT ${SERVER} AS server`);
  return rows[0]!.server;
}

const SERVER = 'pg_postmaster_start_time()::text';
const CLUSTER = '(SELECT system_identifier FROM pg_control_system())::text';
const PRIMARY = `SELECT (pg_current_wal_flush_lsn() - '0/0')::text AS at, ${CLUSTER} AS cluster`;
const REPLICA = `SELECT pg_is_in_recovery() AS follows, (pg_last_wal_replay_lsn() - '0/0')::text AS at, ${CLUSTER} AS cluster, ${SERVER} AS server`;

/** Opens nothing yet. */
export function openPool(url: string, options: pg.PoolConfig, onStatement: () => void = () => {}): pg.Pool {
  const { driver } = pgDriver({ onStatement, busy: 'No connection came free in time' });
  const pool = new driver.Pool({ connectionString: url, ...TIMEOUTS, ...options });
  // An idle one that is lost is not there any more; whoever comes next is told by a statement.
  pool.on('error', () => {});
  return pool;
}

/** For looking only. */
export function openLooks(url: string): pg.Pool {
  // A name that leads to another server is noticed within that time also where the one before still answers.
  return openPool(url, { connectionTimeoutMillis: 1_000, max: 1, maxLifetimeSeconds: 15 });
}

/** How long one waits for a free connection to a replica. */
export const CONNECTION_WAIT_MS = 500;
/** A gateway waits 3 s for a call, and the primary is to have most of it. */
const TIMEOUTS = {
  connectionTimeoutMillis: CONNECTION_WAIT_MS,
  statement_timeout: 1_000,
  query_timeout: 1_200,
  keepAlive: true,
  maxLifetimeSeconds: 300,
};
