import { setFlagsFromString } from 'node:v8';
import { PGlite, type PGliteOptions } from '@electric-sql/pglite';
import { messageOf } from '../trouble.js';

/**
 * For a machine that also runs everything else: 16 MB of buffers instead of 128, no compiler, a short log. Durable against
 * the death of the process, not of the machine: PGlite runs without fsync.
 */
export const CONFIGURATION = [
  'shared_buffers = 16MB',
  'max_connections = 5',
  'jit = off',
  'max_wal_size = 32MB',
  'min_wal_size = 2MB',
  "timezone = 'UTC'",
  "log_timezone = 'UTC'",
];

// V8 compiles PostgreSQL twice, the second time with its optimising compiler in the background: all in one then takes 450 MB
// after a hundred profile pages instead of 360, and 600 uncached pages took the same CPU within the noise (9.6–13 s).
setFlagsFromString('--liftoff-only');

let lastOpened: Promise<unknown> = Promise.resolve();

/**
 * Opens the database in `folder`. One at a time in a process: it all runs on this one thread anyway, and those that open
 * together would each compile PostgreSQL for themselves (three: 310 MB instead of 350).
 */
export function openPglite(folder: string, options: PGliteOptions = {}): Promise<PGlite> {
  const opened = lastOpened.then(() => open(folder, options));
  lastOpened = opened.catch(() => {});
  return opened;
}

/** Its errors are ours, for Node would print the minified line that threw theirs. */
async function open(folder: string, options: PGliteOptions): Promise<PGlite> {
  const exitCode = process.exitCode;
  const said: string[] = [];
  const onStderr = (line: string): boolean => {
    said.push(line);
    if (said.length > SAID_MAX) said.shift();
    return false;
  };
  try {
    return await PGlite.create(folder, { postgresqlconf: CONFIGURATION, onStderr, ...options });
  } catch (cause) {
    throw new Error(`The embedded database in ${folder} cannot be opened: ${[messageOf(cause), ...said].join('\n')}`);
  } finally {
    // Emscripten writes the status of PostgreSQL's main() there (99: it goes on running).
    process.exitCode = exitCode;
  }
}

export async function closePglite(pglite: PGlite): Promise<void> {
  const exitCode = process.exitCode;
  try {
    await pglite.close();
  } finally {
    process.exitCode = exitCode;
  }
}

/** Its last words, when it cannot open. */
const SAID_MAX = 5;
