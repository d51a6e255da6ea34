import type { Duplex } from 'node:stream';
import pg from 'pg';
import { Exhausted } from '#libs/failure';
import { currentSpan } from '#libs/telemetry';
import { tracedStatement } from './traced-statement.js';
import { isReadOnly, isSilent, isStalePlan } from './trouble.js';

export interface DriverOptions {
  /** Called for each statement that is sent and does more than open or close a transaction. */
  readonly onStatement: () => void;
  /** What to say when no connection came free in time. */
  readonly busy: string;
  /** Another transport than TCP. */
  readonly stream?: () => Duplex;
}

/** `pg` in the shape that TypeORM's `driver` option takes, with statements counted, named and never waited for without end. */
export function pgDriver({ onStatement, busy, stream }: DriverOptions) {
  const pools: pg.Pool[] = [];

  class Client extends pg.Client {
    constructor(config: pg.ClientConfig) {
      super(stream === undefined ? config : { ...config, ssl: false, stream });
    }
  }

  class Pool extends pg.Pool {
    readonly #openedAt = new WeakMap<pg.PoolClient, number>();
    #leftAt = Number.NEGATIVE_INFINITY;

    constructor(config: pg.PoolConfig) {
      super({ ...config, Client: Client as unknown as new () => pg.ClientBase });
      const idle = new Set<pg.PoolClient>();
      this.on('acquire', (client) => idle.delete(client));
      this.on('release', (error, client) => {
        if (!error) idle.add(client);
        // Nobody may be there to hear that it ends.
        else if (stream === undefined) cut(client);
      });
      this.on('remove', (client) => idle.delete(client));
      this.on('connect', (client) => {
        this.#openedAt.set(client, performance.now());
        watch(client, { onStatement, onSilence: () => idle.forEach(forget), onReadOnly: () => this.#leave() });
      });
      pools.push(this);
    }

    override connect(): Promise<pg.PoolClient>;
    override connect(callback: Connected): void;
    override connect(callback?: Connected): Promise<pg.PoolClient> | void {
      if (callback !== undefined)
        return super.connect((error, client, done) => {
          if (client === undefined || !this.#isLeft(client))
            return callback(error && this.#explain(error), client, done);
          done(true);
          this.connect(callback);
        });
      return super.connect().then(
        (client) => {
          if (!this.#isLeft(client)) return client;
          client.release(true);
          return this.connect();
        },
        (error: Error) => {
          throw this.#explain(error);
        },
      );
    }

    /**
     * A write was refused as read only: these connections may lead to a primary that was replaced, and new ones to the one that takes its
     * place. None of them is lent again; whoever has one keeps it. A database may be read only on purpose, too: then each refused write
     * would be a new connection, so this is done once a second at most.
     */
    #leave(): void {
      const now = performance.now();
      if (stream === undefined && now - this.#leftAt > LEFT_AGAIN_MS) this.#leftAt = now;
    }

    #isLeft(client: pg.PoolClient): boolean {
      return this.#openedAt.get(client)! < this.#leftAt;
    }

    #explain(error: Error): Error {
      return error.message === 'timeout exceeded when trying to connect'
        ? new Exhausted(busy, { cause: error })
        : error;
    }
  }

  return {
    driver: { Client, Pool, defaults: pg.defaults, types: pg.types },
    pool(): pg.Pool {
      const [pool] = pools;
      if (pool === undefined) throw new Error('The database was not opened');
      return pool;
    },
  };
}

const LEFT_AGAIN_MS = 1_000;

type Connected = (
  error: Error | undefined,
  client: pg.PoolClient | undefined,
  done: (release?: unknown) => void,
) => void;

/** Of an idle one: the pool, which listens to it, has it no more from now on. */
function forget(client: pg.PoolClient): void {
  client.emit('error', new Error('Connection terminated: another one to this database leads nowhere'));
  cut(client);
}

/** Without a word to the other side, which would not hear it. */
function cut(client: pg.PoolClient): void {
  (client as unknown as { connection: { stream: Duplex } }).connection.stream.destroy();
}

let connections = 0;

/**
 * Names each parametrised text, so PostgreSQL parses and plans it once per connection: 120–200 µs instead of 295 for a
 * row by its key on the embedded database, 78 instead of 153 on a server.
 *
 * `onSilence`: this connection leads nowhere, so those that were opened before may not either. Found out one by one, each by a statement
 * that waits three seconds, ten of them kept a service from its database for half a minute (`npm run faults -- FD2-half`).
 */
function watch(
  client: pg.PoolClient,
  {
    onStatement,
    onSilence,
    onReadOnly,
  }: { readonly onStatement: () => void; readonly onSilence: () => void; readonly onReadOnly: () => void },
): void {
  // The pool listens to a connection only while nobody has it. One that is lost under a statement has told the statement;
  // unheard, its error event would end the whole process.
  client.on('error', () => {});
  const connection = ++connections;
  const names = new Map<string, string>();
  let named = 0;
  const send = client.query.bind(client) as (...args: unknown[]) => unknown;
  const query = (first: unknown, values?: unknown, callback?: unknown): unknown => {
    if (typeof first !== 'string' || !OPENS_OR_CLOSES.test(first)) onStatement();
    if (typeof first !== 'string' || !Array.isArray(values) || values.length === 0)
      return looked(send(first, values, callback));
    let name = names.get(first);
    if (name === undefined && names.size < NAMES_MAX) names.set(first, (name = `c${connection}_${named++}`));
    return looked(send(name === undefined ? { text: first, values } : { name, text: first, values }, callback));
  };
  client.query = ((first: unknown, values?: unknown, callback?: unknown) => {
    const span = currentSpan();
    return span === undefined || typeof first !== 'string'
      ? query(first, values, callback)
      : tracedStatement(span, first, () => query(first, values, callback));
  }) as typeof client.query;

  function looked(sent: unknown): unknown {
    return sent instanceof Promise ? sent.catch(failed) : sent;
  }

  function failed(error: unknown): never {
    if (isStalePlan(error)) names.clear();
    if (isSilent(error)) onSilence();
    if (isReadOnly(error)) onReadOnly();
    throw error;
  }
}

/** Per connection; what is beyond goes without a name. */
const NAMES_MAX = 300;
const OPENS_OR_CLOSES = /^\s*(?:BEGIN|START TRANSACTION|COMMIT|ROLLBACK|SAVEPOINT|RELEASE|SET)\b/i;
