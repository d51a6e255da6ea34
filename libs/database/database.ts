import pg from 'pg';
import type { DataSource, EntityManager, QueryRunner } from 'typeorm';
import { crashPoint } from '#libs/crash-point';
import type { DomainEvent } from '#libs/events';
import type { Deadline } from '#libs/failure';
import type { Logger } from '#libs/telemetry';
import { FullDisk } from './full-disk.js';
import { oneStatement, rowsOf } from './one-statement.js';
import type { Replica } from './replica.js';
import type { Asker, Reader, Replicas } from './replicas.js';
import { asTrouble, isConflict, isDiskFull, isLost, isStalePlan } from './trouble.js';

export interface Statements {
  /** One statement, its values as `$1`, `$2`, …; the rows that it answers. */
  query<Row = Record<string, unknown>>(text: string, values?: readonly unknown[]): Promise<Row[]>;
}

/** An open transaction. Everything that belongs to it goes through it, never through the `Database`. */
export interface Tx extends Statements {
  /** Of its store. Embedded there is one connection: nobody else reads before it is over. */
  readonly kind: 'embedded' | 'server';
  readonly manager: EntityManager;
  /** What was recorded or heard in this transaction: told to the listeners after COMMIT. */
  readonly events: DomainEvent[];
  /** What was found to be as asked already, by the event that made it so: its writer is to be shown it as if it had been recorded here. */
  readonly found: Recorded[];
  /** With `withinMs`, a statement that may take longer than a request waits: nobody's request is to wait for it. */
  query<Row = Record<string, unknown>>(text: string, values?: readonly unknown[], withinMs?: number): Promise<Row[]>;
}

/** An event that was recorded, by its place. */
export type Recorded = Pick<DomainEvent, 'source' | 'aggregate' | 'aggregateVersion'>;

export type CommitListener = (events: readonly DomainEvent[]) => Promise<void>;

export interface DatabaseParts {
  readonly service: string;
  readonly kind: 'embedded' | 'server';
  readonly source: DataSource;
  readonly pool: pg.Pool;
  readonly logger: Logger;
  readonly statements: () => number;
  /** Absent: there are none. */
  readonly replicas?: Replicas | undefined;
  readonly onClose: () => Promise<void>;
}

/** The store of one service. */
export class Database implements Statements {
  readonly service: string;
  readonly kind: 'embedded' | 'server';
  readonly source: DataSource;
  readonly #parts: DatabaseParts;
  readonly #listeners: CommitListener[] = [];
  readonly #fullDisk: FullDisk;
  #closing: Promise<void> | undefined;

  constructor(parts: DatabaseParts) {
    this.service = parts.service;
    this.kind = parts.kind;
    this.source = parts.source;
    this.#parts = parts;
    this.#fullDisk = new FullDisk(parts.service, parts.logger);
  }

  /** Statements sent since it was opened; transaction control and migrations do not count. */
  get statements(): number {
    return this.#parts.statements();
  }

  /** Of the pool, now. */
  get connections(): { readonly used: number; readonly idle: number; readonly waiting: number } {
    const { totalCount, idleCount, waitingCount } = this.#parts.pool;
    return { used: totalCount - idleCount, idle: idleCount, waiting: waitingCount };
  }

  /** Of this database; empty where no setting names one. */
  get replicas(): readonly Replica[] {
    return this.#parts.replicas?.all ?? [];
  }

  query<Row = Record<string, unknown>>(text: string, values?: readonly unknown[]): Promise<Row[]> {
    return this.#query<Row>(text, values, undefined);
  }

  async #query<Row>(
    text: string,
    values: readonly unknown[] | undefined,
    deadline: Deadline | undefined,
  ): Promise<Row[]> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await oneStatement<Row>(this.#parts.pool, text, values, deadline);
      } catch (error) {
        if (attempt > RETRIES_MAX || !isStalePlan(error)) throw this.#trouble(error);
      }
    }
  }

  /**
   * Runs `work` in one READ COMMITTED transaction. When PostgreSQL gave up on it for another's sake (a deadlock, a
   * serialization failure) it runs again, at most three times more, so `work` must do nothing outside the transaction.
   */
  transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    return this.#transaction(work, undefined);
  }

  async #transaction<T>(work: (tx: Tx) => Promise<T>, deadline: Deadline | undefined): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#attempt(work, deadline);
      } catch (error) {
        if (attempt > RETRIES_MAX || !isConflict(error)) throw this.#trouble(error);
      }
    }
  }

  /**
   * The same for somebody who waits only so long. What is not begun by then, because it waited for a connection, is SUBGRAPH_TIMEOUT; what
   * is begun goes on to its end.
   */
  until(deadline: Deadline | undefined): Pick<Database, 'query' | 'transaction'> {
    if (deadline === undefined) return this;
    return {
      query: (text, values) => this.#query(text, values, deadline),
      transaction: (work) => this.#transaction(work, deadline),
    };
  }

  /**
   * For what is read for this asker alone, outside a transaction: from a replica, where there is one that is fresh enough and the asker may be
   * shown what it has; else as `until` does. What fills a cache, and whatever decides something, is read by `query`.
   */
  reader(asked: Asker): Reader {
    const primary = this.until(asked.deadline);
    const { replicas } = this.#parts;
    return replicas === undefined || asked.mayLag !== true ? primary : replicas.reader(asked, primary);
  }

  /** `listener` hears the events of every transaction once it is committed, before `transaction()` answers. */
  afterCommit(listener: CommitListener): void {
    this.#listeners.push(listener);
  }

  close(): Promise<void> {
    this.#closing ??= (async () => {
      this.#fullDisk.close();
      await this.#parts.replicas?.close();
      await this.source.destroy();
      await this.#parts.onClose();
    })();
    return this.#closing;
  }

  async #attempt<T>(work: (tx: Tx) => Promise<T>, deadline: Deadline | undefined): Promise<T> {
    deadline?.require();
    const runner = this.source.createQueryRunner();
    const events: DomainEvent[] = [];
    let isOver = false;
    let result: T;
    try {
      const client = (await runner.connect()) as pg.PoolClient;
      deadline?.require();
      crashPoint('begin:before');
      await runner.startTransaction().catch((error: unknown) => {
        if (isLost(error)) spoil(client, error);
        throw error;
      });
      const query: Tx['query'] = async (text, values, withinMs) => {
        // The connection is somebody else's by then.
        if (isOver) throw new Error('This transaction is over; a query in it was not awaited');
        return withinMs === undefined ? rowsOf(client, text, values) : slowly(client, text, values, withinMs);
      };
      try {
        result = await work({ kind: this.kind, manager: runner.manager, events, found: [], query });
      } catch (error) {
        isOver = true;
        await rollBack(client, runner, error);
        throw error;
      }
      isOver = true;
      await this.#commit(client, events);
    } finally {
      await runner.release();
    }
    await this.#tell(events);
    return result;
  }

  /** By the client, because the query runner does not look at the answer. */
  async #commit(client: pg.PoolClient, events: readonly DomainEvent[]): Promise<void> {
    crashPoint('commit:before');
    try {
      const { command } = await client.query('COMMIT');
      // PostgreSQL answers the COMMIT of a failed transaction with a ROLLBACK, and no error.
      if (command !== 'COMMIT') throw new Error(SWALLOWED);
    } catch (error) {
      // Without an answer it may well be committed, and to hear of a fact that was not is harmless: caches are dropped
      // for nothing and the outbox is looked at in vain. Not to hear of one that was leaves old rows cached.
      if (isLost(error)) {
        spoil(client, error);
        await this.#tell(events);
      }
      throw error;
    }
    crashPoint('commit:after');
  }

  #trouble(error: unknown): unknown {
    if (isDiskFull(error)) this.#fullDisk.met(error);
    return asTrouble(error);
  }

  async #tell(events: readonly DomainEvent[]): Promise<void> {
    if (events.length === 0) return;
    const told = await Promise.allSettled(this.#listeners.map(async (listener) => listener(events)));
    for (const one of told) {
      if (one.status === 'rejected') {
        this.#parts.logger.error({ service: this.service, err: one.reason }, 'A listener failed after commit');
      }
    }
  }
}

const RETRIES_MAX = 3;
const SWALLOWED = 'A statement failed in this transaction and its error was swallowed; nothing was stored';

/** A connection that cannot even roll back is broken: said so, the pool drops it instead of lending it again. */
async function rollBack(client: pg.PoolClient, runner: QueryRunner, reason: unknown): Promise<void> {
  if (!isLost(reason)) {
    const rolledBack = await runner.rollbackTransaction().then(
      () => true,
      () => false,
    );
    if (rolledBack) return;
  }
  spoil(client, reason);
}

/** The query runner returns it as broken: as a good one the pool would lend it first, again and again, three seconds each. */
function spoil(client: pg.PoolClient, reason: unknown): void {
  client.emit('error', reason instanceof Error ? reason : new Error(String(reason)));
}

/** The server ends it in time; the client, which would give the connection up, a second later. */
async function slowly<Row>(
  client: pg.ClientBase,
  text: string,
  values: readonly unknown[] = [],
  withinMs: number,
): Promise<Row[]> {
  await client.query(`SET LOCAL statement_timeout = ${Math.ceil(withinMs)}`);
  const config = { text, values: values as unknown[], query_timeout: withinMs + 1_000 };
  const { rows } = await client.query<pg.QueryResultRow>(config);
  await client.query('SET LOCAL statement_timeout TO DEFAULT');
  return rows as Row[];
}
