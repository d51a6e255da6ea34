import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { createConnection, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { silent } from '#libs/telemetry';
import { startFaultProxy } from '../../test/servers/fault-proxy.js';
import { withServer } from '../../test/servers/needs.js';
import { databaseContract, tables } from './database.contract.js';
import type { MigrationInterface, QueryRunner } from 'typeorm';
import { buildIndex, openDatabase, provisionServices, type Database } from './index.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tributary-database-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

databaseContract('embedded', () => openDatabase({ service: 'users', dataDir: folder, ...tables }));

describe('an embedded database', () => {
  let database: Database;
  beforeAll(async () => {
    database = await openDatabase({ service: 'posts', dataDir: folder, ...tables });
  });
  afterAll(() => database.close());

  it('is used as the role of its service, which owns it and is no superuser', async () => {
    const [row] = await database.query(
      `SELECT current_user AS me, session_user AS session, rolsuper AS super,
         (SELECT tableowner FROM pg_tables WHERE tablename = 'accounts') AS owner FROM pg_roles WHERE rolname = current_user`,
    );
    expect(row).toEqual({ me: 'posts', session: 'posts', super: false, owner: 'posts' });
    await expect(database.query('CREATE ROLE other')).rejects.toMatchObject({ code: '42501' });
  });

  it('answers a query outside the transaction it is in after a while, with a message that says so', async () => {
    const waiting = database.transaction(async () => database.query('SELECT 1'));
    await expect(waiting).rejects.toMatchObject({
      code: 'OVERLOADED',
      message: expect.stringContaining('query outside the transaction it is in'),
    });
    expect(await database.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });
});

withServer('postgres', 'a database on a server', (adminUrl) => {
  let url: string;
  let prefix: string;
  let admin: Database;

  beforeAll(async () => {
    prefix = `t${randomUUID().slice(0, 8)}_`;
    url = (await provisionServices(adminUrl, ['users'], { users: 'secret' }, { prefix }))['users']!;
    admin = await openDatabase({ service: 'admin', url: adminUrl, entities: [], migrations: [] });
    // So a deadlock is found long before a wait for a lock ends, however slow the machine is.
    await admin.query(`ALTER ROLE ${prefix}users SET deadlock_timeout = '50ms'`);
  });

  afterAll(async () => {
    await admin.query(`DROP DATABASE ${prefix}users WITH (FORCE)`);
    await admin.query(`DROP ROLE ${prefix}users`);
    await admin.close();
  });

  databaseContract('on a server', () => openDatabase({ service: 'users', url, ...tables }));

  /** Two connections, no rows. */
  const opened = async (at = url): Promise<Database> => {
    const database = await openDatabase({ service: 'users', url: at, ...tables, poolMax: 2 });
    await database.query('DELETE FROM accounts');
    return database;
  };

  it('whose open connections all lead nowhere is found by one statement that waits, not by one for each of them', async () => {
    const { hostname, port } = new URL(url);
    const door = await startFaultProxy({ host: hostname, port: Number(port) });
    const through = Object.assign(new URL(url), { hostname: '127.0.0.1', port: String(door.port) }).href;
    const database = await openDatabase({ service: 'users', url: through, ...tables, poolMax: 3 });
    const naive = new pg.Pool({ connectionString: through, max: 3 });
    const threeOf = async (query: (text: string) => Promise<unknown>) =>
      Promise.all(Array.from({ length: 3 }, () => query('SELECT pg_sleep(0.1)')));
    const failures = async (query: (text: string) => Promise<unknown>): Promise<number> => {
      for (let failed = 0; ; failed += 1) {
        const isAnswered = await query('SELECT 1').then(
          () => true,
          () => false,
        );
        if (isAnswered) return failed;
      }
    };
    try {
      await threeOf((text) => database.query(text));
      await threeOf((text) => naive.query(text));
      door.forgetOpen();
      expect(await failures((text) => database.query(text))).toBe(1);
      // (control) A pool that waits for each of them.
      const waits = (text: string) => naive.query({ text, query_timeout: 300 } as pg.QueryConfig);
      expect(await failures(waits)).toBeGreaterThanOrEqual(3);
      // Nor by one transaction after another, whether it finds out at its BEGIN or at its COMMIT.
      await threeOf((text) => database.query(text));
      door.forgetOpen();
      expect(await failures((text) => database.transaction((tx) => tx.query(text)))).toBe(1);
      const uncertain = database.transaction(async (tx) => {
        await tx.query('SELECT 1');
        door.forgetOpen();
      });
      await expect(uncertain).rejects.toMatchObject({ code: 'SUBGRAPH_TIMEOUT' });
      expect(await failures((text) => database.transaction((tx) => tx.query(text)))).toBe(0);
    } finally {
      naive.on('error', () => {});
      await door.close();
      await database.close();
      await naive.end();
    }
  });

  it('that was replaced is left at the first write that it refuses (control: a pool that keeps what was merely refused)', async () => {
    // As after a failover: what is open leads to what takes no writes any more, what is new does not.
    const demote = `SELECT set_config('default_transaction_read_only', 'on', false), pg_sleep(0.1)`;
    const insert = 'INSERT INTO accounts SELECT coalesce(max(id), 0) + 1, 0 FROM accounts';
    const database = await opened();
    const plain = new pg.Pool({ connectionString: url, max: 2 });
    const refusalsOfFour = async (write: () => Promise<unknown>): Promise<number> => {
      let refused = 0;
      for (let nth = 0; nth < 4; nth += 1) await write().catch(() => (refused += 1));
      return refused;
    };
    try {
      await Promise.all([1, 2].map(() => database.query(demote)));
      await Promise.all([1, 2].map(() => plain.query(demote)));
      expect(await refusalsOfFour(() => database.transaction((tx) => tx.query(insert)))).toBe(1);
      expect(await database.query('SELECT count(*)::int AS written FROM accounts')).toEqual([{ written: 3 }]);
      const kept = async () => {
        const client = await plain.connect();
        await client.query(insert).finally(() => client.release());
      };
      expect(await refusalsOfFour(kept)).toBe(4);
    } finally {
      await plain.end();
      await database.close();
    }
  });

  it('that is read only on purpose is connected to anew once a second, and written to soon after that is over', async () => {
    const database = await opened();
    const naive = new pg.Pool({ connectionString: url, max: 2 });
    const insert = 'INSERT INTO accounts VALUES (1, 1)';
    const backend = 'SELECT pg_backend_pid() AS pid';
    await admin.query(`ALTER ROLE ${prefix}users SET default_transaction_read_only = on`);
    const began = performance.now();
    try {
      const asked = new Set<unknown>();
      await database.query('SET default_transaction_read_only = on');
      for (let nth = 0; nth < 20; nth += 1) {
        await expect(database.query(insert)).rejects.toMatchObject({ code: 'SUBGRAPH_UNAVAILABLE' });
        asked.add((await database.query(backend))[0]!['pid']);
      }
      expect(asked.size).toBeLessThanOrEqual(1 + Math.ceil((performance.now() - began) / 1_000));

      // (control) Whoever gives up the connection of each refused write.
      const asks = new Set<unknown>();
      for (let nth = 0; nth < 20; nth += 1) {
        const client = await naive.connect();
        asks.add((await client.query<{ pid: number }>(backend)).rows[0]!.pid);
        client.release(
          await client.query(insert).then(
            () => false,
            () => true,
          ),
        );
      }
      expect(asks.size).toBe(20);

      await admin.query(`ALTER ROLE ${prefix}users RESET default_transaction_read_only`);
      const isWritten = () =>
        database.query(insert).then(
          () => true,
          () => false,
        );
      const over = performance.now();
      while (!(await isWritten())) await new Promise((resolve) => setTimeout(resolve, 20));
      // At most a second, and here a busy machine's; by themselves connections live for 300 s.
      expect(performance.now() - over).toBeLessThan(30_000);
    } finally {
      await admin.query(`ALTER ROLE ${prefix}users RESET default_transaction_read_only`);
      await naive.end();
      await database.close();
    }
  });

  it('ends a transaction that waits for its client for too long, and others get what it had locked', async () => {
    const ended = new URL(url);
    ended.searchParams.set('idle_in_transaction_session_timeout', '150');
    const [database, short] = [await opened(), await openDatabase({ service: 'users', url: ended.href, ...tables })];
    const plain = new pg.Client({ connectionString: url });
    await plain.connect();
    const shown = `SELECT current_setting('idle_in_transaction_session_timeout') AS after`;
    const locked = 'SELECT FROM accounts WHERE id = 1 FOR UPDATE';
    const wait = `SET LOCAL lock_timeout = '600ms'`;
    try {
      expect([await database.query(shown), await short.query(shown)]).toEqual([
        [{ after: '5s' }],
        [{ after: '150ms' }],
      ]);
      await database.query('INSERT INTO accounts VALUES (1, 1)');
      const forgotten = short.transaction(async (tx) => {
        await tx.query(locked);
        // Somebody else waits for the row, and has it before this one goes on.
        await database.transaction((other) => other.query(locked));
        await tx.query('UPDATE accounts SET balance = 2');
      });
      await expect(forgotten).rejects.toMatchObject({ code: 'SUBGRAPH_UNAVAILABLE' });
      expect(await short.query('SELECT balance FROM accounts')).toEqual([{ balance: 1 }]);

      // (control) PostgreSQL as it comes waits for its client without end.
      await plain.query('BEGIN');
      await plain.query(locked);
      const waits = database.transaction(async (tx) => {
        await tx.query(wait);
        await tx.query(locked);
      });
      await expect(waits).rejects.toMatchObject({ code: 'OVERLOADED' });
      await plain.query('ROLLBACK');
    } finally {
      await plain.end();
      await Promise.all([short.close(), database.close()]);
    }
  });

  it('is migrated once by several that start together', async () => {
    const databases = await Promise.all(
      Array.from({ length: 4 }, () => openDatabase({ service: 'users', url, ...tables })),
    );
    const [row] = await databases[0]!.query<{ n: number }>('SELECT count(*)::int AS n FROM migrations');
    expect(row?.n).toBe(1);
    await Promise.all(databases.map((database) => database.close()));
  });

  it('an index is built while others write and start; what was left invalid is built again', async () => {
    const database = await opened();
    let triedAgain = 0;
    const logger = { ...silent, warn: () => void triedAgain++ } as typeof silent;
    const indexed = () =>
      openDatabase({ service: 'users', url, ...tables, migrations: [...tables.migrations, Indexed1], logger });
    // The index waits for who has written before it was begun.
    const endWriting = await leftOpen(database, 'INSERT INTO accounts VALUES (11, 1)');
    const opening = [indexed(), indexed()];
    const building = `SELECT FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CONCURRENTLY%' AND datname = current_database()`;
    while ((await database.query(building)).length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
    await database.query('INSERT INTO accounts VALUES (12, 1)');
    // Longer than a migration waits for the lock of a table.
    await new Promise((resolve) => setTimeout(resolve, 400));
    await endWriting();
    for (const one of await Promise.all(opening)) await one.close();
    const isValid = `SELECT indisvalid AS valid FROM pg_index WHERE indexrelid = 'accounts_by_balance'::regclass`;
    expect(await database.query(isValid)).toEqual([{ valid: true }]);
    expect(triedAgain).toBe(0);

    // As it is left by whoever is stopped: the statement's end is cut off by a wait that is too long.
    await database.query('DROP INDEX accounts_by_balance');
    await database.query(`DELETE FROM migrations WHERE name = 'Indexed1764633600009'`);
    const endHolding = await leftOpen(database, 'INSERT INTO accounts VALUES (13, 1)');
    const cut = database.query(`CREATE INDEX CONCURRENTLY accounts_by_balance ON accounts (balance)`);
    await expect(cut).rejects.toMatchObject({ code: 'OVERLOADED' });
    await endHolding();
    expect(await database.query(isValid)).toEqual([{ valid: false }]);
    await (await indexed()).close();
    expect(await database.query(isValid)).toEqual([{ valid: true }]);
    await database.query('DROP INDEX accounts_by_balance');
    await database.query(`DELETE FROM migrations WHERE name = 'Indexed1764633600009'`);
    await database.close();
  });

  it('a migration that changes a table somebody reads for long keeps nobody waiting, and is made when they have ended', async () => {
    const database = await opened();
    const endReading = await leftOpen(database, 'SELECT FROM accounts');
    const migrations = [...tables.migrations, Widened1];
    let told = (): void => {};
    const waits = new Promise<void>((resolve) => (told = resolve));
    const logger = { ...silent, warn: () => told() } as typeof silent;
    const opening = openDatabase({ service: 'users', url, ...tables, migrations, logger });
    await waits;
    await database.query('INSERT INTO accounts VALUES (15, 1)');
    await endReading();
    await (await opening).close();
    expect(await database.query('SELECT note FROM accounts WHERE id = 15')).toEqual([{ note: null }]);
    await database.query('ALTER TABLE accounts DROP COLUMN note');
    await database.query(`DELETE FROM migrations WHERE name = 'Widened1764633600010'`);
    await database.close();
  });

  it('control: an index that is built in a transaction keeps writers out', async () => {
    const database = await opened();
    const write = await database.transaction(async (tx) => {
      await tx.query('CREATE INDEX accounts_by_balance ON accounts (balance)');
      const other = database.query('INSERT INTO accounts VALUES (14, 1)');
      await expect(other).rejects.toMatchObject({ code: 'OVERLOADED' });
      return 'kept out';
    });
    expect(write).toBe('kept out');
    await database.query('DROP INDEX accounts_by_balance');
    await database.close();
  });

  it('says that it is busy when no connection comes free within a second', async () => {
    const database = await openDatabase({ service: 'users', url, ...tables, poolMax: 2 });
    const bothHeld = meeting(3);
    let release = (): void => {};
    const held = new Promise<void>((resolve) => (release = resolve));
    const holders = [1, 2].map(() => database.transaction(() => bothHeld().then(() => held)));
    await bothHeld();
    const waiting = await Promise.allSettled(Array.from({ length: 20 }, () => database.query('SELECT 1')));
    const codes = waiting.map((one) =>
      one.status === 'rejected' ? (one.reason as { code: string }).code : 'answered',
    );
    expect(new Set(codes)).toEqual(new Set(['OVERLOADED']));
    release();
    await Promise.all(holders);
    expect(await database.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
    await database.close();
  });

  it('ends a statement that takes longer than two seconds, and a wait for a lock before that', async () => {
    const database = await opened();
    await expect(database.query('SELECT pg_sleep(10)')).rejects.toMatchObject({ code: 'SUBGRAPH_TIMEOUT' });
    await database.query('INSERT INTO accounts VALUES (1, 1)');
    await database.transaction(async (tx) => {
      await tx.query('SELECT * FROM accounts WHERE id = 1 FOR UPDATE');
      const other = database.transaction((second) => second.query('UPDATE accounts SET balance = 2 WHERE id = 1'));
      await expect(other).rejects.toMatchObject({ code: 'OVERLOADED' });
    });
    await database.close();
  });

  it('lets one statement of a transaction take longer that says so, and no other', async () => {
    const database = await opened();
    const slow = database.transaction(async (tx) => {
      await tx.query('SELECT pg_sleep($1)', [3.1], 10_000);
      return tx.query('SHOW statement_timeout');
    });
    expect(await slow).toEqual([{ statement_timeout: '2s' }]);
    const tooSlow = database.transaction((tx) => tx.query('SELECT pg_sleep(10)', [], 50));
    await expect(tooSlow).rejects.toMatchObject({ code: 'SUBGRAPH_TIMEOUT' });
    await database.close();
  });

  it('lets the statements of a bulk load take longer', async () => {
    const database = await openDatabase({ service: 'users', url, ...tables, bulk: true });
    expect(await database.query(`SELECT pg_sleep(2.1), current_setting('lock_timeout') AS lock`)).toMatchObject([
      { lock: '1min' },
    ]);
    await database.close();
  });

  it('retries the transaction that PostgreSQL chose to end a real deadlock', async () => {
    const database = await opened();
    await database.query('INSERT INTO accounts VALUES (1, 0), (2, 0)');
    const both = meeting(2);
    const add =
      (query: (text: string, values: unknown[]) => Promise<unknown>, first: number, second: number) => async () => {
        await query('UPDATE accounts SET balance = balance + 1 WHERE id = $1', [first]);
        await both();
        await query('UPDATE accounts SET balance = balance + 1 WHERE id = $1', [second]);
      };
    let runs = 0;
    const work = (first: number, second: number) =>
      database.transaction((tx) => {
        runs++;
        return add(tx.query, first, second)();
      });
    await Promise.all([work(1, 2), work(2, 1)]);
    // What is run again may meet the other one once more.
    expect(runs).toBeGreaterThanOrEqual(3);
    expect(await database.query('SELECT balance FROM accounts ORDER BY id')).toEqual([{ balance: 2 }, { balance: 2 }]);
    await database.close();
  });

  it('says that it cannot be reached when nobody listens there', async () => {
    const nowhere = openDatabase({ service: 'users', url: 'postgres://x:y@127.0.0.1:1/z', ...tables });
    await expect(nowhere).rejects.toThrow(
      'The database of users at 127.0.0.1:1/z cannot be opened: connect ECONNREFUSED 127.0.0.1:1. See that the server runs and lets us in, or correct DATABASE_URL.',
    );
  });

  it('gets over a cut connection and over a server that stops answering', async () => {
    const between = await proxy(Number(new URL(url).port));
    const through = new URL(url);
    through.port = String(between.port);
    const database = await opened(through.href);

    const cut = database.transaction(async (tx) => {
      await tx.query('INSERT INTO accounts VALUES (1, 1)');
      between.cut();
      await tx.query('INSERT INTO accounts VALUES (2, 2)');
    });
    await expect(cut).rejects.toMatchObject({ code: 'SUBGRAPH_UNAVAILABLE' });
    expect(await database.query('SELECT * FROM accounts')).toEqual([]);

    // Without a transaction nobody but the driver listens to the connection: its end may not be the end of the process.
    const alone = database.query('SELECT pg_sleep(1.9)');
    const isRun = `SELECT FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(1.9)' AND state = 'active'`;
    while ((await admin.query(isRun)).length === 0);
    between.cut();
    await expect(alone).rejects.toMatchObject({ code: 'SUBGRAPH_UNAVAILABLE' });
    expect(await database.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);

    between.swallow(true);
    const unanswered = [database.query('SELECT 1'), database.transaction((tx) => tx.query('SELECT 1'))];
    const outcomes = await Promise.allSettled(unanswered);
    expect(outcomes.map((one) => one.status)).toEqual(['rejected', 'rejected']);
    between.swallow(false);
    expect(await database.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
    await database.close();
    await between.close();
  });
});

/** A transaction that has done this, and goes on until it is ended. */
async function leftOpen(database: Database, statement: string): Promise<() => Promise<void>> {
  const [isDone, ends] = [meeting(2), meeting(2)];
  const open = database.transaction(async (tx) => {
    await tx.query(statement);
    await isDone();
    await ends();
  });
  await isDone();
  return async () => {
    await ends();
    await open;
  };
}

/** Resolves for all when `count` have come, once; later ones pass. */
function meeting(count: number): () => Promise<void> {
  let come = 0;
  let open = (): void => {};
  const all = new Promise<void>((resolve) => (open = resolve));
  return () => {
    if (++come === count) open();
    return all;
  };
}

/** Stands between a client and the server, to cut the line or to swallow what is said. */
async function proxy(target: number) {
  const sockets = new Set<Socket>();
  let isSwallowing = false;
  const server: Server = createServer((near) => {
    const far = createConnection(target, '127.0.0.1');
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.on('data', (chunk) => isSwallowing || to.write(chunk));
      from.on('error', () => {});
      from.on('close', () => to.destroy());
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    cut: () => sockets.forEach((socket) => socket.destroy()),
    swallow: (yes: boolean) => void (isSwallowing = yes),
    close: () => new Promise<void>((resolve) => server.close(() => resolve())),
  };
}

class Indexed1 implements MigrationInterface {
  readonly name = 'Indexed1764633600009';
  readonly transaction = false;

  up(runner: QueryRunner): Promise<void> {
    return buildIndex(runner, 'accounts_by_balance', 'accounts (balance)');
  }

  async down(): Promise<void> {}
}

class Widened1 implements MigrationInterface {
  readonly name = 'Widened1764633600010';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE accounts ADD COLUMN note text');
  }

  async down(): Promise<void> {}
}
