import { spawn } from 'node:child_process';
import { ROOT } from '../../commands/root.js';

/** `npm run …` to its end. */
export function runCommand(...args: readonly string[]): Promise<{ code: number | null; out: string; err: string }> {
  return runCommandWith({}, ...args);
}

/** The same, with this in its environment. */
export function runCommandWith(
  env: Readonly<Record<string, string>>,
  ...args: readonly string[]
): Promise<{ code: number | null; out: string; err: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['commands/run.mjs', ...args], {
      cwd: ROOT,
      env: { PATH: process.env['PATH'], ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const said = { out: '', err: '' };
    child.stdout.on('data', (chunk: Buffer) => (said.out += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (said.err += chunk.toString()));
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, ...said }));
  });
}
