import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { cp, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../test/servers/free-port.js';
import { ROOT } from './root.js';

/**
 * `npm run measure`: the figures of the README, each as a person would see it: from the command to the first answered
 * profile page, memory after a hundred of them, and what a production install weighs. Builds in a copy of the sources, so
 * that the first start is a first start and nothing here is touched.
 */
const query = await readFile(join(ROOT, 'examples/profile-page.graphql'), 'utf8');
const folder = await mkdtemp(join(tmpdir(), 'tributary-measure-'));
try {
  await copySources(folder);
  const first = await run(folder);
  const second = await run(folder);
  const third = await run(folder);
  const rows: [string, string, string][] = [
    ['first start: build, template, migrations, seed → first answer', seconds(first.answeredMs), '≤ 15 s'],
    ['every later start → first answer', seconds(Math.max(second.answeredMs, third.answeredMs)), '≤ 8 s'],
    ['resident memory after 100 profile pages, first start', megabytes(first.residentBytes), '≤ 500 MB'],
    ['resident memory after 100 profile pages, later start', megabytes(third.residentBytes), '≤ 500 MB'],
    ['production dependencies, installed', megabytes(productionBytes(folder)), '≤ 330 MB'],
  ];
  console.log(`Node ${process.version}, ${process.platform} ${process.arch}`);
  console.log('| what | measured | bar |\n|---|--:|--:|');
  for (const row of rows) console.log(`| ${row.join(' | ')} |`);
} finally {
  await rm(folder, { recursive: true, force: true });
}

async function copySources(to: string): Promise<void> {
  const listed = spawnSync('git', ['ls-files', '-z'], { cwd: ROOT, encoding: 'utf8' });
  for (const file of listed.stdout.split('\0').filter(Boolean)) await cp(join(ROOT, file), join(to, file));
  await cp(join(ROOT, 'node_modules'), join(to, 'node_modules'), { recursive: true, verbatimSymlinks: true });
}

async function run(cwd: string): Promise<{ answeredMs: number; residentBytes: number }> {
  const port = await freePort();
  const started = Date.now();
  const child = spawn(process.execPath, ['commands/run.mjs', 'start'], {
    cwd,
    env: { ...process.env, PORT: String(port), DATA_DIR: join(cwd, 'data') },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  try {
    while (!(await answered(port))) {
      if (child.exitCode !== null) throw new Error(`npm start ended with ${child.exitCode} before it answered`);
      if (Date.now() - started > 120_000) throw new Error('npm start has not answered within 120 s');
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    const answeredMs = Date.now() - started;
    for (let page = 0; page < 100; page++) await answered(port);
    return { answeredMs, residentBytes: await resident(child) };
  } finally {
    child.kill('SIGTERM');
    await new Promise((resolve) => child.once('exit', resolve));
  }
}

async function answered(port: number): Promise<boolean> {
  try {
    const response = await fetch(`http://127.0.0.1:${port}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ query, variables: { handle: 'alice' } }),
    });
    const body = (await response.json()) as { data?: { userByHandle?: object | null }; errors?: unknown };
    return body.errors === undefined && Boolean(body.data?.userByHandle);
  } catch {
    return false;
  }
}

/** `VmRSS` of the process, on Linux; elsewhere what ps says. */
async function resident(child: ChildProcess): Promise<number> {
  const status = await readFile(`/proc/${child.pid}/status`, 'utf8').catch(() => '');
  const kilobytes =
    /VmRSS:\s+(\d+)/.exec(status)?.[1] ??
    spawnSync('ps', ['-o', 'rss=', '-p', String(child.pid)], { encoding: 'utf8' }).stdout;
  return Number(kilobytes) * 1024;
}

/** What `npm ci --omit=dev` leaves, on disk. */
function productionBytes(cwd: string): number {
  const pruned = spawnSync('npm', ['prune', '--omit=dev', '--ignore-scripts', '--no-audit', '--no-fund'], {
    cwd,
    encoding: 'utf8',
  });
  if (pruned.status !== 0) throw new Error(`npm prune failed: ${pruned.stderr}`);
  const used = spawnSync('du', ['-sk', 'node_modules'], { cwd, encoding: 'utf8' });
  return Number(used.stdout.split('\t')[0]) * 1024;
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

function megabytes(bytes: number): string {
  return `${Math.round(bytes / 1e6)} MB`;
}
