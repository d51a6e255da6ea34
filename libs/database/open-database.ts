import { AdvancedConsoleLogger, DataSource, type DataSourceOptions } from 'typeorm';
import { silent, type Logger } from '#libs/telemetry';
import { Database } from './database.js';
import { pgDriver } from './driver.js';
import { openEmbedded } from './embedded/open-embedded.js';
import { DatabaseNotOpened } from './not-opened.js';
import { Replicas } from './replicas.js';

export interface OpenDatabaseOptions {
  readonly service: string;
  /** A PostgreSQL server. Absent: embedded, in `${dataDir}/${service}`. */
  readonly url?: string | undefined;
  readonly dataDir?: string | undefined;
  readonly entities: readonly Function[];
  readonly migrations: readonly Function[];
  readonly poolMax?: number | undefined;
  /** Of the server; absent: all is read from it alone. */
  readonly replicas?: { readonly urls: readonly string[]; readonly lagMaxMs: number } | undefined;
  /** For a command that loads or recounts much: its statements may take ten minutes. */
  readonly bulk?: boolean | undefined;
  readonly logger?: Logger | undefined;
}

/** Opens the store of one service and brings its tables up to date. */
export async function openDatabase(options: OpenDatabaseOptions): Promise<Database> {
  return options.url === undefined ? openInFolder(options) : openOnServer(options, options.url);
}

async function openInFolder(options: OpenDatabaseOptions): Promise<Database> {
  const { service, dataDir, logger = silent } = options;
  if (dataDir === undefined) throw new Error(`The database of ${service} needs a url or a dataDir`);
  const embedded = await openEmbedded(dataDir, service);
  let source: DataSource | undefined;
  try {
    let statements = 0;
    const busy =
      `Waited ${EMBEDDED_WAIT_MS.toLocaleString('en')} ms for the one connection to the embedded database of ${service}. Either it is busy, or this is a ` +
      'query outside the transaction it is in: inside transaction(tx => …) use tx, never the database.';
    const { driver, pool } = pgDriver({ onStatement: () => statements++, busy, stream: embedded.stream });
    source = new DataSource({
      ...common(options),
      driver,
      username: service,
      database: 'postgres',
      extra: { max: 1, idleTimeoutMillis: 0, connectionTimeoutMillis: EMBEDDED_WAIT_MS },
      poolErrorHandler: (error: Error) =>
        logger.error({ service, err: error }, 'Lost the connection to the embedded database'),
    });
    await source.initialize();
    await migrate(source);
    statements = 0;
    return new Database({
      service,
      kind: 'embedded',
      source,
      pool: pool(),
      logger,
      statements: () => statements,
      onClose: embedded.close,
    });
  } catch (error) {
    if (source?.isInitialized) await source.destroy();
    await embedded.close();
    throw error;
  }
}

/**
 * How long one waits for the one connection. Everybody else's work is before them in the same line, and on a busy machine a slice of it takes
 * seconds, so they wait for nearly as long as somebody waits for them: a gateway waits 3 s for a call (SUBGRAPH_TIMEOUT_MS). Half a second is left
 * for what is begun then, and for telling who waited in vain why; one told to wait less is not waited for, and writes are not begun for it
 * (Database.until).
 */
const EMBEDDED_WAIT_MS = 2_500;

async function openOnServer(options: OpenDatabaseOptions, url: string): Promise<Database> {
  const { service, logger = silent, poolMax = 10 } = options;
  try {
    await migrateOnServer(options, url);
    let statements = 0;
    const busy = `Waited 1,000 ms for one of the ${poolMax} connections to the database of ${service}`;
    const { driver, pool } = pgDriver({ onStatement: () => statements++, busy });
    const source = new DataSource({
      ...common(options),
      driver,
      url,
      extra: { ...TIMEOUTS, ...(options.bulk ? BULK_TIMEOUTS : {}), max: poolMax },
      poolErrorHandler: (error: Error) => logger.warn({ service, err: error }, 'Lost a connection to the database'),
    });
    await connected(source);
    statements = 0;
    const { urls = [], lagMaxMs = 0 } = options.replicas ?? {};
    const onStatement = (): void => void statements++;
    return new Database({
      service,
      kind: 'server',
      source,
      pool: pool(),
      logger,
      statements: () => statements,
      ...(urls.length === 0
        ? {}
        : { replicas: new Replicas({ service, primaryUrl: url, urls, poolMax, lagMaxMs, logger, onStatement }) }),
      onClose: async () => {},
    });
  } catch (cause) {
    const { host, pathname } = new URL(url);
    throw new DatabaseNotOpened(`The database of ${service} at ${host}${pathname}`, 'DATABASE_URL', { cause });
  }
}

/** A second is what a request waits for a connection; a start on a busy machine may take more of them. */
async function connected(source: DataSource): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    try {
      await source.initialize();
      return;
    } catch (error) {
      if (tries === CONNECT_TRIES || !/timeout/i.test(String((error as Error).message))) throw error;
    }
  }
}

const CONNECT_TRIES = 10;

/** No request waits longer for the database than the gateway waits for the service. */
const TIMEOUTS = {
  connectionTimeoutMillis: 1_000,
  statement_timeout: 2_000,
  query_timeout: 3_000,
  // Past deadlock_timeout, 1 s by default: a deadlock is to be told from a lock that is merely held.
  lock_timeout: 1_500,
  idle_in_transaction_session_timeout: 5_000,
  keepAlive: true,
  maxLifetimeSeconds: 300,
};

const BULK_TIMEOUTS = {
  connectionTimeoutMillis: 60_000,
  statement_timeout: 600_000,
  query_timeout: 601_000,
  lock_timeout: 60_000,
  idle_in_transaction_session_timeout: 60_000,
};

/**
 * On connections of their own: an index may take longer than a request may wait. Of several instances that start
 * together one migrates and the others wait for it.
 */
async function migrateOnServer(options: OpenDatabaseOptions, url: string): Promise<void> {
  const busy = `The migrations of ${options.service} found no connection`;
  const { driver } = pgDriver({ onStatement: () => {}, busy });
  const source = new DataSource({
    ...common(options),
    driver,
    url,
    extra: { max: 2, connectionTimeoutMillis: 5_000, lock_timeout: MIGRATION_LOCK_MS },
    logger: new Unsaid(false),
  });
  await source.initialize();
  try {
    await untilItsTurn(source);
    await migratePatiently(source, options);
  } finally {
    // Closing the connection frees the lock.
    await source.destroy();
  }
}

/**
 * Asks again and again instead of waiting in one statement: an index that is built concurrently waits for every statement that is
 * older than it, and would wait for one that waits for the lock.
 */
async function untilItsTurn(source: DataSource): Promise<void> {
  const runner = source.createQueryRunner();
  const deadline = performance.now() + TURN_MS;
  for (;;) {
    const [lock] = (await runner.query(`SELECT pg_try_advisory_lock(hashtext('tributary migrations')) AS held`)) as {
      held: boolean;
    }[];
    if (lock?.held) return;
    if (performance.now() > deadline) throw new Error('Another process has been migrating for ten minutes');
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

const TURN_MS = 600_000;

/**
 * Whoever waits for the lock of a whole table lets everybody else wait behind it, so a migration waits for a moment, and is tried again as
 * a whole; one without a transaction goes on where it was. A table that somebody dumps is held for as long as that takes.
 */
async function migratePatiently(source: DataSource, { service, logger = silent }: OpenDatabaseOptions): Promise<void> {
  // An index waits for older transactions in one statement, for as long as they take.
  const still = setInterval(
    () => logger.warn({ service }, 'A migration is still under way; it may wait for somebody (pg_stat_activity)'),
    STILL_MS,
  );
  try {
    for (let tries = 1; ; tries += 1) {
      try {
        return await migrate(source);
      } catch (error) {
        const { code } = error as { code?: unknown };
        if ((code !== '55P03' && code !== '40P01') || tries === TRIES_MAX) throw error;
        if (tries === 1)
          logger.warn({ service, err: error }, 'A migration waits for a table that somebody uses (pg_stat_activity)');
      }
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
  } finally {
    clearInterval(still);
  }
}

/** Whoever catches the error says it. */
class Unsaid extends AdvancedConsoleLogger {
  override logMigration(): void {}
}

/** Less than the second after which PostgreSQL looks for a deadlock: the migration is who gives way. */
const MIGRATION_LOCK_MS = 200;
const AGAIN_MS = 500;
/** Five minutes of waiting for tables; what an index waits for is not among them. */
const TRIES_MAX = 430;
const STILL_MS = 60_000;

async function migrate(source: DataSource): Promise<void> {
  await source.runMigrations({ transaction: 'each' });
}

function common(options: OpenDatabaseOptions) {
  return {
    type: 'postgres',
    entities: [...options.entities],
    migrations: [...options.migrations],
    logging: false,
    // PGlite has no uuid-ossp, and a service's role may not install anything.
    uuidExtension: 'pgcrypto',
    installExtensions: false,
  } as const satisfies Partial<DataSourceOptions>;
}
