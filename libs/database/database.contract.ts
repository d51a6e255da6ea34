import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Column, Entity, PrimaryColumn, type MigrationInterface, type QueryRunner } from 'typeorm';
import type { DomainEvent } from '#libs/events';
import { Deadline } from '#libs/failure';
import type { Database, Tx } from './database.js';

@Entity({ name: 'accounts' })
export class Account {
  @PrimaryColumn('int')
  id!: number;

  @Column('int')
  balance!: number;
}

export class CreateAccounts1700000000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('CREATE TABLE accounts (id int PRIMARY KEY, balance int NOT NULL CHECK (balance >= 0))');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE accounts');
  }
}

export const tables = { entities: [Account], migrations: [CreateAccounts1700000000000] };

/** What a service may count on, wherever its database is. */
export function databaseContract(kind: string, open: () => Promise<Database>): void {
  describe(`a database, ${kind}`, () => {
    let database: Database;

    beforeAll(async () => {
      database = await open();
    }, 180_000);

    afterEach(() => database.query('DELETE FROM accounts'));

    afterAll(() => database.close());

    const account = (id: number, balance: number) =>
      database.query('INSERT INTO accounts VALUES ($1, $2)', [id, balance]);
    const balances = async () =>
      (await database.query<Account>('SELECT * FROM accounts ORDER BY id')).map((row) => row.balance);

    it('is open with its migrations run', async () => {
      expect(await balances()).toEqual([]);
    });

    it('says where no writes are taken that somebody else may be asked, and has written nothing', async () => {
      const write = database.transaction(async (tx) => {
        await tx.query('SET TRANSACTION READ ONLY');
        await tx.query('INSERT INTO accounts VALUES (1, 1)');
      });
      await expect(write).rejects.toMatchObject({ code: 'SUBGRAPH_UNAVAILABLE' });
      expect(await balances()).toEqual([]);
    });

    it('answers the types that services store, and takes arrays', async () => {
      const id = '0198a5c0-7c00-7abc-8000-000000000001';
      const [row] = await database.query(
        `SELECT $1::uuid AS id, $2::timestamptz(3) AS at, $3::jsonb AS json, $4::text[] AS texts, count(*)::int AS n, true AS yes
         FROM unnest($5::uuid[]) AS u`,
        [id, '2026-11-20T10:00:00.123Z', JSON.stringify({ a: [1] }), ['x', 'ü'], [id, id]],
      );
      expect(row).toEqual({
        id,
        at: new Date('2026-11-20T10:00:00.123Z'),
        json: { a: [1] },
        texts: ['x', 'ü'],
        n: 2,
        yes: true,
      });
    });

    it('sorts text alike everywhere with COLLATE "C"', async () => {
      const rows = await database.query<{ t: string }>(`SELECT t FROM unnest($1::text[]) AS t ORDER BY t COLLATE "C"`, [
        ['b', '_a', 'B', 'a', 'ä'],
      ]);
      expect(rows.map((row) => row.t)).toEqual(['B', '_a', 'a', 'b', 'ä']);
    });

    it('keeps what a transaction stored, by statement and by entity', async () => {
      const answer = await database.transaction(async (tx) => {
        await tx.query('INSERT INTO accounts VALUES ($1, $2)', [1, 10]);
        await tx.manager.insert(Account, { id: 2, balance: 20 });
        return 'done';
      });
      expect([answer, await balances()]).toEqual(['done', [10, 20]]);
    });

    it('keeps nothing of a transaction that throws, and throws what was thrown', async () => {
      const mine = new Error('mine');
      const failing = database.transaction(async (tx) => {
        await tx.query('INSERT INTO accounts VALUES (1, 10)');
        throw mine;
      });
      await expect(failing).rejects.toBe(mine);
      expect(await balances()).toEqual([]);
    });

    it('lets the SQLSTATE of a refused statement through, and the connection goes on', async () => {
      await account(1, 1);
      await expect(account(1, 2)).rejects.toMatchObject({ code: '23505' });
      await expect(database.transaction((tx) => tx.query('INSERT INTO accounts VALUES (1, 2)'))).rejects.toMatchObject({
        code: '23505',
      });
      expect(await balances()).toEqual([1]);
    });

    it('says that nothing was stored when the error of a statement was swallowed', async () => {
      await account(1, 1);
      const work = async (query: Tx['query']): Promise<string> => {
        await query('INSERT INTO accounts VALUES (2, 2)');
        await query('INSERT INTO accounts VALUES (1, 1)').catch(() => {});
        return 'stored';
      };
      await expect(database.transaction((tx) => work(tx.query))).rejects.toThrow('swallowed');
      // The control: without the check it is reported as stored, and is not.
      await expect(
        database.source.transaction((manager) => work((text, values) => manager.query(text, values as []))),
      ).resolves.toBe('stored');
      expect(await balances()).toEqual([1]);
    });

    it('begins nothing for somebody who waits no longer, whether it came too late or waited for a connection too long', async () => {
      let now = 0;
      const hasty = database.until(new Deadline(50, () => now));
      expect(await hasty.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
      await hasty.transaction((tx) => tx.query('INSERT INTO accounts VALUES (1, 1)'));
      // All connections are lent: what is asked for now waits for one.
      let release = (): void => {};
      const held = new Promise<void>((resolve) => (release = resolve));
      const { max } = database.source.driver.options.extra as { max: number };
      let begun = 0;
      const holders = Array.from({ length: max }, () =>
        database.transaction(async () => {
          begun += 1;
          await held;
        }),
      );
      while (begun < max) await new Promise((resolve) => setTimeout(resolve, 1));
      const before = database.statements;
      const write = (id: number) => hasty.transaction((tx) => tx.query('INSERT INTO accounts VALUES ($1, 1)', [id]));
      const waiting = [write(2), hasty.query('SELECT 1')];
      now = 50;
      const late = [write(3), hasty.query('SELECT 1')];
      release();
      const outcomes = await Promise.allSettled([...waiting, ...late]);
      expect(outcomes.map((one) => one.status === 'rejected' && (one.reason as { code: string }).code)).toEqual(
        Array<string>(4).fill('SUBGRAPH_TIMEOUT'),
      );
      await Promise.all(holders);
      expect([database.statements - before, await balances()]).toEqual([0, [1]]);
      // The connections are whole: as many as before may be used.
      expect(database.connections.used).toBe(0);
    });

    it('goes on to its end with what was begun in time', async () => {
      let now = 0;
      const hasty = database.until(new Deadline(50, () => now));
      await hasty.transaction(async (tx) => {
        now = 50;
        await tx.query('INSERT INTO accounts VALUES (1, 7)');
      });
      expect(await balances()).toEqual([7]);
    });

    it('refuses a query in a transaction that is over', async () => {
      const tx = await database.transaction(async (open) => open);
      await expect(tx.query('SELECT 1')).rejects.toThrow('over');
    });

    it('loses no update of transactions that run at the same time', async () => {
      await account(1, 0);
      await Promise.all(
        Array.from({ length: 20 }, () =>
          database.transaction(async (tx) => {
            const [row] = await tx.query<Account>('SELECT * FROM accounts WHERE id = $1 FOR UPDATE', [1]);
            await tx.query('UPDATE accounts SET balance = $2 WHERE id = $1', [1, row!.balance + 1]);
          }),
        ),
      );
      expect(await balances()).toEqual([20]);
    });

    it('shows nobody what is not committed', async () => {
      let release = (): void => {};
      const held = new Promise<void>((resolve) => (release = resolve));
      const writing = database.transaction(async (tx) => {
        await tx.query('INSERT INTO accounts VALUES (1, 1)');
        const reading = database.kind === 'server' ? await balances() : [];
        expect(reading).toEqual([]);
        await held;
      });
      release();
      await writing;
      expect(await balances()).toEqual([1]);
    });

    it.each(['40001', '40P01'])(
      'runs a transaction again that PostgreSQL gave up with %s, with its events told once',
      async (state) => {
        const told: unknown[] = [];
        database.afterCommit(async (events) => void told.push(...events));
        let runs = 0;
        await database.transaction(async (tx) => {
          tx.events.push(event(`run ${++runs}`));
          await tx.query('INSERT INTO accounts VALUES ($1, 1)', [runs]);
          if (runs < 3) await tx.query(`DO $$ BEGIN RAISE EXCEPTION 'given up' USING ERRCODE = '${state}'; END $$`);
        });
        expect([runs, told, await balances()]).toEqual([3, [event('run 3')], [1]]);
      },
    );

    it('runs it four times at most, and then says that it is busy', async () => {
      let runs = 0;
      const losing = database.transaction(async (tx) => {
        runs++;
        await tx.query(`DO $$ BEGIN RAISE EXCEPTION 'given up' USING ERRCODE = '40001'; END $$`);
      });
      await expect(losing).rejects.toMatchObject({ code: 'OVERLOADED' });
      expect(runs).toBe(4);
    });

    it('tells the listeners after COMMIT and before it answers, even when one of them fails', async () => {
      const seen: unknown[] = [];
      database.afterCommit(async () => {
        throw new Error('the cache is down');
      });
      database.afterCommit(async (events) => void seen.push(events, await balances()));
      await database.transaction(async (tx) => {
        await tx.query('INSERT INTO accounts VALUES (1, 7)');
        tx.events.push(event('published'));
      });
      expect(seen).toEqual([[event('published')], [7]]);
    });

    it('tells nobody of a transaction that was rolled back or had no events', async () => {
      let told = 0;
      database.afterCommit(async () => void told++);
      await database.transaction(async (tx) => void (await tx.query('SELECT 1')));
      await database
        .transaction(async (tx) => {
          tx.events.push(event('never'));
          throw new Error('no');
        })
        .catch(() => {});
      expect(told).toBe(0);
    });

    it('counts the statements it sends, and neither BEGIN nor COMMIT', async () => {
      const before = database.statements;
      await database.query('SELECT 1');
      await database.query('SELECT $1::int', [1]);
      await database.transaction(async (tx) => {
        await tx.query('SET LOCAL statement_timeout = 1000');
        await tx.query('SELECT 1');
        await tx.manager.find(Account, { where: { id: 1 } });
        await tx.manager.transaction((nested) => nested.query('SELECT 1'));
      });
      expect(database.statements - before).toBe(5);
    });

    it('goes on when a migration changes a table under a prepared statement', async () => {
      await database.query('CREATE TABLE growing (a int)');
      const read = () => database.query('SELECT * FROM growing WHERE a > $1', [0]);
      await read();
      await database.query('INSERT INTO growing VALUES (1)');
      await database.query('ALTER TABLE growing ADD COLUMN b int');
      expect(await read()).toEqual([{ a: 1, b: null }]);
      await database.query('ALTER TABLE growing ADD COLUMN c int');
      expect(await database.transaction((tx) => tx.query('SELECT * FROM growing WHERE a > $1', [0]))).toEqual([
        { a: 1, b: null, c: null },
      ]);
      await database.query('DROP TABLE growing');
    });

    it('carries five million bytes in one value and back', async () => {
      const text = 'ü'.repeat(2_500_000);
      const [row] = await database.query<{ same: string }>('SELECT $1::text AS same', [text]);
      expect(row?.same === text).toBe(true);
    });
  });
}

function event(id: string): DomainEvent {
  return { id } as DomainEvent;
}
