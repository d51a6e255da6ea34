import { chmodSync } from 'node:fs';
import { realpath, rm } from 'node:fs/promises';
import { createConnection, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { shorten } from './socket-path.js';

/** No longer than the lock's: its path is as short as that one's. */
const NAME = 'holder.sock';
const CALLERS_MAX = 8;

export interface Answering {
  /** Nobody is let in any more; resolves when nobody is on the line. */
  close(): Promise<void>;
}

/**
 * Has whoever may open the data folder's socket, which is its owner, speak to this process; callers beyond eight are hung up on. Only for
 * the holder of the folder's lock, given its short path: a socket that is there already was left by a holder who was killed.
 */
export async function answerAt(path: string, onCaller: (caller: Socket) => void): Promise<Answering> {
  const server = createServer(onCaller);
  server.maxConnections = CALLERS_MAX;
  const socket = join(path, NAME);
  await rm(socket, { force: true });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(socket, () => {
      server.off('error', reject);
      // Before the first caller is let in.
      chmodSync(socket, 0o600);
      resolve();
    });
  });
  server.unref();
  return { close: () => new Promise((resolve) => server.close(() => resolve())) };
}

/** A line to the process that holds `dataDir`; undefined: nobody holds it, or nobody who answers. Another user's is an error. */
export async function callHolder(dataDir: string): Promise<Socket | undefined> {
  const folder = await realpath(dataDir);
  const shortcut = await shorten(folder, NAME);
  try {
    return await connected(join(shortcut.path, NAME));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EACCES') throw error;
    throw new Error(
      `The data folder ${folder} is in use by a program that another user has started; only they may speak to it`,
      { cause: error },
    );
  } finally {
    await shortcut.remove();
  }
}

function connected(path: string): Promise<Socket | undefined> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(path);
    const refused = (error: NodeJS.ErrnoException): void =>
      error.code === 'ECONNREFUSED' || error.code === 'ENOENT' ? resolve(undefined) : reject(error);
    socket.once('error', refused);
    socket.once('connect', () => {
      socket.off('error', refused);
      resolve(socket);
    });
  });
}
