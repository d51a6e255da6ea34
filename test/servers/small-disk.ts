import { execFileSync } from 'node:child_process';
import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import type { PostgresServer } from './postgres.js';

/** May this process give a server a disk of its own? Root may, where its container lets it mount. */
export function canMount(): boolean {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return false;
  try {
    execFileSync('setpriv', ['--version'], { stdio: 'ignore' });
    execFileSync('unshare', ['-m', 'mount', '-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', '/tmp'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** Leaves not a byte on the disk of a server that has one of its own (`diskMib`); answers what makes room again. */
export function fillDisk({ pid, dataDir }: PostgresServer): () => void {
  // Nobody but the server sees its disk.
  const ballast = `/proc/${pid}/root${dataDir}/ballast`;
  const file = openSync(ballast, 'w');
  try {
    for (const bytes of [1024 * 1024, 4096]) {
      const piece = Buffer.alloc(bytes);
      try {
        for (;;) if (writeSync(file, piece) < bytes) break;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
      }
    }
  } finally {
    closeSync(file);
  }
  return () => rmSync(ballast);
}
