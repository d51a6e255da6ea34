import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { mkdir, mkdtemp, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeDataDir, SettingsError } from './index.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tributary-data-dir-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe('DATA_DIR', () => {
  it('is made with every folder above it, for its owner only, also by many at once', async () => {
    const deep = join(folder, 'a', 'b', 'c');
    await Promise.all(Array.from({ length: 10 }, () => makeDataDir(deep)));
    expect((await stat(deep)).mode & 0o777).toBe(0o700);
    await makeDataDir(deep);
  });

  it.each([
    ['a plain file', async () => (await writeFile(join(folder, 'file'), ''), join(folder, 'file'))],
    ['below a plain file', async () => (await writeFile(join(folder, 'file'), ''), join(folder, 'file', 'data'))],
    ['a link to nowhere', async () => (await symlink('nowhere', join(folder, 'link')), join(folder, 'link'))],
  ])('%s is refused in one sentence: the variable, what it takes, what came, what to do', async (_what, make) => {
    const path = await make();
    const refused: unknown = await makeDataDir(path).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(SettingsError);
    const [mistake, ...more] = (refused as SettingsError).mistakes;
    expect(more).toEqual([]);
    expect(mistake).toMatch(
      /^DATA_DIR takes a folder that can be written to, and makes it where it is missing; came "[^"]*" \([^)]+\): name another folder, or allow this one$/,
    );
    expect(mistake).toContain(JSON.stringify(path));
  });

  it('where nothing can be made it is refused as well, and the wait for it ends', async () => {
    await expect(makeDataDir('/proc/x/y')).rejects.toThrow('came "/proc/x/y"');
    // The control is Node's own recursive mkdir, which never ends in /proc and keeps its thread for ever; one step says so at once.
    await expect(mkdir('/proc/x')).rejects.toThrow();
  });
});
