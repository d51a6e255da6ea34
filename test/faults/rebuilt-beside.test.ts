import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { openDatabase, type Database } from '#libs/database';
import { rebuild } from '#libs/read-model';
import { ROOT } from '../../commands/root.js';
import { postsTables } from '../../subgraphs/posts/posts.tables.js';
import { homePage } from '../../subgraphs/posts/read/home.queries.js';
import { homeTimelineModel } from '../../subgraphs/posts/timeline/read-model.js';
import { runs, startChild, stateOf, type Child } from '../deploy/child.js';
import { plainEnvironment } from '../deploy/environment.js';
import { asking, READY, spawnStart, urlIn, type Talking } from './all-in-one.js';
import { castOf, WritesAndReads, type Cast } from './beside.js';
import { layOutWeek } from './week.js';

const PRELOAD = join(ROOT, 'dist/commands/prove/preload.js');
const AT_ITS_WORDS = join(ROOT, 'test/faults/at-its-words.fixture.mjs');
const MODELS = ['home-timeline', 'notifications', 'counters', 'trending'] as const;
type Model = (typeof MODELS)[number];
/** Each is a line of what `counters` says. */
const LINES: Readonly<Record<Model, readonly string[]>> = {
  'home-timeline': ['home-timeline'],
  notifications: ['notifications'],
  counters: ['post-counts', 'author-counts', 'follow-counts'],
  trending: ['trending'],
};
/**
 * LARGE=on: many more people and posts, all models at once, by hand: half an hour, mostly of laying them out. BUSY=12: with so many processes beside that never rest, on the same processors.
 *
 *     LARGE=on BUSY=12 npm test -- test/faults/rebuilt-beside -t 'has the program build'
 */
const LARGE = process.env['LARGE'] === 'on';
const BUSY = Number(process.env['BUSY'] ?? 0);
const [PEOPLE, POSTS] = LARGE ? [3_000, 60_000] : [120, 2_400];
const WEEK = LARGE
  ? { posts: 100_000, lists: 500, notificationsEach: 500 }
  : { posts: 700, lists: 10, notificationsEach: 50 };
const READS_MIN = LARGE ? 1_500 : 1;
const WITHIN_MS = LARGE ? 3_600_000 : 300_000;

let dataDir: string;
const children: Child[] = [];
beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'rebuilt-beside-'));
  const seeded = await command('seed', ['--users', String(PEOPLE), '--posts', String(POSTS)]);
  const said = expect.stringContaining(`Seeded ${PEOPLE.toLocaleString('en')} people`);
  expect([await seeded.ended(WITHIN_MS), seeded.output()]).toEqual([0, said]);
  await layOutWeek(dataDir, WEEK);
}, WITHIN_MS);
afterAll(async () => {
  await Promise.all(children.map((child) => child.destroy()));
  await rm(dataDir, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
});

/** Real processes: the program of `npm start`, and commands in terminals beside it. */
describe('npm run rebuild while npm start has the embedded stores', () => {
  let program: Child;
  let graph: Talking;
  let people: Cast;
  beforeAll(async () => {
    await begin();
    people = await castOf(graph);
  }, 180_000);

  const begin = async (): Promise<void> => {
    // What is read comes from the stores, and is not kept from before. It is killed where that is said, once it is armed.
    const env = { CACHE: 'off', SEED: 'none', TRENDING_REFRESH_S: LARGE ? '10' : '1', CRASH_AT: 'project:filled:2' };
    program = await spawnStart(dataDir, { env, flags: ['--import', PRELOAD] });
    children.push(program);
    await program.said(READY, 120_000);
    graph = asking(urlIn(program.output()));
  };

  it(
    'has the program build each of them, with progress, rate and time left, and no read beside it fails or is wrong',
    async () => {
      const busy = await Promise.all(Array.from({ length: BUSY }, () => restless()));
      const beside = new WritesAndReads(graph, people);
      beside.goOn();
      // In the small store one after the other; in the large one all at once, again and again.
      for (const models of LARGE ? again(MODELS, () => beside.reads < READS_MIN) : MODELS.map((model) => [model])) {
        const before = beside.rounds;
        const commands = await all(models);
        for (const [nth, rebuilt] of commands.entries()) await isDone(models[nth] as Model, rebuilt);
        await beside.until(before + 2);
      }
      await beside.end();
      await Promise.all(busy.map((one) => one.destroy()));
      if (LARGE) process.stdout.write(beside.told());
      expect(beside.wrong).toEqual([]);
      await beside.isAllThere();
    },
    WITHIN_MS,
  );

  const isDone = async (model: Model, rebuilt: Child): Promise<void> => {
    expect([model, await rebuilt.ended(WITHIN_MS), rebuilt.output()]).toEqual([model, 0, expect.any(String)]);
    const said = rebuilt.output();
    expect(said).toContain(`(pid ${program.pid}) does it`);
    expect(said).toMatch(/^ {2}\d0 % {2}[\d,]+ of [\d,]+ .*, twice {2}filled, [\d,]+ rows\/s, \d+ s left$/m);
    expect(said).toMatch(/^ {2}100 % .* compared, 0 s left$/m);
    for (const line of LINES[model]) expect(said).toMatch(new RegExp(`^${line}: .* 0 differ; switched; `, 'm'));
  };

  it('goes on where the command was killed, and where the program was, with all of them under way and one within a slice', async () => {
    const beside = new WritesAndReads(graph, people);
    beside.goOn();
    const [within, ...others] = MODELS;
    const killed = await all(MODELS, { AT_WORDS: ' 10 %', BY_SIGNAL: 'SIGKILL' });
    for (const one of killed)
      expect([await one.ended(), one.output()]).toEqual([
        137,
        expect.stringMatching(/^.* does it, .*\n {2}10 % .*\nKilled\n$/),
      ]);
    // The program does no slice more for who is killed, or stands, and has nobody wait for them.
    const standing = await all(others, { AT_WORDS: ' compared', BY_SIGNAL: 'SIGSTOP' });
    for (const one of standing) {
      await stands(one);
      // What it has said may still be on its way.
      await one.said(' gone on with, ');
      expect(one.output()).toMatch(/^ {2}10 % {2}.* gone on with, /m);
    }
    await beside.until(beside.rounds + 2);
    await beside.end();
    process.kill(program.pid, 'SIGUSR2');
    await program.said('armed');
    const cut = await command('rebuild', [within]);
    expect(await program.ended()).toBe(137);
    for (const one of standing) process.kill(one.pid, 'SIGCONT');
    for (const one of [cut, ...standing])
      expect([await one.ended(), one.output()]).toEqual([
        1,
        expect.stringContaining(`The program (pid ${program.pid}) that did this ended before it was done.`),
      ]);

    const left = await stat(join(dataDir, 'holder.sock'));
    await begin();
    const now = await stat(join(dataDir, 'holder.sock'));
    expect([left.isSocket(), now.isSocket(), (now.mode & 0o777).toString(8)]).toEqual([true, true, '600']);
    const again = new WritesAndReads(graph, people);
    again.goOn();
    for (const [nth, one] of (await all(MODELS)).entries()) await goneOnWith(MODELS[nth] as Model, one);
    await again.end();
    expect([...beside.wrong, ...again.wrong]).toEqual([]);
    await again.isAllThere();
  }, 300_000);

  it('the other commands are carried out by it too; stopped, it says so, and the next command goes on by itself', async () => {
    const standing = await command('rebuild', ['trending'], { AT_WORDS: ' 10 %', BY_SIGNAL: 'SIGSTOP' });
    await stands(standing);
    const reconciled = await command('reconcile', []);
    expect([await reconciled.ended(), reconciled.output()]).toEqual([
      0,
      expect.stringMatching(/^tributary_count_drift +0 /m),
    ]);
    const quarantined = await command('events', ['quarantined']);
    expect([await quarantined.ended(), quarantined.output()]).toEqual([
      0,
      expect.stringMatching(/(does it,[^]*Nothing is in quarantine)|(Nothing is in quarantine[^]*does it,)/),
    ]);
    const again = await command('events', ['publish-again']);
    expect([await again.ended(), again.output()]).toEqual([1, expect.stringContaining('stop it first')]);
    const waiting = await command('rebuild', ['home-timeline']);
    await waiting.said(' 10 %');
    expect(await program.end('SIGTERM')).toBe(0);
    expect([await waiting.ended(), waiting.output()]).toEqual([
      1,
      expect.stringContaining('The program that did this is being stopped. What is done stays done'),
    ]);
    process.kill(standing.pid, 'SIGCONT');
    expect([await standing.ended(), standing.output()]).toEqual([
      1,
      expect.stringContaining('What is done stays done'),
    ]);
    const alone = await command('rebuild', ['trending']);
    await goneOnWith('trending', alone);
    expect(alone.output()).toContain('trending: gone on with, 6 days');
    expect(alone.output()).not.toContain('does it');
  }, 180_000);
});

/** What the program does, without the rest of it: the store of posts is the one that it had. */
describe('a rebuild on the one connection that an embedded store has', () => {
  const model = homeTimelineModel({ pushMax: 1_000, length: 200, trimEvery: 128, sliceMax: 200 });
  let posts: Database;
  let viewer: string;
  beforeAll(async () => {
    expect(children.filter(({ pid }) => runs(pid))).toEqual([]);
    posts = await openDatabase({ service: 'posts', dataDir, ...postsTables });
    const [somebody] = await posts.query<{ id: string }>(`SELECT id FROM people ORDER BY id LIMIT 1`);
    viewer = somebody?.id ?? '';
  });
  afterAll(() => posts?.close());

  it('lets somebody read between any two slices', async () => {
    const reads = new Reads(posts, viewer);
    reads.goOn();
    let slices = 0;
    const onStep = async (): Promise<void> => {
      slices += 1;
      await sleep(1);
    };
    expect(await rebuild(posts, model, { mend: false, stepMs: 25, onStep })).toMatchObject({ switched: true });
    const answered = reads.answered;
    await reads.end();
    expect(reads.failed).toEqual([]);
    expect(slices).toBeGreaterThan((2 * PEOPLE) / 7);
    expect(answered).toBeGreaterThan(slices / 2);
  }, 120_000);

  it('control: in one slice nobody reads before its end, and who has waited for too long is told an error', async () => {
    const reads = new Reads(posts, viewer);
    const answered = await posts.transaction(async (tx) => {
      reads.goOn();
      const [row] = await tx.query<{ slot: number }>(
        `SELECT 3 - serving AS slot FROM read_models WHERE name = 'home-timeline'`,
      );
      const slot = row?.slot ?? 2;
      // As often as a larger store would have it last for.
      while (reads.failed.length === 0) {
        await model.clear(tx, slot);
        await model.fill(tx, slot, '00000000-0000-0000-0000-000000000000', 10_000);
      }
      return reads.answered;
    });
    expect(answered).toBe(0);
    expect(reads.failed).toEqual([expect.stringContaining('Waited 2,500 ms for the one connection')]);
    await reads.end();
  }, 120_000);
});

async function command(name: string, args: readonly string[], env: Record<string, string> = {}): Promise<Child> {
  const program = [
    process.execPath,
    '--import',
    AT_ITS_WORDS,
    join(ROOT, `dist/commands/${name}.js`),
    ...args,
  ] as const;
  const child = await startChild(`${name} ${args.join(' ')}`, [...program], {
    cwd: ROOT,
    env: { ...plainEnvironment(), DATA_DIR: dataDir, ...env },
  });
  children.push(child);
  return child;
}

function* again<T>(what: T, goesOn: () => boolean): Generator<T> {
  do yield what;
  while (goesOn());
}

/** It takes all the time that the machine gives it. */
async function restless(): Promise<Child> {
  const child = await startChild('restless', [process.execPath, '-e', 'for (;;);'], {
    cwd: ROOT,
    env: plainEnvironment(),
  });
  children.push(child);
  return child;
}

function all(models: readonly Model[], env: Record<string, string> = {}): Promise<Child[]> {
  return Promise.all(models.map((model) => command('rebuild', [model], env)));
}

/** Until it has stopped itself. */
async function stands(one: Child): Promise<void> {
  while (stateOf(one.pid) !== 'T') {
    if (one.exitCode() !== undefined) throw new Error(`It has ended: ${one.output()}`);
    await sleep(20);
  }
}

async function goneOnWith(model: Model, command: Child): Promise<void> {
  expect([model, await command.ended(120_000), command.output()]).toEqual([model, 0, expect.any(String)]);
  const [first, ...more] = LINES[model];
  expect(command.output()).toMatch(new RegExp(`^${first}: gone on with, .* 0 differ; switched; `, 'm'));
  for (const line of more) expect(command.output()).toMatch(new RegExp(`^${line}: .* 0 differ; switched; `, 'm'));
}

/** One after the other without a pause, on the store itself. */
class Reads {
  answered = 0;
  readonly failed: string[] = [];
  #ended = false;
  #loop: Promise<void> | undefined;

  constructor(
    private readonly database: Database,
    private readonly viewer: string,
  ) {}

  goOn(): void {
    this.#loop = this.#read();
  }

  async end(): Promise<void> {
    this.#ended = true;
    await this.#loop;
  }

  async #read(): Promise<void> {
    for (; !this.#ended; await new Promise((resolve) => setImmediate(resolve))) {
      try {
        await homePage(this.database, this.viewer, { after: undefined, take: 20 });
        this.answered += 1;
      } catch (error) {
        this.failed.push(String(error instanceof Error ? error.message : error));
      }
    }
  }
}
