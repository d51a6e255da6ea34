import type pg from 'pg';
import { setTimeout as sleep } from 'node:timers/promises';
import { Exhausted, type Deadline } from '#libs/failure';
import type { Logger } from '#libs/telemetry';
import { pgDriver } from './driver.js';
import { oneStatement } from './one-statement.js';
import { ReplicaAge } from './replica-age.js';
import { isLost, messageOf, sqlState } from './trouble.js';

export interface ReplicaOptions {
  readonly service: string;
  readonly url: string;
  readonly poolMax: number;
  /** ms: one that may lack what is older is not read. */
  readonly lagMaxMs: number;
  readonly logger: Logger;
  readonly onStatement: () => void;
  /** How far the primary is, of which cluster. */
  readonly primary: () => Promise<Standing>;
}

export interface Standing {
  /** LSN, in bytes. */
  readonly at: bigint;
  readonly cluster: string;
}

/**
 * One replica: its connections, and whether it may be read now. It is looked at by a connection of its own, again and again; nothing waits for
 * that, and until it was found good a few times in a row it is not read.
 */
export class Replica {
  /** host:port/database */
  readonly name: string;
  readonly #options: ReplicaOptions;
  readonly #pool: pg.Pool;
  readonly #looks: pg.Pool;
  readonly #age = new ReplicaAge();
  readonly #openedMs = performance.now();
  readonly #closing = new AbortController();
  /** When the server was started that a connection leads to. */
  readonly #serverOf = new WeakMap<pg.PoolClient, string>();
  readonly #watching: Promise<void>;
  /** The same of the server that was looked at. */
  #server: string | undefined;
  /** Of the primary. */
  #cluster: string | undefined;
  #goodLooks = 0;
  #isUsed = false;
  #said: string | undefined;
  #reads = 0;

  constructor(options: ReplicaOptions) {
    const { host, pathname } = new URL(options.url);
    this.#options = options;
    this.name = `${host}${pathname}`;
    this.#pool = openPool(options.url, { ...TIMEOUTS, max: options.poolMax }, options.onStatement);
    this.#looks = openPool(options.url, LOOKING);
    this.#watching = this.#watch();
  }

  /** It is used, and what it has is not older than it may be. */
  get isUsable(): boolean {
    const since = this.#age.freshAsOfMs;
    return this.#isUsed && since !== undefined && performance.now() - since <= this.#options.lagMaxMs;
  }

  /** Since when it may lack something; before anything is known, since it was opened. */
  get lagSeconds(): number {
    return (performance.now() - (this.#age.freshAsOfMs ?? this.#openedMs)) / 1_000;
  }

  /** Statements that it has answered. */
  get reads(): number {
    return this.#reads;
  }

  /** An error of any kind is nobody's answer: the primary is asked the same. */
  async query<Row>(
    text: string,
    values: readonly unknown[] | undefined,
    deadline: Deadline | undefined,
  ): Promise<Row[]> {
    try {
      const rows = await oneStatement<Row>(this.#pool, text, values, deadline, (client) => this.#check(client));
      this.#reads += 1;
      return rows;
    } catch (error) {
      if (isItsOwn(error)) this.#leave(`a statement failed there: ${messageOf(error)}`);
      throw error;
    }
  }

  async close(): Promise<void> {
    this.#isUsed = false;
    this.#closing.abort();
    await this.#watching;
    await Promise.all([this.#pool.end(), this.#looks.end()]);
  }

  /** A name may lead to another server than a moment ago, of which nothing is known. */
  async #check(client: pg.PoolClient): Promise<void> {
    let server = this.#serverOf.get(client);
    if (server === undefined) {
      const { rows } = await client.query<{ server: string }>(`SELECT ${SERVER} AS server`);
      server = rows[0]!.server;
      this.#serverOf.set(client, server);
    }
    if (server !== this.#server) throw new AnotherServer();
  }

  async #watch(): Promise<void> {
    const { signal } = this.#closing;
    const everyMs = Math.max(LOOK_MS_MIN, this.#options.lagMaxMs / 8);
    while (!signal.aborted) {
      const reason = await this.#look().catch((error: unknown) => `it cannot be asked: ${messageOf(error)}`);
      if (signal.aborted) return;
      if (reason === undefined) this.#isGood();
      else if (reason !== UNKNOWN) this.#leave(reason);
      await sleep(everyMs, undefined, { signal }).catch(() => {});
    }
  }

  /** Why it is not to be read; undefined: it may be. */
  async #look(): Promise<string | undefined> {
    const askedMs = performance.now();
    const marked = await this.#options.primary().catch((error: unknown) => messageOf(error));
    if (typeof marked !== 'string') {
      this.#cluster = marked.cluster;
      this.#age.mark({ askedMs, at: marked.at });
    }
    const [row] = await oneStatement<Look>(this.#looks, LOOK, undefined, undefined);
    const { at, cluster, server, follows } = row!;
    this.#server = server;
    if (!follows) return 'it takes writes itself, so it is no replica';
    if (at === null) return UNKNOWN;
    this.#age.replayed(BigInt(at));
    if (this.#cluster !== undefined && cluster !== this.#cluster) return 'it is a copy of another cluster';
    if (this.#age.isAhead) return 'it has what the primary has not, so it followed one that was replaced';
    const since = this.#age.freshAsOfMs;
    if (performance.now() - (since ?? this.#openedMs) <= this.#options.lagMaxMs)
      return since === undefined ? UNKNOWN : undefined;
    return typeof marked === 'string' ? `the primary cannot be asked how far it is: ${marked}` : 'it lags';
  }

  #isGood(): void {
    this.#goodLooks += 1;
    if (this.#isUsed || this.#goodLooks < GOOD_LOOKS) return;
    this.#isUsed = true;
    this.#said = undefined;
    this.#options.logger.info({ service: this.#options.service, replica: this.name }, 'A replica is read');
  }

  /** Once for each change: while it is out for one reason, nothing more is said. */
  #leave(reason: string): void {
    this.#goodLooks = 0;
    const isNew = this.#isUsed || this.#said === undefined;
    this.#isUsed = false;
    if (!isNew || this.#closing.signal.aborted) return;
    this.#said = reason;
    const { service, logger } = this.#options;
    logger.warn(
      { service, replica: this.name, reason, lagS: Math.round(this.lagSeconds * 10) / 10 },
      'A replica is not read; the primary is',
    );
  }
}

/** Opens nothing yet. */
export function openPool(url: string, options: pg.PoolConfig, onStatement: () => void = () => {}): pg.Pool {
  const { driver } = pgDriver({ onStatement, busy: 'No connection came free in time' });
  const pool = new driver.Pool({ connectionString: url, ...options });
  // An idle one that is lost is not there any more; whoever comes next is told by a statement.
  pool.on('error', () => {});
  return pool;
}

/** It, and not the statement or the crowd before it. */
function isItsOwn(error: unknown): boolean {
  if (error instanceof Exhausted) return false;
  const state = sqlState(error);
  // Canceled for what it had to replay (40001), or because it took longer than one may wait: it goes on.
  return state === undefined ? error instanceof AnotherServer || isLost(error) : /^(?:57P|53|08|XX|58)/.test(state);
}

class AnotherServer extends Error {
  constructor() {
    super('its name leads to another server than a moment ago');
  }
}

interface Look {
  readonly follows: boolean;
  /** Null: it has replayed nothing since it was started. */
  readonly at: string | null;
  readonly cluster: string;
  readonly server: string;
}

const SERVER = 'pg_postmaster_start_time()::text';
const CLUSTER = '(SELECT system_identifier FROM pg_control_system())::text';
const LOOK = `SELECT pg_is_in_recovery() AS follows, (pg_last_wal_replay_lsn() - '0/0')::text AS at, ${CLUSTER} AS cluster, ${SERVER} AS server`;
/** What a replica can have of what was acknowledged; with `synchronous_commit = off` up to three of `wal_writer_delay` less. */
export const PRIMARY_LOOK = `SELECT (pg_current_wal_flush_lsn() - '0/0')::text AS at, ${CLUSTER} AS cluster`;

/** It has not been asked often enough. */
const UNKNOWN = '';
/** In a row, before it is read again: one that fails now and then is not tried with every second read. */
const GOOD_LOOKS = 3;
const LOOK_MS_MIN = 25;

/** A gateway waits 3 s for a call, and the primary is to have most of it. */
const TIMEOUTS = {
  connectionTimeoutMillis: 500,
  statement_timeout: 1_000,
  query_timeout: 1_200,
  keepAlive: true,
  maxLifetimeSeconds: 300,
};

/** A name that leads to another server is noticed within that time also where the one before still answers. */
export const LOOKING = { ...TIMEOUTS, connectionTimeoutMillis: 1_000, max: 1, maxLifetimeSeconds: 15 };
