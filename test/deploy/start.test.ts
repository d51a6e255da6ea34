import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { generateKeyPairSync } from 'node:crypto';
import { createServer, type AddressInfo } from 'node:net';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { lockDataDir } from '#libs/database';
import { sealingKeys } from '../sealer.js';
import { plainEnvironment } from './environment.js';
import { childrenOf, startChild, type Child } from './child.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const READY = 'Ready in';

/** `npm start` as somebody types it, but for the port and the folder. */
describe('npm start', () => {
  let dataDir: string;
  const children: Child[] = [];
  const start = async (more: Record<string, string> = {}): Promise<Child> => {
    const env = { ...plainEnvironment(), PORT: '0', DATA_DIR: dataDir, ...more };
    const child = await startChild('npm start', ['npm', 'start'], { cwd: root, env });
    children.push(child);
    return child;
  };
  beforeAll(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'tributary-start-'));
  });
  afterAll(async () => {
    await Promise.all(children.map((child) => child.destroy()));
    await rm(dataDir, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  });

  it('prints addresses, answers the profile page, stops clean; the next start has what was written', async () => {
    // One of them is nobody's, and three are for others than this one: figures, which several processes may not have, it has.
    const first = await start({
      COST_LIMT: '51234',
      SUBGRAPH_URL_NOPE: 'http://hunter2/',
      WORKERS: '2',
      METRICS_PORT: '0',
      IDENTITY: 'off',
    });
    await first.said(READY);
    for (const line of [
      'COST_LIMT is no setting of npm start, and nothing heeds it; probably COST_LIMIT was meant (docs/settings.md)',
      'WORKERS is not heeded by npm start: ',
      'IDENTITY is not heeded by npm start: ',
      'SUBGRAPH_URL_NOPE: The supergraph has no subgraph by this name, so its address is not used; ',
    ])
      expect(first.output()).toContain(`"msg":"${line}`);
    expect(first.output().match(/^\{/gm)).toHaveLength(4);
    expect(first.output()).not.toMatch(/hunter2|51234/);
    const urls = addresses(first.output());
    expect(Object.keys(urls)).toEqual(['playground', 'users', 'posts', 'followers']);
    expect(first.output()).toContain('alice, bob, carol, dan or eve; password tributary');

    const page = await ask(urls['playground']!, await example('profile-page'), { handle: 'alice' });
    expect(page).toMatchObject({ data: { userByHandle: { handle: 'alice', followerCount: 4 } } });
    expect(page).not.toHaveProperty('errors');

    const { token } = (
      await ask(urls['playground']!, await example('log-in'), {
        input: { handle: 'alice', password: 'tributary' },
      })
    ).data!['logIn'] as { token: string };
    const published = await ask(
      urls['playground']!,
      await example('publish'),
      { input: { body: 'before the stop' } },
      token,
    );
    expect(published).not.toHaveProperty('errors');
    expect(await first.end('SIGTERM')).toBe(0);
    expect(first.output()).toContain('Stopped.');

    const second = await start();
    await second.said(READY);
    expect(second.output()).not.toContain('Seeded');
    // Control: nothing is said of the environment that it is mostly started in.
    expect(second.output()).not.toMatch(/^\{/m);
    const again = await ask(addresses(second.output())['playground']!, await example('profile-page'), {
      handle: 'alice',
    });
    expect(JSON.stringify(again)).toContain('before the stop');
    // The key that signed it is kept too.
    const me = await ask(addresses(second.output())['playground']!, await example('me'), {}, token);
    expect(me).toMatchObject({ data: { me: { handle: 'alice' } } });

    const third = await start();
    expect(await third.ended()).toBe(1);
    expect(third.output()).toContain(dataDir);
    expect(third.output()).not.toContain('    at ');
    // Ctrl+C: the terminal tells each of them, and npm tells its script once more.
    const [program] = childrenOf(second.pid);
    process.kill(program!, 'SIGINT');
    expect(await second.end('SIGINT')).toBe(0);
    expect(second.output()).toContain('Stopped.');
  }, 120_000);

  it('where others may reach it, says who can be logged in as by anybody, and calls no playground what is none', async () => {
    const child = await start({ NODE_ENV: 'production', RATE_LIMIT_PERSON: '60000', RATE_LIMIT_ADDRESS: '60000' });
    await child.said(READY);
    expect(child.output().match(/^\{.*/gm)).toEqual([
      expect.stringMatching(
        /"people":\["alice","bob","carol","dan","eve"\],"msg":"Others may reach this, and anybody can log in/,
      ),
    ]);
    expect(Object.keys(addresses(child.output()))).toEqual(['graphql', 'users', 'posts', 'followers']);
    expect(await child.end('SIGTERM')).toBe(0);
  }, 120_000);

  it('makes no new keys over data, unless it is told that the old ones are lost', async () => {
    const [keys, aside] = [join(dataDir, 'keys'), join(dataDir, 'keys-aside')];
    await rename(keys, aside);
    const said = expect.stringContaining(`put it back from a backup, or make an empty file ${join(keys, 'lost')}`);
    for (const command of [['start'], ['run', 'seed', '--', '--users', '10']]) {
      const env = { ...plainEnvironment(), PORT: '0', DATA_DIR: dataDir };
      const child = await startChild('npm', ['npm', ...command], { cwd: root, env });
      children.push(child);
      expect([await child.ended(), child.output()]).toEqual([1, said]);
      // Nothing is in the way of what is put back.
      await expect(stat(keys)).rejects.toMatchObject({ code: 'ENOENT' });
    }
    // Also where the one alone is gone without which addresses are lost.
    await rename(aside, keys);
    const [sealing, elsewhere] = [join(keys, 'sealing.secret'), join(dataDir, 'sealing-aside')];
    await rename(sealing, elsewhere);
    const one = await start();
    expect([await one.ended(), one.output()]).toEqual([1, expect.stringContaining(`${sealing} is gone: put it back`)]);
    await expect(stat(sealing)).rejects.toMatchObject({ code: 'ENOENT' });
    await rename(elsewhere, sealing);
    await rename(keys, aside);
    await mkdir(keys, { mode: 0o700 });
    await writeFile(join(keys, 'lost'), '');
    const child = await start();
    await child.said(READY);
    expect(await child.end('SIGTERM')).toBe(0);
    await rm(keys, { recursive: true });
    await rename(aside, keys);
  }, 120_000);

  it('puts a graph in beside what is there, once more as well, but not where people have acted since', async () => {
    const seed = async (...more: string[]): Promise<Child> => {
      const env = { ...plainEnvironment(), DATA_DIR: dataDir };
      const child = await startChild('seed', ['npm', 'run', 'seed', '--', '--users', '10', ...more], {
        cwd: root,
        env,
      });
      children.push(child);
      return child;
    };
    const first = await seed();
    expect([await first.ended(), first.output()]).toEqual([0, expect.stringContaining('Seeded 10 people')]);
    // Alice has, when the program ran before.
    const again = await seed();
    expect([await again.ended(), again.output()]).toEqual([1, expect.stringContaining('say --again')]);
    const forced = await seed('--again');
    expect([await forced.ended(), forced.output()]).toEqual([0, expect.stringContaining('Seeded 10 people')]);
  }, 120_000);

  it('says once that its port is taken, and lives on for nothing, its figures neither, and has made nothing by then', async () => {
    const untouched = join(dataDir, 'untouched');
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    const { port } = taken.address() as AddressInfo;
    const child = await start({
      DATA_DIR: untouched,
      PORT: String(port),
      METRICS_PORT: '0',
      ENTITY_CACHE: 'on',
      ENTITY_CACHE_PORT: '0',
      ENTITY_CACHE_SECRET: 'a secret of thirty-two characters!',
    });
    expect([await child.ended(), child.output()]).toEqual([
      1,
      expect.stringContaining(`Something else listens on port ${port} already; end it`),
    ]);
    // Nor does a service alone, which says it in the same sentence.
    const posts = await startChild('posts', ['node', 'dist/subgraphs/posts/main.js'], {
      cwd: root,
      env: { ...plainEnvironment(), PORT: String(port), DATA_DIR: join(dataDir, 'posts-alone') },
    });
    children.push(posts);
    expect([await posts.ended(), posts.output()]).toEqual([
      1,
      expect.stringMatching(new RegExp(`^Something else listens on port ${port} already; .*\\.$`, 'm')),
    ]);
    expect(posts.output()).not.toContain('    at ');
    await expect(stat(untouched)).rejects.toMatchObject({ code: 'ENOENT' });
    // Where there is a folder already, it is given back.
    const again = await start({ PORT: String(port) });
    expect([await again.ended(), again.output()]).toEqual([1, expect.stringContaining('Something else listens')]);
    await (await lockDataDir(dataDir)).release();
    await new Promise((resolve) => taken.close(resolve));
  }, 120_000);

  it('keeps the keys that it made from everybody else on the machine', async () => {
    const files = await readdir(join(dataDir, 'keys'));
    const modes = await Promise.all(files.map(async (file) => (await stat(join(dataDir, 'keys', file))).mode & 0o777));
    expect(modes.map((mode) => mode.toString(8))).toEqual(files.map(() => '600'));
    expect(files.length).toBeGreaterThanOrEqual(2);
    expect(((await stat(join(dataDir, 'keys'))).mode & 0o077).toString(8)).toBe('0');
  });

  it('names every mistake in the settings at once, and starts nothing', async () => {
    const child = await start({ PORT: 'four thousand', CACHE: 'maybe', REDIS_ULR: 'redis://hunter2' });
    expect(await child.ended()).toBe(1);
    const said = child.output();
    expect(said.match(/CACHE takes one of on, off; came "maybe"/g)).toHaveLength(1);
    expect(said).toContain('PORT takes a port, 0 to 65535 (0: any free one); came "four thousand"');
    expect(said).toContain('nothing was started');
    // What is missing may be there under another name.
    expect(said).toContain('probably REDIS_URL was meant');
    expect(said).not.toContain('hunter2');
    expect(child.output()).not.toContain('    at ');
  }, 180_000);

  it('makes no folder, connection or role before it knows all mistakes', async () => {
    const untouched = join(dataDir, 'untouched');
    const child = await start({
      DATA_DIR: untouched,
      USERS_DATABASE_URL: 'mysql://127.0.0.1:1/x',
      DATABASE_URL: 'postgres://nobody@127.0.0.1:1/x',
      REDIS_URL: '127.0.0.1:1',
      ASSERTION_SECRET: 'short',
      POSTS_DATABASE_REPLICA_URLS: 'postgres://127.0.0.1:1/posts',
      SEED: 'yes',
      PORT: '65536',
      PERSISTED_DOCUMENTS: join(untouched, 'documents.json'),
      SUBGRAPH_TLS_CA: join(untouched, 'ca.pem'),
    });
    expect(await child.ended()).toBe(1);
    for (const name of [
      'USERS_DATABASE_URL',
      'REDIS_URL',
      'ASSERTION_SECRET',
      'POSTS_DATABASE_REPLICA_URLS takes a POSTS_DATABASE_URL beside it',
      'SEED',
      'SIGNING_KEY',
      'SEALING_KEYS',
      'PORT',
      'PERSISTED_DOCUMENTS',
      'SUBGRAPH_TLS_CA',
    ])
      expect(child.output()).toMatch(new RegExp(`^ {2}${name}\\b`, 'm'));
    expect(child.output()).not.toContain('ECONNREFUSED');
    await expect(stat(untouched)).rejects.toMatchObject({ code: 'ENOENT' });
  }, 180_000);

  it.each(['/proc/x', fileURLToPath(import.meta.url)])(
    'says what DATA_DIR takes where it cannot be %s',
    async (path) => {
      const child = await start({ DATA_DIR: path });
      expect(await child.ended()).toBe(1);
      expect(child.output()).toContain(`DATA_DIR takes a folder that can be written to`);
      expect(child.output()).toContain(`came ${JSON.stringify(path)}`);
      expect(child.output()).not.toContain('    at ');
    },
    180_000,
  );

  it.each([
    ['DATABASE_URL', ['DATABASE_URL']],
    ['(USERS|POSTS|FOLLOWERS)_DATABASE_URL', ['USERS_DATABASE_URL', 'POSTS_DATABASE_URL', 'FOLLOWERS_DATABASE_URL']],
  ])(
    'names %s where no database listens there, and shows no password',
    async (named, variables) => {
      const key = generateKeyPairSync('ed25519').privateKey.export({ format: 'der', type: 'pkcs8' }).toString('base64');
      const child = await start({
        ...Object.fromEntries(variables.map((name) => [name, 'postgres://admin:hunter2@127.0.0.1:1/x'])),
        ASSERTION_SECRET: 's'.repeat(32),
        SIGNING_KEY: key,
        SEALING_KEYS: sealingKeys(),
      });
      expect(await child.ended()).toBe(1);
      expect(child.output()).toMatch(
        new RegExp(`at 127\\.0\\.0\\.1:1\\S* cannot be opened: connect ECONNREFUSED.* or correct ${named}\\.`),
      );
      expect(child.output()).not.toContain('hunter2');
      expect(child.output()).not.toContain('    at ');
    },
    180_000,
  );
});

function addresses(output: string): Record<string, string> {
  return Object.fromEntries([...output.matchAll(/^ {2}(\w+) +(http:\S+)$/gm)].map(([, name, url]) => [name, url]));
}

async function ask(
  url: string,
  query: string,
  variables: object,
  token?: string,
): Promise<{ data?: Record<string, unknown> }> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(token ? { authorization: `Bearer ${token}` } : {}) },
    body: JSON.stringify({ query, variables }),
  });
  return (await response.json()) as { data?: Record<string, unknown> };
}

function example(name: string): Promise<string> {
  return readFile(join(root, 'examples', `${name}.graphql`), 'utf8');
}
