/**
 * All of Tributary as it is deployed, each program a process of its own, on a PostgreSQL that answers some milliseconds late: what then is too much is
 * too much for the connections of the services to their databases. Nothing is kept and no reads are joined, so each answer takes its statements.
 */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const PEOPLE = 200;

export async function startTown(lateMs, env) {
  const { openTown, SERVICES } = await import('../../dist/commands/faults/town.js');
  const sealing = { SEALING_KEYS: `1:${randomBytes(32).toString('base64')}` };
  const town = await openTown(() => ({
    ...Object.fromEntries(SERVICES.map((name) => [name, { CACHE: 'off', ...(name === 'users' && sealing) }])),
    gateway: { JOIN: 'off', ...env },
  }));
  try {
    const urls = SERVICES.map((name) => [`${name.toUpperCase()}_DATABASE_URL`, town.databaseUrls[name]]);
    await seed({ ...Object.fromEntries(urls), ...sealing });
    const { origin } = new URL(town.graphql);
    const query = await profileOf(town.graphql);
    const bytes = Buffer.byteLength(await ask(town.graphql, query));
    for (const name of SERVICES) town.proxies.database[name].set({ latency: lateMs });
    return {
      origin,
      query,
      bytes,
      pid: town.pidOf('gateway'),
      services: SERVICES.map((name) => town.pidOf(name)),
      end: () => town.close(),
    };
  } catch (error) {
    await town.close();
    throw error;
  }
}

async function seed(env) {
  const folder = mkdtempSync(join(tmpdir(), 'tributary-overload-'));
  const seeding = spawn(process.execPath, [join(ROOT, 'commands/run.mjs'), 'seed', '--users', String(PEOPLE)], {
    cwd: ROOT,
    env: { PATH: process.env.PATH, DATA_DIR: folder, ...env },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const code = await new Promise((resolve) => seeding.once('exit', resolve));
  rmSync(folder, { recursive: true });
  if (code !== 0) throw new Error(`npm run seed ended with ${code}`);
}

/** The profile page of whoever of some has written most. */
async function profileOf(url) {
  const { data } = JSON.parse(await ask(url, '{ users(first: 20) { edges { node { handle postCount } } } }'));
  const most = data.users.edges.map(({ node }) => node).sort((a, b) => b.postCount - a.postCount)[0];
  return readFileSync(join(ROOT, 'examples/profile-page.graphql'), 'utf8')
    .replace('($handle: String!, $posts: Int = 20)', '')
    .replace('$handle', JSON.stringify(most.handle))
    .replace('$posts', '20');
}

async function ask(url, query) {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/json' },
    body: JSON.stringify({ query }),
  });
  const text = await response.text();
  if (!text.startsWith('{"data":{')) throw new Error(`The gateway answered ${text.slice(0, 200)}`);
  return text;
}
