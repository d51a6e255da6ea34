import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * None of those that the system gives to whoever connects to somebody (Linux: 32768 and above): until a program listens there, or again
 * after it was ended, seconds may pass.
 */
const [FROM, COUNT] = [20_000, 12_000];
/** A file for each that was chosen, with the number of the process that did: until a program listens there, it looks free to others. */
const CHOSEN = join(tmpdir(), `tributary-ports-${process.getuid?.() ?? 'all'}`);

/** A port on which nobody listens, nor on those that lie `and` above it; for as long as this process runs nobody else is given them. */
export async function freePort(...and: readonly number[]): Promise<number> {
  mkdirSync(CHOSEN, { recursive: true });
  for (;;) {
    const port = FROM + Math.floor(Math.random() * COUNT);
    const all = [0, ...and].map((above) => port + above);
    if (!all.every(choose)) continue;
    const free = await Promise.all(all.map(isFree));
    if (!free.includes(false)) return port;
  }
}

/** Whether it is ours from now on. */
function choose(port: number): boolean {
  const file = join(CHOSEN, String(port));
  try {
    writeFileSync(file, String(process.pid), { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  if (!isOver(file)) return false;
  rmSync(file, { force: true });
  return false;
}

/** Has the process ended that has chosen it? Of one that is just being written nothing is known. */
function isOver(file: string): boolean {
  try {
    process.kill(Number(readFileSync(file, 'utf8')), 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer().once('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
}
