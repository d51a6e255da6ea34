import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { PGlite } from '@electric-sql/pglite';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compileLibraries } from '../../test/faults/compiled.js';
import { entriesOf, unpack } from './embedded/archive.js';
import { copyTemplate, templateFile } from './embedded/template.js';
import { callHolder, lockDataDir, openDatabase } from './index.js';

let folder: string;
let compiled: string;
beforeAll(() => {
  compiled = compileLibraries();
});
afterAll(() => rm(compiled, { recursive: true, force: true }));
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tributary-killed-'));
});
afterEach(() => rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 }));

describe('kill -9 of the process that has an embedded database open', () => {
  it('loses no transaction that was acknowledged and leaves no half of one', async () => {
    for (const rows of [1, 40, 200]) {
      const writer = startChild('write', folder);
      const acknowledged: number[] = [];
      while (acknowledged.length < rows) acknowledged.push(Number(await writer.line()));
      await writer.kill();
      acknowledged.push(...writer.rest().map(Number));

      const database = await openDatabase({ service: 'users', dataDir: folder, entities: [], migrations: [] });
      const stored = await database.query<{ id: number; twin: number }>('SELECT id, twin FROM rows');
      const ids = new Set(stored.map((row) => row.id));
      expect(acknowledged.filter((id) => !ids.has(id) || !ids.has(id + 1))).toEqual([]);
      expect(stored.filter((row) => !ids.has(row.twin))).toEqual([]);
      await database.close();
    }
  }, 120_000);

  it('in the middle of the first start leaves nothing in the way of the next one', async () => {
    for (const afterMs of [150, 300, 450, 600]) {
      const dataDir = join(folder, String(afterMs));
      const first = startChild('open', dataDir);
      // Whatever it is doing by then: reading the template, writing the copy, recovering it, creating the role.
      const timer = setTimeout(() => void first.kill(), afterMs);
      await first.ended();
      clearTimeout(timer);
      expect(await startChild('open', dataDir).line()).toBe('0 rows');
    }
  }, 120_000);

  it('half through the copy of the template is not mistaken for a database', async () => {
    const half = (await entriesOf(await readFile(templateFile))).slice(0, 100);
    expect(half.map((entry) => entry.path)).toContain('PG_VERSION');
    const leave = async (name: string): Promise<void> => {
      const complete = join(folder, 'complete');
      await unpack(await readFile(templateFile), complete);
      const kept = new Set(half.map((entry) => entry.path));
      for (const entry of await readdir(complete, { recursive: true, withFileTypes: true })) {
        const path = join(entry.parentPath, entry.name);
        if (entry.isFile() && !kept.has(path.slice(complete.length + 1))) await rm(path);
      }
      await rename(complete, join(folder, name));
    };
    await leave('.users.unfinished');
    const database = await openDatabase({ service: 'users', dataDir: folder, entities: [], migrations: [] });
    expect(await database.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
    await database.close();
    // The control: without the rename at the end, half a copy is where the database belongs.
    await leave('posts');
    await expect(openDatabase({ service: 'posts', dataDir: folder, entities: [], migrations: [] })).rejects.toThrow(
      'cannot be opened',
    );
  }, 120_000);

  it('frees the folder for the next one', async () => {
    const holder = startChild('lock', folder);
    expect(await holder.line()).toBe('locked');
    await expect(lockDataDir(folder)).rejects.toThrow(
      `The data folder ${folder} is in use by another process (pid ${holder.pid}). Stop it, or give this one another folder in DATA_DIR.`,
    );
    await holder.kill();
    expect(existsSync(join(folder, 'in-use.sock'))).toBe(true);
    const lock = await lockDataDir(folder);
    expect(await startChild('lock', folder).line()).toContain(`pid ${process.pid}`);
    await lock.release();
  });

  it('leaves a socket on which nobody answers, and the next holder answers there (control: where it is left it is in the way)', async () => {
    for (let times = 0; times < 2; times++) {
      const holder = startChild('answer', folder);
      expect(await holder.line()).toBe('answering');
      const caller = await callHolder(folder);
      expect(String(await caller?.toArray())).toBe(String(holder.pid));
      await holder.kill();
      expect(existsSync(join(folder, 'holder.sock'))).toBe(true);
      expect(await callHolder(folder)).toBeUndefined();
    }
    const naive = createServer().listen(join(folder, 'holder.sock'));
    expect(await once(naive, 'error')).toEqual([expect.objectContaining({ code: 'EADDRINUSE' })]);
  });

  it('frees it for exactly one of many that come together', async () => {
    for (let round = 0; round < 4; round += 1) {
      const holder = startChild('lock', folder);
      await holder.line();
      await holder.kill();
      const comers = Array.from({ length: 6 }, () => startChild('lock', folder));
      const said = await Promise.all(comers.map((comer) => comer.line()));
      expect(said.filter((line) => line === 'locked')).toHaveLength(1);
      await Promise.all(comers.map((comer) => comer.kill()));
    }
  }, 120_000);
});

describe('an embedded database that cannot be opened', () => {
  it('says which and why in a few lines, also when nobody catches it', async () => {
    await openDatabase({ service: 'users', dataDir: folder, entities: [], migrations: [] }).then((database) =>
      database.close(),
    );
    await writeFile(join(folder, 'users', 'global', 'pg_control'), 'not what PostgreSQL wrote');
    const { code, stderr } = await startChild('open', folder).ended();
    expect(code).toBe(1);
    expect(stderr).toContain(`The embedded database in ${join(folder, 'users')} cannot be opened`);
    expect(stderr).toContain('pg_control');
    expect(stderr.length).toBeLessThan(2_500);

    // The control: PGlite's own error, uncaught, brings a line of its minified source along.
    const open = `import { PGlite } from '@electric-sql/pglite'; await PGlite.create(${JSON.stringify(join(folder, 'users'))});`;
    const naked = await start(['--input-type=module', '-e', open]).ended();
    expect(naked.code).not.toBe(0);
    expect(naked.stderr.length).toBeGreaterThan(10_000);
  }, 120_000);
});

describe('two processes on one embedded database', () => {
  it('lose rows without an error, which is what the lock is for', async () => {
    await copyTemplate(join(folder, 'naive'));
    const open = () => PGlite.create(join(folder, 'naive'));
    const [one, two] = [await open(), await open()];
    await one.exec('CREATE TABLE rows (id int)');
    await Promise.all([one.exec('INSERT INTO rows SELECT generate_series(1, 100)'), two.exec('SELECT 1')]);
    await one.close();
    await two.close();
    // Sometimes fewer rows, sometimes a folder that nothing opens again.
    const stored = await open().then(
      async (after) => {
        const { rows } = await after
          .query<{ n: number }>('SELECT count(*)::int AS n FROM rows')
          .catch(() => ({ rows: [{ n: 0 }] }));
        await after.close();
        return rows[0]!.n;
      },
      () => 0,
    );
    expect(stored).toBeLessThan(100);
  }, 120_000);
});

type Deed = 'lock' | 'answer' | 'write' | 'open';

function startChild(what: Deed, dataDir: string) {
  return start([join(compiled, 'libs', 'database', 'killed.fixture.mjs'), what, dataDir]);
}

function start(args: readonly string[]) {
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const unread: string[] = [];
  let stderr = '';
  let came = (): void => {};
  createInterface({ input: child.stdout }).on('line', (line) => {
    unread.push(line);
    came();
  });
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const ended = new Promise<{ code: number | null; stderr: string }>((resolve) => {
    child.once('close', (code) => resolve({ code, stderr }));
  });
  return {
    pid: child.pid,
    async line(): Promise<string> {
      if (unread.length === 0) await Promise.race([new Promise<void>((resolve) => (came = resolve)), ended]);
      const line = unread.shift();
      if (line === undefined) throw new Error(`It ended without a word: ${stderr}`);
      return line;
    },
    /** What it printed and nobody has read. */
    rest: (): string[] => unread.splice(0),
    ended: () => ended,
    async kill(): Promise<void> {
      child.kill('SIGKILL');
      await ended;
    },
  };
}
