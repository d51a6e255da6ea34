import { afterAll, beforeAll, expect, it } from '@jest/globals';
import pg from 'pg';
import { setTimeout as sleep } from 'node:timers/promises';
import { DataSource } from 'typeorm';
import type { Logger } from '#libs/telemetry';
import { silent } from '#libs/telemetry';
import { startFaultProxy, type FaultProxy } from '../../test/servers/fault-proxy.js';
import { withServer } from '../../test/servers/needs.js';
import { startPostgres, type PostgresServer } from '../../test/servers/postgres.js';
import { startReplica, type PostgresReplica } from '../../test/servers/replica.js';
import { tables } from './database.contract.js';
import {
  byKeys,
  databaseGauges,
  openDatabase,
  provisionServices,
  type Asker,
  type Database,
  type Statements,
} from './index.js';
import { Replica } from './replica.js';
import { lookAtPrimary, openLooks } from './replica-look.js';

const LAG_MAX_MS = 600;
/** Where nobody is to find it too old meanwhile. */
const LONG_MS = 8_000;

withServer('postgres', 'replicas of a PostgreSQL', (anotherUrl) => {
  let primary: PostgresServer;
  let standby: PostgresReplica;
  let door: FaultProxy;
  let urls: { primary: string; replica: string; straight: string };
  /** Of the replica itself: whoever reads there whatever comes. */
  let naive: pg.Pool;
  let database: Database;
  let written = 0;

  beforeAll(async () => {
    primary = await startPostgres({ settings: { synchronous_commit: 'on' } });
    const { posts = '' } = await provisionServices(primary.url, ['posts'], { posts: 'secret' });
    standby = await startReplica(primary);
    door = await startFaultProxy({ port: standby.port });
    urls = { primary: posts, replica: at(posts, door.port), straight: at(posts, standby.port) };
    naive = new pg.Pool({ connectionString: urls.straight, max: 1 });
    naive.on('error', () => {});
    database = await opened([urls.replica]);
    await database.query('INSERT INTO accounts VALUES (1, 0)');
    await readsFrom('replica');
  }, 120_000);
  afterAll(async () => {
    await database?.close();
    await naive?.end();
    await door?.close();
    await standby?.stop();
    await primary?.stop();
  });

  const opened = (
    replicas: readonly string[],
    said: string[] = [],
    lagMaxMs: number = LAG_MAX_MS,
  ): Promise<Database> => {
    const say = (_: object, text: string): void => void said.push(text);
    const logger = { ...silent, info: say, warn: say } as Logger;
    return openDatabase({
      service: 'posts',
      url: urls.primary,
      replicas: { urls: replicas, lagMaxMs },
      logger,
      ...tables,
    });
  };
  const write = async (): Promise<number> => {
    await database.query('UPDATE accounts SET balance = $1 WHERE id = 1', [(written += 1)]);
    return written;
  };
  const READ = 'SELECT balance, pg_is_in_recovery() AS replica FROM accounts WHERE id = $1';
  const read = async (asked: Asker, of = database): Promise<{ balance: number; replica: boolean }> =>
    (await of.reader(asked).query<{ balance: number; replica: boolean }>(READ, [1]))[0]!;
  const old = async (): Promise<number> => {
    const { rows } = await naive.query<{ balance: number }>(READ, [1]);
    return rows[0]!.balance;
  };
  /** Who may be shown what is a moment old is answered from there now. */
  const readsFrom = (where: 'replica' | 'primary', of = () => database): Promise<void> =>
    until(async () => (await read({ mayLag: true }, of())).replica === (where === 'replica'));

  it('are read by who may be shown what is a moment old, and by nobody else', async () => {
    let asked: Asker = {};
    // A busy machine looks at it so late that it is left alone for a moment.
    await until(async () => (await read((asked = { mayLag: true }))).replica);
    expect(asked.lagged).toBe(true);
    const [gauges, labels] = [
      databaseGauges(database),
      { service: 'posts', replica: `127.0.0.1:${door.port}${new URL(urls.primary).pathname}` },
    ];
    const told = gauges.filter(({ name }) => name.startsWith('tributary_replica_'));
    expect(told.map((one) => one.labels)).toEqual([labels, labels, labels]);
    let figures: number[] = [];
    await until(async () => (figures = await Promise.all(told.map((one) => one.read())))[1] === 1);
    const [lag = NaN, , reads = NaN] = figures;
    expect([lag < 30, reads > 0]).toEqual([true, true]);
    for (const exact of [{}, { mayLag: false }] as Asker[]) {
      expect((await read(exact)).replica).toBe(false);
      expect(exact.lagged).toBeUndefined();
    }
    expect(await database.transaction((tx) => tx.query('SELECT pg_is_in_recovery() AS replica'))).toEqual([
      { replica: false },
    ]);
    expect(await database.query('SELECT pg_is_in_recovery() AS replica')).toEqual([{ replica: false }]);
  });

  it.each(['stands still', 'lags ten seconds', 'is cut off from its primary'] as const)(
    'one that %s is read by nobody who has to see more, and soon by nobody; control: it has the old all the time',
    async (how) => {
      await readsFrom('replica');
      await standby.lag(how);
      // Whatever came with it is replayed.
      await until(async () => {
        const value = await write();
        await sleep(50);
        return (await old()) < value;
      });
      try {
        const value = await write();
        expect((await read({})).balance).toBe(value);
        await readsFrom('primary');
        expect((await read({ mayLag: true })).balance).toBe(value);
        expect(await old()).toBeLessThan(value);
        const [{ lagSeconds, isUsable } = { lagSeconds: 0, isUsable: true }] = database.replicas;
        expect([lagSeconds > LAG_MAX_MS / 1_000, isUsable]).toEqual([true, false]);
      } finally {
        await standby.heal(how);
      }
      await readsFrom('replica');
      expect((await read({ mayLag: true })).balance).toBe(written);
    },
  );

  it('whatever one cannot answer the primary does: a column that it has not heard of', async () => {
    await standby.lag('stands still');
    await database.query('ALTER TABLE accounts ADD COLUMN IF NOT EXISTS note text');
    const asked = await database.reader({ mayLag: true }).query('SELECT note FROM accounts WHERE id = $1', [1]);
    expect(asked).toEqual([{ note: null }]);
    await expect(naive.query('SELECT note FROM accounts')).rejects.toThrow('column "note" does not exist');
    await standby.heal('stands still');
    await readsFrom('replica');
  });

  it('what has come into being since is found by its key, and only what is not found there is asked of the primary; control: a reader finds nothing', async () => {
    const own = await opened([urls.replica], [], LONG_MS);
    try {
      await readsFrom('replica', () => own);
      await standby.lag('stands still');
      await database.query('INSERT INTO accounts VALUES (7, 7)');
      const load = async (of: Statements, ids: readonly number[]): Promise<Map<number, unknown>> => {
        const sql = 'SELECT id, balance, pg_is_in_recovery() AS replica FROM accounts WHERE id = ANY($1::int[])';
        const rows = await of.query<{ id: number; replica: boolean }>(sql, [ids]);
        return new Map(rows.map(({ id, replica }) => [Number(id), replica]));
      };
      const asked: Asker = { mayLag: true };
      const reader = own.reader(asked);
      expect(await load(reader, [1, 7, 8])).toEqual(new Map([[1, true]]));
      const find = byKeys(own, asked, reader);
      const found = new Map([
        [1, true],
        [7, false],
      ]);
      expect(await find([1, 7, 8], load)).toEqual(found);
      const before = own.statements;
      await find([1], load);
      expect(own.statements - before).toBe(1);
      const exact: Asker = {};
      expect(await byKeys(own, exact, own.reader(exact))([1, 8], load)).toEqual(new Map([[1, false]]));
      expect(own.statements - before).toBe(2);
    } finally {
      await own.close();
      await standby.heal('stands still');
    }
    await readsFrom('replica');
  }, 60_000);

  it('what takes too long there is asked there once and then left alone, and all else is read there as before; who asks is told no error; control: it is as slow each time', async () => {
    const said: string[] = [];
    const own = await opened([urls.replica], said, LONG_MS);
    const pool = new pg.Pool({ connectionString: urls.straight, statement_timeout: 100, max: 1 });
    try {
      await readsFrom('replica', () => own);
      const SLOW =
        'SELECT pg_is_in_recovery() AS replica, CASE WHEN pg_is_in_recovery() THEN pg_sleep(30) END FROM accounts WHERE id = $1';
      const slow = async (): Promise<unknown> => (await own.reader({ mayLag: true }).query(SLOW, [1]))[0];
      expect(await slow()).toMatchObject({ replica: false });
      const before = own.statements;
      for (let times = 0; times < 5; times += 1) expect(await slow()).toMatchObject({ replica: false });
      // Two each if they were asked of it, too.
      expect(own.statements - before).toBe(5);
      for (let times = 0; times < 2; times += 1)
        await expect(pool.query(SLOW, [1])).rejects.toThrow('statement timeout');
      expect(said.filter((line) => line.startsWith('A replica is slow'))).toHaveLength(1);
      expect((await read({ mayLag: true }, own)).replica).toBe(true);
    } finally {
      await pool.end();
      await own.close();
    }
  }, 60_000);

  it('what holds all connections there is left alone, and not who finds none free', async () => {
    const looks = openLooks(urls.primary);
    const parts = { service: 'posts', lagMaxMs: LONG_MS, logger: silent, onStatement: () => {} };
    const one = new Replica({ ...parts, url: urls.straight, poolMax: 1, primary: () => lookAtPrimary(looks) });
    const ask = (text: string): Promise<unknown> => one.query(text, undefined, undefined);
    try {
      await until(async () => one.isUsable);
      // The connection is there, and all that is asked of it is this.
      await until(() => ask('SELECT 1').then(() => true, () => false)); // prettier-ignore
      const holds = ask('SELECT pg_sleep(30)').catch((error: unknown) => error);
      await expect(ask('SELECT 1')).rejects.toThrow('No connection came free');
      await expect(ask('SELECT pg_sleep(30)')).rejects.toThrow('a moment ago');
      await expect(holds).resolves.toMatchObject({ code: '57014' });
      await until(() => ask('SELECT 1').then(() => true, () => false)); // prettier-ignore
    } finally {
      await one.close();
      await looks.end();
    }
  });

  it('one that is down at the start, is lost while it is read, or says nothing more is nobody’s error, and comes back, each a line of the log', async () => {
    door.set({ down: true });
    const said: string[] = [];
    const own = await opened([urls.replica], said);
    const failed: unknown[] = [];
    let isOver = false;
    const crowd = Array.from({ length: 8 }, async () => {
      while (!isOver) {
        await read({ mayLag: true }, own).catch((error: unknown) => failed.push(error));
        await sleep(2);
      }
    });
    try {
      expect((await read({ mayLag: true }, own)).replica).toBe(false);
      await until(async () => said.length > 0);
      // The control: how TypeORM reads from replicas does not even start, and a pool of both fails by halves.
      const { primary: url, replica } = urls;
      const typeorm = new DataSource({
        type: 'postgres',
        replication: { master: { url }, slaves: [{ url: replica }] },
      });
      await expect(typeorm.initialize()).rejects.toThrow();
      for (const toxics of [{ down: true }, { timeout: true }]) {
        door.set({});
        await readsFrom('replica', () => own);
        const before = said.length;
        door.set(toxics);
        await readsFrom('primary', () => own);
        await until(async () => said.length > before);
      }
      const both = [url, replica].map((one) => new pg.Pool({ connectionString: one, query_timeout: 500, max: 1 }));
      door.set({ down: true });
      const halves = await Promise.allSettled(both.map((pool) => pool.query(READ, [1])));
      expect(halves.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
      await Promise.all(both.map((pool) => pool.end()));
    } finally {
      isOver = true;
      await Promise.all(crowd);
      door.set({});
      await own.close();
    }
    expect(failed).toEqual([]);
    // By turns, once for each of the three; and where a busy machine looked too late, once more for that.
    const [out, back] = ['A replica is not read; the primary is', 'A replica is read'];
    expect(said).toEqual(said.map((_, nth) => (nth % 2 === 0 ? out : back)));
    expect([said.length >= 5, said.at(-1)]).toEqual([true, out]);
  });

  it('one that takes writes, or is a copy of another cluster, is left out', async () => {
    const reasons: string[] = [];
    const logger = {
      ...silent,
      warn: ({ reason }: { reason: string }) => void reasons.push(reason),
    } as unknown as Logger;
    const parts = { service: 'posts', poolMax: 1, lagMaxMs: LAG_MAX_MS, logger, onStatement: () => {} };
    const another = { at: 1n, cluster: 'another' };
    const out = [
      new Replica({ ...parts, url: anotherUrl, primary: async () => another }),
      new Replica({ ...parts, url: urls.straight, primary: async () => another }),
    ];
    await until(async () => reasons.length === 2);
    expect(reasons.toSorted()).toEqual([
      'it is a copy of another cluster',
      'it takes writes itself, so it is no replica',
    ]);
    expect(out.map(({ isUsable }) => isUsable)).toEqual([false, false]);
    await Promise.all(out.map((replica) => replica.close()));
  });

  it('a name that leads to another server meanwhile is not taken for the one that was looked at; control: that one is old', async () => {
    const other = await startReplica(primary);
    try {
      await other.lag('stands still');
      const value = await write();
      const own = await opened([urls.replica]);
      // Looked at by a connection that stays, while new ones lead to the other.
      await until(async () => own.replicas[0]!.isUsable);
      door.leadTo(other.port);
      const answers = await Promise.all(Array.from({ length: 10 }, () => read({ mayLag: true }, own)));
      expect(answers.map(({ balance }) => balance)).toEqual(answers.map(() => value));
      const naiveThere = new pg.Pool({ connectionString: urls.replica, max: 1 });
      const { rows } = await naiveThere.query<{ balance: number }>(READ, [1]);
      expect(rows[0]!.balance).toBeLessThan(value);
      await naiveThere.end();
      await own.close();
    } finally {
      door.moveTo(standby.port);
      await other.stop();
    }
    await readsFrom('replica');
  }, 120_000);
});

function at(url: string, port: number): string {
  return Object.assign(new URL(url), { port: String(port) }).href;
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  for (const deadline = performance.now() + 30_000; !(await holds()); await sleep(10))
    if (performance.now() > deadline) throw new Error('it did not come about within 30 s');
}
