import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { chmodSync } from 'node:fs';
import { chmod, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { callHolder, lockDataDir } from './index.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tributary-holder-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const hello = (caller: Socket): void => void caller.end('hello');

async function said(line: Socket | undefined): Promise<string | undefined> {
  if (line === undefined) return undefined;
  let text = '';
  for await (const chunk of line.setEncoding('utf8')) text += chunk as string;
  return text;
}

it('who holds a data folder answers until it is closed; who only holds it, and nobody, answer nothing', async () => {
  expect(await callHolder(folder)).toBeUndefined();
  const lock = await lockDataDir(folder);
  expect(await callHolder(folder)).toBeUndefined();
  const answering = await lock.answer(hello);
  expect(await said(await callHolder(folder))).toBe('hello');
  await answering.close();
  expect(await callHolder(folder)).toBeUndefined();
  await lock.release();
  expect(await readdir(folder)).toEqual([]);
});

it('answers also in a folder with a longer name than the name of a socket may be, and where a file has its name', async () => {
  const long = join(folder, ...Array.from({ length: 10 }, () => 'a folder with a long name'));
  const lock = await lockDataDir(long);
  await writeFile(join(long, 'holder.sock'), 'left by a backup');
  const answering = await lock.answer(hello);
  expect(await said(await callHolder(long))).toBe('hello');
  await answering.close();
  await lock.release();
  expect(await readdir(long)).toEqual([]);
});

it('nobody but the owner of the folder is answered, also where others may look into it (control: a socket that they may open)', async () => {
  await chmod(folder, 0o755);
  const lock = await lockDataDir(folder);
  const answering = await lock.answer(hello);
  const socket = join(folder, 'holder.sock');
  expect(((await stat(socket)).mode & 0o777).toString(8)).toBe('600');
  if (process.getuid?.() === 0) {
    expect(stranger(socket)).toBe('EACCES');
    chmodSync(socket, 0o666);
    expect(stranger(socket)).toBe('connected');
  }
  await answering.close();
  await lock.release();
});

it('of more than eight callers at once the others are hung up on', async () => {
  const lock = await lockDataDir(folder);
  const inside: Socket[] = [];
  const answering = await lock.answer((caller) => void inside.push(caller));
  const lines: Socket[] = [];
  for (let nth = 0; nth < 9; nth++) lines.push((await callHolder(folder)) as Socket);
  expect(await said(lines[8])).toBe('');
  while (inside.length < 8) await new Promise((resolve) => setTimeout(resolve, 10));
  for (const line of lines) line.destroy();
  for (const caller of inside) caller.destroy();
  await answering.close();
  await lock.release();
});

/** What somebody who may do nothing is told who calls. */
function stranger(socket: string): string {
  const call = `require('node:net').connect(${JSON.stringify(socket)})
    .on('error', (error) => console.log(error.code)).on('connect', function () { console.log('connected'); this.destroy(); })`;
  return spawnSync(process.execPath, ['-e', call], { uid: 65_534, gid: 65_534, encoding: 'utf8' }).stdout.trim();
}
