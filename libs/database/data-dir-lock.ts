import { randomUUID } from 'node:crypto';
import { link, lstat, realpath, rename, rm, stat } from 'node:fs/promises';
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeDataDir } from '#libs/settings';
import { answerAt, type Answering } from './data-dir-holder.js';
import { shorten } from './socket-path.js';

export interface DataDirLock {
  /** Has other processes of the folder's owner speak to this one (`callHolder`), until it is closed, which comes before the release. */
  answer(onCaller: (caller: Socket) => void): Promise<Answering>;
  release(): Promise<void>;
}

/**
 * Lets one process at a time into `dataDir`: two on one embedded database lose rows without an error (97 of 200 survived).
 * A bound socket is the one kind of file that says by itself whether its owner lives, so a kill -9 leaves no stale lock. Of several
 * that find the socket of a dead owner and take it away, one could take away what another has just bound; so on Linux there is one
 * at it at a time, whoever has the name that goes with its process (unix(7), abstract sockets). In other containers names are others.
 */
export async function lockDataDir(dataDir: string): Promise<DataDirLock> {
  await makeDataDir(dataDir);
  const folder = await realpath(dataDir);
  const shortcut = await shorten(folder, NAME);
  const server = createServer((socket) => socket.end(String(process.pid)).on('error', () => socket.destroy()));
  const name = createServer((socket) => socket.destroy());
  try {
    await alone(name, folder, join(shortcut.path, NAME));
    for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
      if (await listens(server, join(shortcut.path, NAME))) {
        server.unref();
        return {
          answer: (onCaller) => answerAt(shortcut.path, onCaller),
          async release() {
            await close(server);
            await close(name);
            await shortcut.remove();
          },
        };
      }
      const seen = await lstat(join(folder, NAME)).catch(() => undefined);
      const owner = await ownerOf(join(shortcut.path, NAME));
      if (owner !== undefined) throw inUse(folder, owner);
      if (seen !== undefined) await removeStale(shortcut.path, seen.ino);
    }
    throw inUse(folder, '');
  } catch (error) {
    await close(name);
    await shortcut.remove();
    throw error;
  }
}

const NAME = 'in-use.sock';
const ATTEMPTS_MAX = 5;

/** Takes the name of this folder, or says whose it is. Whoever has it may not listen yet, or be about to end. */
async function alone(name: Server, folder: string, socket: string): Promise<void> {
  if (process.platform !== 'linux') return;
  const { dev, ino } = await stat(folder);
  let owner: string | undefined;
  for (let attempt = 1; attempt <= NAME_ATTEMPTS; attempt++) {
    if (await listens(name, `\0tributary ${dev} ${ino}`)) return void name.unref();
    owner = await ownerOf(socket);
    if (owner !== undefined) break;
    await sleep(NAME_PAUSE_MS);
  }
  throw inUse(folder, owner ?? '');
}

const NAME_ATTEMPTS = 40;
const NAME_PAUSE_MS = 50;

function inUse(folder: string, pid: string): Error {
  const by = pid === '' ? 'another process' : `another process (pid ${pid})`;
  return new Error(
    `The data folder ${folder} is in use by ${by}. Stop it, or give this one another folder in DATA_DIR.`,
  );
}

function listens(server: Server, path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const refused = (error: NodeJS.ErrnoException): void =>
      error.code === 'EADDRINUSE' ? resolve(false) : reject(error);
    server.once('error', refused);
    server.listen(path, () => {
      server.off('error', refused);
      resolve(true);
    });
  });
}

/** The pid of the process that listens, '' if it does not say within a second, undefined when nobody listens. */
function ownerOf(path: string): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    let said = '';
    const socket = createConnection(path);
    socket.setTimeout(1_000, () => socket.destroy());
    socket.on('data', (chunk) => (said += chunk.toString()));
    socket.on('close', () => resolve(said));
    socket.on('error', (error: NodeJS.ErrnoException) =>
      error.code === 'ECONNREFUSED' || error.code === 'ENOENT' ? resolve(undefined) : reject(error),
    );
  });
}

/**
 * Takes away the socket of a dead owner, and only that one: somebody else may have done so in the meantime and bound
 * their own, which is then put back. It may have been given the number of the dead one.
 */
async function removeStale(folder: string, inode: number): Promise<void> {
  // No longer than NAME: it is asked, too, and the paths of sockets are short.
  const aside = join(folder, `.${randomUUID().slice(0, 8)}`);
  try {
    await rename(join(folder, NAME), aside);
  } catch {
    return;
  }
  const taken = await lstat(aside);
  if (taken.ino !== inode || (await ownerOf(aside)) !== undefined)
    await link(aside, join(folder, NAME)).catch(() => {});
  await rm(aside, { force: true });
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}
