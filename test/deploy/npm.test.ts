import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { runs, startChild, type Child } from './child.js';
import { plainEnvironment } from './environment.js';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** A house of its own, built already, whose `npm start` is ours and whose program waits for a signal. */
const PROGRAM = `
  process.on('SIGTERM', () => { console.log('closed'); process.exit(0); });
  setInterval(() => {}, 1_000);
  console.log('program ' + process.pid);`;
let house: string;
let child: Child | undefined;

beforeEach(async () => {
  house = await mkdtemp(join(tmpdir(), 'tributary-npm-'));
  const { scripts } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { scripts: { start: string } };
  const files: Record<string, string> = {
    'package.json': JSON.stringify({
      type: 'module',
      scripts: {
        start: scripts.start,
        'by-a-shell': 'node commands/run.mjs start; true',
        unwatched: 'exec node dist/commands/start.js',
      },
    }),
    'dist/commands/start.js': PROGRAM,
    'dist/.built': String(Date.now() + 1e6),
  };
  for (const name of ['gateway', 'subgraphs', 'libs', 'test/servers']) files[`${name}/it`] = '';
  for (const name of ['.swcrc', 'nest-cli.json', 'tsconfig.json']) files[name] = '';
  for (const [file, text] of Object.entries(files)) {
    await mkdir(dirname(join(house, file)), { recursive: true });
    await writeFile(join(house, file), text);
  }
  for (const file of ['commands/run.mjs', 'commands/parent.mjs']) {
    await mkdir(dirname(join(house, file)), { recursive: true });
    await copyFile(join(root, file), join(house, file));
  }
});
afterEach(async () => {
  await child?.destroy();
  await rm(house, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
});

it.each([
  ['start', ['--help'], 'npm start takes nothing behind it; came "--help"; settings are variables of the environment'],
  ['gateway', ['4000'], 'npm run gateway takes nothing behind it; came "4000"'],
  ['compose', ['--check', '--nope'], 'npm run compose takes -- --check or -- --accept; came "--nope"'],
  ['sbom', ['--x'], 'npm run sbom takes nothing behind it; came "--x"'],
])('npm run %s with what it does not take does nothing, and says what it takes', (name, args, says) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['commands/run.mjs', name, ...args], {
    cwd: house,
    env: plainEnvironment(),
    encoding: 'utf8',
  });
  expect([status, stdout, stderr]).toEqual([2, '', expect.stringContaining(says)]);
});

/** By a shell that stays, whatever happens to what it has started: what is left behind is seen, and goes with the shell. */
async function start(...command: string[]): Promise<{ starter: number; program: number }> {
  const shell = '"$@" & echo starter $!; wait; sleep 1000';
  child = await startChild('shell', ['sh', '-c', shell, 'sh', ...command], { cwd: house, env: plainEnvironment() });
  // The shell may come to it later than what it has started.
  await child.said(/starter \d+\n/);
  await child.said(/program \d+\n/);
  const { output } = child;
  const pid = (what: string): number => Number(new RegExp(`${what} (\\d+)`).exec(output())![1]);
  return { starter: pid('starter'), program: pid('program') };
}

async function endOf(pid: number): Promise<void> {
  while (runs(pid)) await sleep(50);
}

describe('kill -9 of npm', () => {
  it.each([
    ['npm start', ['start']],
    ['a script whose shell stays between', ['run', 'by-a-shell']],
  ])('ends the program too, and cleanly: %s', async (_name, script) => {
    const { starter, program } = await start('npm', ...script);
    process.kill(starter, 'SIGKILL');
    await child!.said('closed');
    await endOf(program);
  });

  it('(control: a program that does not look for npm is left behind)', async () => {
    const { starter, program } = await start('npm', 'run', 'unwatched');
    process.kill(starter, 'SIGKILL');
    await endOf(starter);
    await sleep(1_000);
    expect(runs(program)).toBe(true);
  });
});

it('who was not started by npm outlives its parent', async () => {
  const { starter, program } = await start('sh', '-c', 'node commands/run.mjs start; true');
  process.kill(starter, 'SIGKILL');
  await endOf(starter);
  await sleep(1_000);
  expect(runs(program)).toBe(true);
});
