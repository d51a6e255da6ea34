import { expect, it } from '@jest/globals';
import { spawn } from 'node:child_process';
import { ROOT } from '../../commands/root.js';

/** How a program ends that passes these points and then goes home: `SIGKILL`, or 0. Told by SIGUSR2, or armed from its start. */
function passing(points: readonly string[], killsAt: string, armed: boolean): Promise<number | string | null> {
  const program = `import { crashPoint } from './dist/libs/crash-point/index.js';
    const stays = setInterval(() => {}, 1_000);
    if (${!armed}) await new Promise((resolve) => { process.once('SIGUSR2', resolve); process.kill(process.pid, 'SIGUSR2'); });
    for (const point of ${JSON.stringify(points)}) crashPoint(point);
    clearInterval(stays);`;
  const child = spawn(
    process.execPath,
    ['--import', './dist/commands/faults/kills-at.js', '--input-type=module', '-e', program],
    { cwd: ROOT, env: { ...process.env, KILLS_AT: killsAt, ...(armed ? { KILLS_ARMED: '1' } : {}) }, stdio: 'ignore' },
  );
  return new Promise((resolve) => child.once('exit', (code, signal) => resolve(signal ?? code)));
}

it.each<[string, readonly string[], string, boolean, number | string]>([
  ['a point, told by a signal', ['relay:read', 'relay:published'], 'relay:published', false, 'SIGKILL'],
  ['a point, from its start', ['saga:heard'], 'saga:heard', true, 'SIGKILL'],
  [
    'one behind another',
    ['write:recorded', 'commit:before', 'commit:after'],
    'write:recorded>commit:after',
    true,
    'SIGKILL',
  ],
  ['control: of a point that it does not pass', ['relay:read'], 'relay:published', true, 0],
  [
    'control: of one behind another, passed the other way round',
    ['commit:after', 'write:recorded'],
    'write:recorded>commit:after',
    true,
    0,
  ],
])('a program is killed at %s', async (_, points, killsAt, armed, ends) => {
  expect(await passing(points, killsAt, armed)).toBe(ends);
});
