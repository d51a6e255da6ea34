import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { MigrationInterface, QueryRunner } from 'typeorm';
import { openDatabase, type Database, type Statements } from '#libs/database';
import { newId } from '#libs/identity';
import { createLogger } from '#libs/telemetry';
import { withServer } from '../../test/servers/needs.js';
import { sealAnew, Sealer, SealingAnew, sealingKeyOf, type Walked } from './index.js';

const WORDS = { table: 'notes', column: 'words' };

class Notes1700000000001 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('CREATE TABLE notes (id uuid PRIMARY KEY, words text NOT NULL)');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE notes');
  }
}

const [old, present] = [sealingKeyOf('old', randomBytes(32)), sealingKeyOf('present', randomBytes(32))];
const before = new Sealer([old]);
/** As halfway through a change of keys some processes have it. */
const halfway = new Sealer([old, present]);
const NOTHING_LEFT = { left: 0, missing: [], changed: [], takenOver: [] };
const sealer = new Sealer([present, old]);

withServer('postgres', 'a column that is sealed anew', (adminUrl) => {
  const name = `sealing_${randomBytes(5).toString('hex')}`;
  let database: Database;

  beforeAll(async () => {
    await asAdmin(`CREATE DATABASE ${name}`);
    const url = Object.assign(new URL(adminUrl), { pathname: `/${name}` }).href;
    database = await openDatabase({ service: 'notes', url, entities: [], migrations: [Notes1700000000001] });
  });
  beforeEach(() => database.query('DELETE FROM notes'));
  afterAll(async () => {
    await database.close();
    await asAdmin(`DROP DATABASE ${name} WITH (FORCE)`);
  });

  /** Plain, of the key before, of this one, empty: one after the other. */
  async function notes(count: number): Promise<Map<string, string>> {
    const rows = Array.from({ length: count }, (_, nth) => ({
      id: newId(),
      words: nth % 4 === 3 ? '' : `note ${nth}`,
    }));
    const kept = rows.map(({ id, words }, nth) =>
      words === '' || nth % 4 === 0 ? words : (nth % 4 === 1 ? before : sealer).seal(WORDS, id, words),
    );
    await database.query('INSERT INTO notes SELECT * FROM unnest($1::uuid[], $2::text[])', [
      rows.map(({ id }) => id),
      kept,
    ]);
    return new Map(rows.map(({ id, words }) => [id, words]));
  }

  async function kept(): Promise<Map<string, string>> {
    const rows = await database.query<{ id: string; words: string }>('SELECT id, words FROM notes ORDER BY id');
    return new Map(rows.map(({ id, words }) => [id, words]));
  }

  const opened = (by: Sealer, rows: Map<string, string>) =>
    new Map([...rows].map(([id, words]) => [id, by.open(WORDS, id, words)]));

  it.each([3, 200, 7])(
    'is, by slices, sealed by the first key alone, and a second walk finds nothing',
    async (slice) => {
      const words = await notes(41);
      expect(await sealAnew(database, WORDS, sealer, { slice })).toMatchObject({ ...NOTHING_LEFT, sealed: 21 });
      const now = await kept();
      // The old key is not needed any more.
      expect(opened(new Sealer([present]), now)).toEqual(words);
      expect(await sealAnew(database, WORDS, sealer, { slice })).toMatchObject({ ...NOTHING_LEFT, sealed: 0 });
      expect(await kept()).toEqual(now);
    },
  );

  it('goes on where it was, whoever is killed when', async () => {
    const words = await notes(41);
    for (let statements = 1; ; statements += 1) {
      let left = statements;
      const dying: Statements = {
        async query(text, values) {
          if (left === 0) throw new Error('killed');
          left -= 1;
          return database.query(text, values);
        },
      };
      const ended = await sealAnew(dying, WORDS, sealer, { slice: 5 }).catch((error: Error) => error.message);
      expect(opened(sealer, await kept())).toEqual(words);
      if (ended !== 'killed') break;
    }
    expect(opened(new Sealer([present]), await kept())).toEqual(words);
  });

  it('by two who walk at once is sealed once', async () => {
    const words = await notes(400);
    const walks = await Promise.all([1, 2, 3].map(() => sealAnew(database, WORDS, sealer, { slice: 20 })));
    expect(walks.reduce((sum, { sealed }) => sum + sealed, 0)).toBe(200);
    expect(opened(new Sealer([present]), await kept())).toEqual(words);
  });

  it('waits for nobody, and takes nothing back that somebody has written meanwhile; control: an update that does not look does', async () => {
    const words = await notes(8);
    const [held, changed] = [...words.keys()] as [string, string];
    const meanwhile: Statements = {
      async query(text, values) {
        const rows = await database.query<never>(text, values);
        // After the look, before the update.
        if (text.includes('json_agg'))
          await database.query(`UPDATE notes SET words = 'newer' WHERE id = $1`, [changed]);
        return rows;
      },
    };
    await database.transaction(async (tx) => {
      await tx.query('SELECT FROM notes WHERE id = $1 FOR UPDATE', [held]);
      expect(await sealAnew(meanwhile, WORDS, sealer)).toMatchObject({ sealed: 2, left: 2 });
    });
    expect((await kept()).get(changed)).toBe('newer');
    expect(await sealAnew(database, WORDS, sealer)).toMatchObject({ sealed: 2, left: 0 });
    expect(opened(new Sealer([present]), await kept())).toEqual(words.set(changed, 'newer'));

    const naive = await database.query<{ id: string; words: string }>('SELECT id, words FROM notes');
    await database.query(`UPDATE notes SET words = 'newest' WHERE id = $1`, [changed]);
    for (const row of naive) await database.query('UPDATE notes SET words = $2 WHERE id = $1', [row.id, row.words]);
    expect(opened(sealer, await kept()).get(changed)).toBe('newer');
  });

  it('halfway through a change of keys is left to who began last; control: who does not know of the walk before seals all anew each time', async () => {
    const words = await notes(41);
    let mine = await sealAnew(database, WORDS, halfway, { slice: 5 });
    let others = await sealAnew(database, WORDS, sealer, { slice: 5 });
    // All of them: what stood there plain has been sealed by the first of the two.
    expect(others).toMatchObject({ ...NOTHING_LEFT, sealed: 31 });
    const now = await kept();
    for (let walks = 0; walks < 3; walks += 1) {
      mine = await sealAnew(database, WORDS, halfway, { slice: 5, before: mine });
      expect(mine).toMatchObject({ sealed: 0, left: 31, missing: [], changed: [], takenOver: ['present'] });
      others = await sealAnew(database, WORDS, sealer, { slice: 5, before: others });
      expect(others).toMatchObject({ ...NOTHING_LEFT, sealed: 0 });
    }
    expect(await kept()).toEqual(now);
    // Who signs up meanwhile, by either, is sealed by the other once at most; and what is plain by both.
    const [byMine, plain] = [newId(), newId()];
    await database.query('INSERT INTO notes VALUES ($1, $2), ($3, $4)', [
      byMine,
      halfway.seal(WORDS, byMine, 'a'),
      plain,
      'b',
    ]);
    expect(await sealAnew(database, WORDS, halfway, { before: mine })).toMatchObject({ sealed: 1 });
    expect(await sealAnew(database, WORDS, sealer, { before: others })).toMatchObject({ ...NOTHING_LEFT, sealed: 2 });
    expect(opened(new Sealer([present]), await kept())).toEqual(words.set(byMine, 'a').set(plain, 'b'));
    // A process that was started anew with the list of before begins last; who had yielded has nothing any more to yield to.
    await sealAnew(database, WORDS, halfway);
    mine = await sealAnew(database, WORDS, halfway, { before: mine });
    expect(mine).toMatchObject(NOTHING_LEFT);

    // (control)
    for (let walks = 0; walks < 3; walks += 1) {
      expect(await sealAnew(database, WORDS, sealer)).toMatchObject({ sealed: 33 });
      expect(await sealAnew(database, WORDS, halfway)).toMatchObject({ sealed: 33 });
    }
  });

  it('by two with other first keys, who walk at once, comes to rest; what somebody held is not taken over', async () => {
    const words = await notes(400);
    let [mine, others]: (Walked | undefined)[] = [];
    for (let walks = 0, quiet = 0; quiet < 2; walks += 1) {
      expect(walks).toBeLessThan(20);
      [mine, others] = await Promise.all([
        sealAnew(database, WORDS, halfway, { slice: 20, before: mine }),
        sealAnew(database, WORDS, sealer, { slice: 20, before: others }),
      ]);
      quiet = mine.sealed + others.sealed === 0 ? quiet + 1 : 0;
    }
    expect(opened(sealer, await kept())).toEqual(words);

    await database.query('DELETE FROM notes');
    const [held] = [...(await notes(8)).keys()] as [string];
    let walked: Walked | undefined;
    await database.query('UPDATE notes SET words = $2 WHERE id = $1', [held, before.seal(WORDS, held, 'note 0')]);
    await database.transaction(async (tx) => {
      await tx.query('SELECT FROM notes WHERE id = $1 FOR UPDATE', [held]);
      walked = await sealAnew(database, WORDS, sealer);
      expect(walked).toMatchObject({ left: 1, takenOver: [] });
    });
    expect(await sealAnew(database, WORDS, sealer, { before: walked })).toMatchObject({ ...NOTHING_LEFT, sealed: 1 });
  });

  it('keeps what it cannot open as it is, and says of which keys and rows', async () => {
    const [moved] = [...(await notes(8)).keys()];
    const lost = new Sealer([sealingKeyOf('lost', randomBytes(32))]);
    const strange = newId();
    await database.query('INSERT INTO notes VALUES ($1, $2)', [strange, lost.seal(WORDS, strange, 'x')]);
    await database.query('UPDATE notes SET words = $2 WHERE id = $1', [moved, before.seal(WORDS, newId(), 'x')]);
    const was = await kept();
    const found = { left: 2, missing: ['lost'], changed: [moved], takenOver: [] };
    const walked = await sealAnew(database, WORDS, sealer);
    expect(walked).toMatchObject({ ...found, sealed: 3 });
    // What cannot be opened was taken over by nobody.
    expect(await sealAnew(database, WORDS, sealer, { before: walked })).toMatchObject({ ...found, sealed: 0 });
    for (const id of [strange, moved!]) expect((await kept()).get(id)).toBe(was.get(id));
  });

  describe('now and then', () => {
    const log: Record<string, unknown>[] = [];
    const logger = createLogger('notes', 'debug', { write: (line) => void log.push(JSON.parse(line)) });
    let sealing: SealingAnew | undefined;
    afterEach(async () => {
      await sealing?.close();
      log.length = 0;
    });
    const said = async (text: string): Promise<void> => {
      for (const end = Date.now() + 30_000; !log.some(({ msg }) => String(msg).includes(text)); await sleep(10))
        if (Date.now() > end) throw new Error(`it was not said that ${text}: ${JSON.stringify(log)}`);
    };

    it('is walked, and again when a walk failed, and the log has no words', async () => {
      await notes(8);
      let fails = 1;
      const failing: Statements = {
        query: (text, values) => (fails-- > 0 ? Promise.reject(new Error('away')) : database.query(text, values)),
      };
      sealing = new SealingAnew({ database: failing, column: WORDS, sealer, logger }, { firstMs: 1, soonMs: 1 });
      await said('later again');
      await said('Sealed by the first key');
      expect(log.find(({ sealed }) => sealed !== undefined)).toMatchObject({
        column: 'notes.words',
        sealed: 4,
        left: 0,
      });
      expect(JSON.stringify(log)).not.toMatch(/note \d/);
    });

    it('says that another process has another key first, and leaves its rows to it', async () => {
      await notes(8);
      sealing = new SealingAnew(
        { database, column: WORDS, sealer: halfway, logger },
        { firstMs: 1, soonMs: 1, thenMs: 1 },
      );
      // Until all is its own.
      await said('Sealed by the first key');
      for (
        let left = true;
        left;
        left = [...(await kept()).values()].some((one) => one !== '' && !one.includes(':old:'))
      );
      await sealAnew(database, WORDS, sealer);
      await said('was sealed anew by another key');
      const now = await kept();
      log.length = 0;
      await said('was sealed anew by another key');
      expect(log.find(({ keys }) => keys !== undefined)).toMatchObject({ level: 40, left: 6, keys: ['present'] });
      expect(await kept()).toEqual(now);
    });

    it('says which keys are missing', async () => {
      await notes(8);
      sealing = new SealingAnew(
        { database, column: WORDS, sealer: new Sealer([present]), logger },
        { firstMs: 1, soonMs: 1 },
      );
      await said('Rows are sealed by keys that are not here');
      expect(log.find(({ keys }) => keys !== undefined)).toMatchObject({ level: 50, left: 2, keys: ['old'] });
    });
  });

  async function asAdmin(statement: string): Promise<void> {
    const client = new pg.Client({ connectionString: adminUrl });
    await client.connect();
    try {
      await client.query(statement);
    } finally {
      await client.end();
    }
  }
});
