import { access, constants, mkdir, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { SettingsError } from './settings.js';

/**
 * Makes the folder that DATA_DIR names, or says in one sentence why it cannot be one. Step by step, because Node's recursive
 * mkdir never ends where a folder's parent is there and refuses it with ENOENT, as /proc does.
 */
export async function makeDataDir(dataDir: string): Promise<void> {
  try {
    for (const folder of await missingFolders(resolve(dataDir))) await makeFolder(folder);
    if (!(await stat(dataDir)).isDirectory()) throw new Error('it is no folder');
    await access(dataDir, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    throw new SettingsError([
      `DATA_DIR takes a folder that can be written to, and makes it where it is missing; came ${JSON.stringify(dataDir)} (${(error as Error).message}): name another folder, or allow this one`,
    ]);
  }
}

/** From the outermost to the folder itself. */
async function missingFolders(folder: string): Promise<string[]> {
  const missing: string[] = [];
  for (let at = folder; !(await isThere(at)); at = dirname(at)) missing.unshift(at);
  return missing;
}

async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    (error: unknown) => {
      if (isCode(error, 'ENOENT')) return false;
      throw error;
    },
  );
}

async function makeFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { mode: 0o700 });
  } catch (error) {
    // Another process was quicker.
    if (!isCode(error, 'EEXIST')) throw error;
  }
}

function isCode(error: unknown, code: string): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && error.code === code;
}
