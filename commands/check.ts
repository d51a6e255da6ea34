import { spawn } from 'node:child_process';
import { steps } from './check-steps.js';
import { ROOT } from './root.js';

/**
 * `npm run check`: everything that can be wrong without running it, each step with its time, and what is wrong shown below it. The two that
 * take longest begin together; who is free takes the next.
 */
const AT_ONCE = 2;

let failed = 0;
const waiting = [...steps];
const next = async (): Promise<void> => {
  for (let step = waiting.shift(); step !== undefined; step = waiting.shift()) {
    const started = Date.now();
    const { ok, said } = await run(step.command);
    console.log(`${ok ? '✓' : '✗'} ${step.name} (${((Date.now() - started) / 1000).toFixed(1)} s)`);
    if (ok) continue;
    failed++;
    console.log(said);
  }
};
await Promise.all(Array.from({ length: AT_ONCE }, next));
if (failed > 0) {
  console.error(`${failed} of ${steps.length} checks failed.`);
  process.exitCode = 1;
}

function run(command: readonly string[]): Promise<{ ok: boolean; said: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, command, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => (said += text));
    child.once('error', reject);
    child.once('close', (code) => resolve({ ok: code === 0, said }));
  });
}
