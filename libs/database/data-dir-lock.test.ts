import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { lockDataDir } from './index.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tributary-lock-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

it('a data folder is for one at a time', async () => {
  const lock = await lockDataDir(folder);
  await expect(lockDataDir(folder)).rejects.toThrow(
    `The data folder ${folder} is in use by another process (pid ${process.pid})`,
  );
  await lock.release();
  await (await lockDataDir(folder)).release();
  expect(await readdir(folder)).toEqual([]);
});

it('is made when it is not there yet', async () => {
  const lock = await lockDataDir(join(folder, 'a', 'b'));
  expect(await readdir(join(folder, 'a', 'b'))).toEqual(['in-use.sock']);
  await lock.release();
});

it('is the same folder by another name', async () => {
  await symlink(folder, `${folder}-link`);
  const lock = await lockDataDir(folder);
  await expect(lockDataDir(`${folder}-link`)).rejects.toThrow('in use');
  await lock.release();
  await rm(`${folder}-link`);
});

it('may have a name longer than the name of a socket may be', async () => {
  const long = join(folder, ...Array.from({ length: 10 }, () => 'a folder with a long name'));
  const lock = await lockDataDir(long);
  expect(await readdir(long)).toEqual(['in-use.sock']);
  await expect(lockDataDir(long)).rejects.toThrow(`The data folder ${long} is in use`);
  await lock.release();
  expect(await readdir(long)).toEqual([]);
  await (await lockDataDir(long)).release();
});

it('goes to exactly one of many that come together', async () => {
  const comers = await Promise.allSettled(Array.from({ length: 20 }, () => lockDataDir(folder)));
  const locks = comers.flatMap((comer) => (comer.status === 'fulfilled' ? [comer.value] : []));
  expect(locks).toHaveLength(1);
  await locks[0]!.release();
});

it('is not kept from anybody by a file that merely has the name of the socket', async () => {
  await writeFile(join(folder, 'in-use.sock'), 'left by a backup');
  await (await lockDataDir(folder)).release();
});
