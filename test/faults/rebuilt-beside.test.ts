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
import { act, example, publish, told, type List } from '../journeys/cast.js';
import { Load } from '../load.js';
import { PASSWORD } from '../people.js';
import { asking, logIn, READY, spawnStart, urlIn, type Somebody, type Talking } from './all-in-one.js';

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
const PEOPLE = 120;

let dataDir: string;
const children: Child[] = [];
beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'rebuilt-beside-'));
  const seeded = await command('seed', ['--users', String(PEOPLE), '--posts', '2400']);
  expect([await seeded.ended(), seeded.output()]).toEqual([0, expect.stringContaining(`Seeded ${PEOPLE} people`)]);
}, 180_000);
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
    const env = { CACHE: 'off', SEED: 'none', TRENDING_REFRESH_S: '1', CRASH_AT: 'project:filled:2' };
    program = await spawnStart(dataDir, { env, flags: ['--import', PRELOAD] });
    children.push(program);
    await program.said(READY, 120_000);
    graph = asking(urlIn(program.output()));
  };

  it('has the program build each of them, with progress, rate and time left, and no read beside it fails or is wrong', async () => {
    const beside = new WritesAndReads(graph, people);
    beside.goOn();
    for (const model of MODELS) {
      const before = beside.rounds;
      const rebuilt = await command('rebuild', [model]);
      expect([model, await rebuilt.ended(), rebuilt.output()]).toEqual([model, 0, expect.any(String)]);
      const said = rebuilt.output();
      expect(said).toContain(`(pid ${program.pid}) does it`);
      expect(said).toMatch(/^ {2}\d0 % {2}[\d,]+ of [\d,]+ .*, twice {2}filled, [\d,]+ rows\/s, \d+ s left$/m);
      expect(said).toMatch(/^ {2}100 % .* compared, 0 s left$/m);
      for (const line of LINES[model]) expect(said).toMatch(new RegExp(`^${line}: .* 0 differ; switched; `, 'm'));
      await beside.until(before + 2);
    }
    await beside.end();
    expect(beside.wrong).toEqual([]);
    await beside.isAllThere();
  }, 300_000);

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
  }, 60_000);
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

  it('control: in one slice nobody reads before its end, and who has waited for a second is told an error', async () => {
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
    expect(reads.failed).toEqual([expect.stringContaining('Waited 1,000 ms for the one connection')]);
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

/** Somebody who reads and whom nothing changes for; somebody who writes, and somebody who follows them and likes it. */
interface Cast {
  readonly reader: Somebody;
  readonly writer: Somebody;
  readonly fan: Somebody;
  /** Of this week, by the writer, and touched by nobody more. */
  readonly trends: readonly string[];
  readonly written: string[];
}

async function castOf(graph: Talking): Promise<Cast> {
  const { users } = await told<{ users: List<{ handle: string }> }>(graph, await example('people'), { first: 1 });
  const reader = await logIn(graph, users.edges[0]?.node.handle ?? '');
  const [writer, fan] = await Promise.all(['the_writer', 'the_fan'].map((handle) => signUp(graph, handle)));
  if (!writer || !fan) throw new Error('nobody signed up');
  await act(fan, 'follow', writer.id);
  const trends = [await publish(writer, 'first'), await publish(writer, 'second')];
  for (const post of trends) {
    await act(fan, 'likePost', post);
    await act(reader, 'likePost', post);
  }
  const own = await publish(reader, 'of the reader');
  await act(fan, 'likePost', own);
  // Until it has come to where it is read.
  type Shown = { trendingPosts: List<{ id: string }>; unreadNotificationCount: number };
  for (;;) {
    const query = '{ trendingPosts(first: 100) { edges { node { id } } } unreadNotificationCount }';
    const { trendingPosts, unreadNotificationCount } = await told<Shown>(reader, query);
    const shown = trendingPosts.edges.map(({ node }) => node.id);
    if ([...trends, own].every((id) => shown.includes(id)) && unreadNotificationCount === 1) break;
    await sleep(50);
  }
  return { reader, writer, fan, trends, written: [...trends] };
}

async function signUp(graph: Talking, handle: string): Promise<Somebody> {
  const input = { handle, email: `${handle}@example.org`, password: PASSWORD, displayName: handle };
  await told(graph, await example('sign-up'), { input });
  return logIn(graph, handle);
}

/** Over HTTP, as people do: each round of reads is as before, and each round of writes is in all models at the end. */
class WritesAndReads extends Load {
  rounds = 0;
  readonly wrong: unknown[] = [];
  #before: string | undefined;
  #asOf = '';

  constructor(
    private readonly graph: Talking,
    private readonly cast: Cast,
  ) {
    super();
  }

  override async some(): Promise<void> {
    const { writer, fan, written } = this.cast;
    if (this.rounds % 5 === 0) {
      const post = await publish(this.as(writer), `number ${written.length}`);
      written.push(post);
      await act(this.as(fan), 'likePost', post);
    }
    await this.#read();
    this.rounds += 1;
  }

  /** They have logged in with another process of the same program. */
  private as({ id, token }: Somebody): Somebody {
    return { id, token, ask: (query, variables) => this.graph.ask(query, variables, token) };
  }

  async #read(): Promise<void> {
    const reader = this.as(this.cast.reader);
    const asked = await Promise.all([
      reader.ask(await example('home-timeline'), { first: 50 }),
      reader.ask(await example('notifications')),
      reader.ask(
        '{ me { handle followerCount followingCount postCount posts(first: 20) { edges { node { id likeCount replyCount } } } } }',
      ),
      reader.ask(await example('trending-posts'), { first: 100 }),
    ]);
    const [home, notifications, me, trending] = asked.map(({ data }) => data);
    const same = JSON.stringify([home, notifications, me]);
    this.#before ??= same;
    const { asOf = '', edges = [] } = (trending?.['trendingPosts'] ?? {}) as Partial<
      { asOf: string } & List<{ id: string }>
    >;
    const shown = edges.map(({ node }) => node.id);
    const isRight = same === this.#before && asOf >= this.#asOf && this.cast.trends.every((id) => shown.includes(id));
    const errors = asked.flatMap((answer) => answer.errors);
    if (errors.length > 0 || !isRight) this.wrong.push({ errors, same, asOf, shown });
    this.#asOf = asOf;
  }

  async until(rounds: number): Promise<void> {
    while (this.rounds < rounds) await sleep(20);
  }

  /** Everything that was written, in the list of who follows, among the notifications of who wrote, and counted. */
  async isAllThere(): Promise<void> {
    const { writer, fan, written } = this.cast;
    const all = async (): Promise<unknown> => {
      const home = await told<{ homeTimeline: List<{ id: string; likeCount: number }> }>(
        this.as(fan),
        await example('home-timeline'),
        { first: 100 },
      );
      const { data } = await this.as(writer).ask('{ unreadNotificationCount me { postCount } }');
      return { home: home.homeTimeline.edges.map(({ node }) => [node.id, node.likeCount > 0]), data };
    };
    const should = {
      home: written
        .toReversed()
        .slice(0, 100)
        .map((id) => [id, true]),
      data: { unreadNotificationCount: written.length + 2 + 1, me: { postCount: written.length } },
    };
    for (let tries = 0; tries < 500; tries++) {
      if (JSON.stringify(await all()) === JSON.stringify(should)) break;
      await sleep(20);
    }
    expect(await all()).toEqual(should);
  }
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
