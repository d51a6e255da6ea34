import { expect, it } from '@jest/globals';
import { transformSync } from '@swc/core';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { withServer } from './needs.js';
import { startPostgres } from './postgres.js';

withServer('postgres', 'a PostgreSQL for the tests', () => {
  it('listens on a port of its own with the settings that were asked for, and leaves nothing behind', async () => {
    const [one, two] = await Promise.all([startPostgres(), startPostgres({ settings: { wal_level: 'logical' } })]);
    expect(one.port).not.toBe(two.port);
    expect(await listens(one.port)).toBe(true);
    expect(await readFile(join(two.dataDir, 'postmaster.opts'), 'utf8')).toContain('wal_level=logical');
    await Promise.all([one.stop(), two.stop()]);
    expect([await listens(one.port), existsSync(one.dataDir), existsSync(two.dataDir)]).toEqual([false, false, false]);
  }, 180_000);

  it('says what PostgreSQL said when it does not start', async () => {
    await expect(startPostgres({ settings: { shared_buffers: 'much' } })).rejects.toThrow(
      'invalid value for parameter "shared_buffers"',
    );
  }, 180_000);

  it('does not outlive the process that started it, not even when that is killed', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'tributary-owner-'));
    const compiled = async (name: string): Promise<string> => {
      const source = await readFile(fileURLToPath(new URL(`./${name}.ts`, import.meta.url)), 'utf8');
      return transformSync(source, { jsc: { parser: { syntax: 'typescript' }, target: 'es2022' } }).code;
    };
    await writeFile(join(folder, 'package.json'), '{ "type": "module" }');
    for (const name of ['postgres', 'free-port']) await writeFile(join(folder, `${name}.js`), await compiled(name));
    const owner = join(folder, 'owner.js');
    await writeFile(
      owner,
      `import { startPostgres } from './postgres.js';
       const { pid, port, dataDir } = await startPostgres();
       console.log(JSON.stringify({ pid, port, dataDir }));
       setInterval(() => {}, 1000);`,
    );
    const child = spawn(process.execPath, [owner], { stdio: ['ignore', 'pipe', 'inherit'] });
    const said = await new Promise<string>((resolve, reject) => {
      child.stdout.once('data', (chunk: Buffer) => resolve(chunk.toString()));
      child.once('exit', (code) => reject(new Error(`it ended with ${code} and started nothing`)));
    });
    const { port, dataDir } = JSON.parse(said) as { port: number; dataDir: string };
    expect(await listens(port)).toBe(true);
    child.kill('SIGKILL');
    for (let waits = 0; waits < 200 && existsSync(dataDir); waits++) await sleep(50);
    expect([await listens(port), existsSync(dataDir)]).toEqual([false, false]);
    await rm(folder, { recursive: true });
  }, 180_000);
});

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(port, '127.0.0.1', () => resolve(true));
    socket.once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}
