import { mkdtemp, readdir, readFile, rename, rm, stat, unlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SettingsError } from '#libs/settings';
import { pack, unpack } from './archive.js';
import { closePglite, openPglite } from './pglite.js';

/**
 * The folder that every new embedded database starts as. It is made once per version of PGlite, by `npm run template`,
 * because initdb in WebAssembly takes 4–7 s; its copy takes 0.1 s.
 */
export const templateFile = fileURLToPath(new URL('./template.br', import.meta.url));

/** The template as the one file that is committed. */
export async function buildTemplate(): Promise<Buffer> {
  const parent = await mkdtemp(join(tmpdir(), 'tributary-template-'));
  try {
    const folder = join(parent, 'template');
    await makeTemplate(folder);
    return await pack(folder);
  } finally {
    await rm(parent, { recursive: true, force: true });
  }
}

/** What initdb makes, without what one service on one machine never uses. */
export async function makeTemplate(folder: string): Promise<void> {
  // 1 MB segments: with 16 MB ones the smallest log of a service is larger than its data.
  const pglite = await openPglite(folder, { initDbStartParams: ['--wal-segsize=1'] });
  // Both template databases are copies of the one in use: two thirds of the folder.
  for (const statement of [
    'UPDATE pg_database SET datistemplate = false',
    'DROP DATABASE template0',
    'DROP DATABASE template1',
    'CHECKPOINT',
  ]) {
    await pglite.exec(statement);
  }
  const { rows } = await pglite.query<{ file: string }>('SELECT pg_walfile_name(pg_current_wal_lsn()) AS file');
  await closePglite(pglite);
  await removeUnusedLog(join(folder, 'pg_wal'), rows[0]!.file);
}

/** Makes `folder` a new database, or leaves it as it is: a kill at any moment leaves either nothing or all of it. */
export async function copyTemplate(folder: string): Promise<void> {
  if (await exists(join(folder, 'PG_VERSION'))) return;
  const unfinished = join(dirname(folder), `.${basename(folder)}.unfinished`);
  await rm(unfinished, { recursive: true, force: true });
  await unpack(await readFile(templateFile), unfinished);
  try {
    await rename(unfinished, folder);
  } catch (error) {
    await rm(unfinished, { recursive: true, force: true });
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST' && code !== 'ENOTDIR') throw error;
    throw new SettingsError([
      `DATA_DIR takes a folder of ours; ${folder} has something else in it and no database: move that away, or name another folder`,
    ]);
  }
}

async function removeUnusedLog(folder: string, current: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (/^[0-9A-F]{24}$/.test(name) && name !== current) await unlink(join(folder, name));
  }
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
