import { afterEach, describe, expect, it } from '@jest/globals';
import { spawn } from 'node:child_process';
import { chownSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startEverything } from '../../commands/everything.js';
import { ROOT } from '../../commands/root.js';
import { silent } from '#libs/telemetry';
import type { Account, Child } from '../deploy/child.js';
import { plainEnvironment } from '../deploy/environment.js';
import { example, told, type Asking } from '../journeys/cast.js';
import { drift } from '../journeys/drift.js';
import { layOutStores } from '../stores.js';
import { asking, logIn, READY, spawnStart, urlIn, type Talking } from './all-in-one.js';

const opened: { children: Child[]; folders: string[] } = { children: [], folders: [] };
afterEach(async () => {
  await Promise.all(opened.children.splice(0).map((child) => child.destroy()));
  for (const folder of opened.folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

/** `npm start` without npm: the whole of Tributary in a process of its own, that is killed, started again and asked. */
describe('the program, all in one', () => {
  it('killed right after it acknowledged, has everything that it acknowledged, everywhere, and counts right', async () => {
    const dataDir = folder();
    await layOutStores(dataDir);
    let graph = await start(dataDir);
    const acknowledged: string[] = [];
    const authors = new Set<string>();

    for (let round = 0; round < 2; round++) {
      const [alice, dan, carol] = await Promise.all(['alice', 'dan', 'carol'].map((handle) => logIn(graph, handle)));
      if (!alice || !dan || !carol) throw new Error('nobody logged in');
      // carol follows dan in every other round; posts hears of it by an event. In the others she stops.
      const verb = round % 2 === 0 ? 'follow' : 'unfollow';
      const whom = { userId: dan.id };
      const writes = [
        ...[alice, dan].flatMap((who) =>
          Array.from({ length: 3 }, async (_, nth) => {
            const input = { input: { body: `round ${round}, post ${nth}` } };
            const { publishPost } = await told<{ publishPost: { id: string } }>(who, await example('publish'), input);
            acknowledged.push(publishPost.id);
            authors.add(who.id);
          }),
        ),
        example(verb).then((query) => told(carol, query, whom)),
      ];
      const settled = Promise.allSettled(writes);
      // One post is acknowledged; the others are under way, and no event need have been told yet.
      await Promise.race(writes.slice(round, -1));
      expect(await graph.child.end('SIGKILL')).toBe(137);
      await settled;

      graph = await start(dataDir);
      expect(graph.child.output()).not.toContain('Seeded');
      const bob = await logIn(graph, 'bob');
      const query = 'query($ids: [ID!]!) { nodes(ids: $ids) { id } }';
      const { nodes } = await told<{ nodes: unknown[] }>(bob, query, { ids: acknowledged });
      expect(nodes).toEqual(acknowledged.map((id) => ({ id })));
    }
    expect(acknowledged.length).toBeGreaterThanOrEqual(2);

    // bob follows alice, so what she wrote is in his timeline, and dan's is not.
    const bob = await logIn(graph, 'bob');
    const [alice, dan] = [await logIn(graph, 'alice'), await logIn(graph, 'dan')];
    const home = async (who: Asking): Promise<string[]> =>
      (await told<Home>(who, await example('home-timeline'), { first: 100 })).homeTimeline.edges
        .filter(({ node }) => acknowledged.includes(node.id))
        .map(({ node }) => node.author.id);
    // Which of the two was acknowledged before the kills is chance.
    expect(new Set(await home(bob))).toEqual(new Set([...authors].filter((author) => author === alice.id)));
    expect(new Set(await home(dan))).toEqual(authors);
    expect(await graph.child.end('SIGTERM')).toBe(0);

    const everything = await startEverything({ DATA_DIR: dataDir, PORT: '0', SEED: 'none' }, { logger: silent });
    try {
      await everything.settle();
      expect(await drift(everything)).toEqual([]);
    } finally {
      await everything.close();
    }
  }, 180_000);

  it('killed again and again while it starts for the first time, starts at last, with the five people once', async () => {
    const dataDir = folder();
    for (const afterMs of [300, 800, 1_300, 1_800]) {
      const child = await begin(dataDir);
      await Promise.race([sleep(afterMs), child.said(READY)]);
      child.end('SIGKILL').catch(() => {});
      await child.ended();
    }
    // As the program does, but that what it keeps can be looked at.
    const everything = await startEverything({ DATA_DIR: dataDir, PORT: '0' }, { logger: silent });
    try {
      const graph = asking(everything.gateway.url);
      const { users } = await told<{ users: { edges: { node: { handle: string } }[] } }>(
        graph,
        await example('people'),
      );
      expect(users.edges.map(({ node }) => node.handle)).toEqual(['alice', 'bob', 'carol', 'dan', 'eve']);
      expect(await drift(everything)).toEqual([]);
    } finally {
      await everything.close();
    }
  }, 180_000);

  // Whoever is left behind is looked for among the processes themselves, so nobody else may end them: no startChild here.
  it('runs for an ordinary user with one child, the planner; refuses a second one by name; stops clean, and SIGTERM and SIGKILL end its child too', async () => {
    const account = ordinaryAccount();
    const dataDir = folder(account);
    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      const program = spawn(process.execPath, [join(ROOT, 'dist/commands/start.js')], {
        cwd: ROOT,
        env: { ...plainEnvironment(), PORT: '0', DATA_DIR: dataDir },
        stdio: ['ignore', 'pipe', 'inherit'],
        ...account,
      });
      let said = '';
      program.stdout.setEncoding('utf8').on('data', (text: string) => (said += text));
      const ended = new Promise((resolve) => program.once('exit', resolve));
      try {
        while (!said.includes(READY))
          await Promise.race([sleep(20), ended.then(() => Promise.reject(new Error(said)))]);
        const children = descendantsOf(program.pid!);
        expect(children.map((pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8'))).toEqual([
          expect.stringContaining('native-worker.mjs'),
        ]);
        if (signal === 'SIGTERM') {
          const { me } = await told<{ me: { handle: string } }>(
            await logIn(asking(urlIn(said)), 'alice'),
            await example('me'),
          );
          expect(me.handle).toBe('alice');
          const second = await begin(dataDir, account);
          expect(await second.ended()).toBe(1);
          expect(second.output()).toContain(`in use by another process (pid ${program.pid})`);
        }
        program.kill(signal);
        const code = await ended;
        while (children.some((pid) => existsSync(`/proc/${pid}`))) await sleep(20);
        if (signal === 'SIGKILL') continue;
        expect(code).toBe(0);
        await expect(fetch(urlIn(said))).rejects.toThrow('fetch failed');
        expect(readdirSync(dataDir)).not.toContain('in-use.sock');
      } finally {
        program.kill('SIGKILL');
      }
    }
  }, 180_000);
});

interface Graph extends Talking {
  readonly child: Child;
}

interface Home {
  homeTimeline: { edges: { node: { id: string; author: { id: string } } }[] };
}

async function start(dataDir: string): Promise<Graph> {
  const child = await begin(dataDir);
  await child.said(READY);
  return { child, ...asking(urlIn(child.output())) };
}

async function begin(dataDir: string, account?: Account): Promise<Child> {
  const child = await spawnStart(dataDir, { account });
  opened.children.push(child);
  return child;
}

function folder(account?: Account): string {
  const path = mkdtempSync(join(tmpdir(), 'tributary-killed-'));
  if (account) chownSync(path, account.uid, account.gid);
  opened.folders.push(path);
  return path;
}

/** Root hands it to the account that may do nothing; everybody else is ordinary already. */
function ordinaryAccount(): Account | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const entry = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find((line) => line.startsWith('nobody:'));
  const [, , uid, gid] = entry?.split(':') ?? [];
  return { uid: Number(uid), gid: Number(gid) };
}

function descendantsOf(pid: number): number[] {
  const parents = new Map<number, number>();
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      // The name in parentheses may hold anything; the parent is the second field behind it.
      const fields = readFileSync(`/proc/${entry}/stat`, 'utf8').split(') ').at(-1)?.split(' ');
      parents.set(Number(entry), Number(fields?.[1]));
    } catch {
      continue; // it has ended since the folder was read
    }
  }
  const found = [pid];
  for (const one of found) for (const [child, parent] of parents) if (parent === one) found.push(child);
  return found.slice(1);
}
