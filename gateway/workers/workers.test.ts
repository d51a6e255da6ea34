import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, createServer as createHttpServer, request } from 'node:http';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { childrenOf, runs, startChild, stateOf, type Child } from '../../test/deploy/child.js';
import { freePort } from '../../test/servers/free-port.js';
import { startTinyGraph, type TinyGraph } from '../../test/tiny/tiny-graph.js';

/** Real processes: the program that `npm run gateway` starts (`npm test` builds it first), before two subgraphs in this process. */
let tiny: TinyGraph;
let folder: string;
let file: string;
let child: Child | undefined;

beforeAll(async () => {
  tiny = await startTinyGraph();
  folder = mkdtempSync(join(tmpdir(), 'workers-'));
  file = join(folder, 'supergraph.graphql');
});
afterAll(async () => {
  await tiny.close();
  rmSync(folder, { recursive: true });
});

const WORKERS = 3;

/** Loaded before the program: told by a signal it has an error that nobody catches, and its clock is five times as fast from then on. */
const BREAKS = `
  import { syncBuiltinESMExports } from 'node:module';
  import timers from 'node:timers/promises';
  process.on('SIGUSR2', () => {
    const { setTimeout: later } = globalThis;
    const { setTimeout: sleep } = timers;
    globalThis.setTimeout = (call, ms, ...rest) => later(call, ms / 5, ...rest);
    timers.setTimeout = (ms, ...rest) => sleep(ms / 5, ...rest);
    syncBuiltinESMExports();
    throw new Error('one bug');
  });`;

/** Loaded before the program: no worker begins while the file is there. */
const HELD_BACK = `
  import cluster from 'node:cluster';
  import { existsSync } from 'node:fs';
  import { setTimeout as sleep } from 'node:timers/promises';
  while (cluster.isWorker && existsSync(process.env.HELD_BACK)) await sleep(10);`;

/** The same, and nobody looks whether a worker is there (control). */
const NOBODY_LOOKS = `${HELD_BACK}
  import { register } from 'node:module';
  register('data:text/javascript,' + encodeURIComponent(\`
    export async function load(url, context, next) {
      const loaded = await next(url, context);
      if (!url.endsWith('/gateway/workers/primary.js')) return loaded;
      const parts = String(loaded.source).split('all.length === 0');
      if (parts.length !== 2) throw new Error('there is no such look any more');
      return { ...loaded, source: parts.join('false') };
    }\`));`;

/** Loaded before the program: while there are such files, a worker that is offered a marked supergraph takes one away and is killed. */
const ENDS_WHO_BUILDS = `
  import cluster from 'node:cluster';
  import { readdirSync, rmSync } from 'node:fs';
  import { join } from 'node:path';
  const taken = (name) => {
    try {
      rmSync(join(process.env.ENDS_WHO_BUILDS, name));
      return true;
    } catch {
      return false;
    }
  };
  if (cluster.isWorker)
    process.on('message', ({ kind, sdl }) => {
      if (kind !== 'offer' || !sdl.includes('# deadly')) return;
      if (readdirSync(process.env.ENDS_WHO_BUILDS).some(taken)) process.kill(process.pid, 'SIGKILL');
    });`;

/** Loaded before the program: the first worker takes the end of its primary for one that was agreed on. */
const HEEDLESS = `
  import cluster from 'node:cluster';
  if (cluster.worker?.id === 1) {
    cluster.worker.exitedAfterDisconnect = true;
    console.error('heedless is ' + process.pid);
  }`;

const ENV = {
  PATH: process.env['PATH'],
  PORT: '0',
  ENGINE: 'tributary',
  SUPERGRAPH_POLL_MS: '100',
  WORKERS: String(WORKERS),
  // Nothing here is about time.
  SUBGRAPH_TIMEOUT_MS: '60000',
  REQUEST_TIMEOUT_MS: '60000',
  OVERLOAD_MS: '0',
};

async function start(env: Record<string, string> = {}): Promise<{ program: Child; port: number }> {
  writeFileSync(file, tiny.sdl);
  child = await startChild('gateway', [process.execPath, 'dist/gateway/main.js'], {
    cwd: process.cwd(),
    env: { ...ENV, SUPERGRAPH: file, ...env },
  });
  await child.said('"Listening"', 120_000);
  const port = Number(/127\.0\.0\.1:(\d+)\/graphql/.exec(child.output())![1]);
  await until(async () => (await ask(port, '/health/ready')).status === 200);
  return { program: child, port };
}

interface Asked {
  readonly status: number;
  readonly body: string;
}

/** One request on a connection of its own, unless an agent keeps one. */
function ask(port: number, what: string, { agent = false as Agent | false, withinMs = 60_000 } = {}): Promise<Asked> {
  const isGraphql = !what.startsWith('/');
  const body = isGraphql ? JSON.stringify({ query: what }) : '';
  return new Promise((resolve, reject) => {
    const asking = request(
      {
        port,
        host: '127.0.0.1',
        agent,
        path: isGraphql ? '/graphql' : what,
        method: isGraphql ? 'POST' : 'GET',
        headers: isGraphql ? { 'content-type': 'application/json', 'content-length': body.length } : {},
        signal: AbortSignal.timeout(withinMs),
      },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
        response.on('end', () => resolve({ status: response.statusCode!, body: text }));
        response.on('error', reject);
      },
    );
    asking.on('error', reject).end(body);
  });
}

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await sleep(50);
}

/** Kills it and waits for the one in its place. */
async function killOne(program: Child, port: number, pid: number): Promise<void> {
  const before = childrenOf(program.pid);
  process.kill(pid, 'SIGKILL');
  await until(() => childrenOf(program.pid).some((worker) => !before.includes(worker)));
  await until(async () => (await ask(port, '/health/ready')).status === 200);
}

/** Clients that ask again as soon as they are answered. */
function startCrowd(port: number, clients: number) {
  const failures: { client: number; error: string }[] = [];
  const answers = Array.from({ length: clients }, () => 0);
  const total = (): number => answers.reduce((sum, one) => sum + one);
  let stop = false;
  const load = answers.map(async (_, client) => {
    // Half of them keep their connection, half open a new one each time.
    const agent = client % 2 === 0 ? new Agent({ keepAlive: true, maxSockets: 1 }) : false;
    const query = `{ person(id: "${client}") { name posts { body } } }`;
    while (!stop) {
      try {
        const { status, body } = await ask(port, query, { agent, withinMs: 60_000 });
        if (status === 200 && !body.includes('"errors"')) answers[client]! += 1;
        else failures.push({ client, error: `${status} ${body}` });
      } catch (error) {
        failures.push({ client, error: String((error as { code?: unknown }).code ?? error) });
      }
    }
    if (agent) agent.destroy();
  });
  return {
    /** By client. */
    answers,
    failures,
    /** Until so many more have been answered. */
    async isAnswered(more: number): Promise<void> {
      const enough = total() + more;
      await until(() => total() >= enough);
    },
    async end(): Promise<void> {
      stop = true;
      await Promise.all(load);
    },
  };
}

describe('workers of one gateway', () => {
  let program: Child;
  let port: number;
  beforeAll(async () => {
    ({ program, port } = await start({ JOIN: 'off' }));
  }, 300_000);
  afterAll(() => program.destroy());

  it('are as many processes as WORKERS says, on one port, and all of them answer', async () => {
    expect(childrenOf(program.pid)).toHaveLength(WORKERS);
    const answers = await Promise.all(Array.from({ length: 12 }, () => ask(port, '{ me { name posts { body } } }')));
    for (const { status, body } of answers) {
      expect([status, body]).toEqual([200, '{"data":{"me":{"name":"name of 1","posts":[{"body":"by 1"}]}}}']);
    }
  }, 300_000);

  it('a supergraph that cannot be served leaves the last good one with all, and who is started later serves that too', async () => {
    writeFileSync(file, tiny.sdl.replaceAll(tiny.posts.url, 'gopher://nowhere/'));
    await program.said('the last good one stays');
    const before = childrenOf(program.pid);
    process.kill(before[0]!, 'SIGKILL');
    await until(() => childrenOf(program.pid).filter((pid) => !before.includes(pid)).length === 1);
    await until(async () => (await ask(port, '/health/ready')).status === 200);
    const answers = await Promise.all(Array.from({ length: 12 }, () => ask(port, '{ newest { body } }')));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
  }, 300_000);

  it('a new supergraph is served by all of them at once, or by none: one that has not built it yet holds all', async () => {
    const slow = childrenOf(program.pid)[0]!;
    process.kill(slow, 'SIGSTOP');
    const built = () => program.output().split('Planning federated operations').length - 1;
    const already = built();
    writeFileSync(file, tiny.sdl.replaceAll('newest: Post', 'latest: Post'));
    await until(() => built() === already + WORKERS - 1);
    const held = await Promise.allSettled(
      Array.from({ length: 9 }, () => ask(port, '{ newest { body } }', { withinMs: 10_000 })),
    );
    const answers = held.flatMap((one) => (one.status === 'fulfilled' ? [one.value.status] : []));
    expect(answers.length).toBeGreaterThan(0);
    expect(new Set(answers)).toEqual(new Set([200]));
    process.kill(slow, 'SIGCONT');
    await program.said('All workers serve the supergraph');
    // They are told one after the other, and each switches when it has a turn.
    const gone = () => Promise.all(Array.from({ length: 12 }, () => ask(port, '{ newest { body } }')));
    await until(async () => (await gone()).every(({ status }) => status === 400));
    const now = await Promise.all(Array.from({ length: 12 }, () => ask(port, '{ latest { body } }')));
    expect(new Set(now.map(({ status }) => status))).toEqual(new Set([200]));
  }, 300_000);

  it('one that is missing is told by all of them: a balancer sees one gateway', async () => {
    let isTold = false;
    // Again where a busy machine asks only when the one in its place is there.
    for (let tries = 0; tries < 5 && !isTold; tries += 1) {
      const [stopped, ...others] = childrenOf(program.pid) as [number, ...number[]];
      expect(others).toHaveLength(WORKERS - 1);
      process.kill(stopped, 'SIGKILL');
      await until(async () => {
        const { status, body } = await ask(port, '/health/ready');
        isTold ||= status === 503 && body.includes(`workers: ${WORKERS - 1} of ${WORKERS} are ready`);
        const there = childrenOf(program.pid);
        return status === 200 && there.length === WORKERS && !there.includes(stopped);
      });
    }
    expect(isTold).toBe(true);
  }, 300_000);

  it('kill -9 of one under load: what it had in hand fails once, everything else is answered, and it is replaced', async () => {
    const crowd = startCrowd(port, 24);
    await crowd.isAnswered(100);

    await killOne(program, port, childrenOf(program.pid)[0]!);
    await crowd.isAnswered(100);
    expect(childrenOf(program.pid)).toHaveLength(WORKERS);

    // Now one that has stopped first, so that it is known what it has in hand: those who get no answer any more.
    const stopped = childrenOf(program.pid)[0]!;
    process.kill(stopped, 'SIGSTOP');
    await until(() => stateOf(stopped).startsWith('T'));
    // Answers that it had sent already have arrived by then.
    await crowd.isAnswered(100);
    const then = [...crowd.answers];
    await crowd.isAnswered(600);
    const inHand = then.flatMap((answers, client) => (answers === crowd.answers[client] ? [client] : []));
    const failedBefore = crowd.failures.length;
    await killOne(program, port, stopped);
    await crowd.isAnswered(100);
    await crowd.end();

    const first = crowd.failures.slice(0, failedBefore);
    const second = crowd.failures.slice(failedBefore);
    // A killed process resets its connections. Nobody waits for an answer that never comes, nobody is refused, and the one
    // that comes in its place answers from its first connection on.
    expect(crowd.failures.filter(({ error }) => !/^(ECONNRESET|EPIPE)$/.test(error))).toEqual([]);
    expect(new Set(first.map(({ client }) => client)).size).toBe(first.length);
    expect(new Set(second.map(({ client }) => client)).size).toBe(second.length);
    expect(second.filter(({ client }) => !inHand.includes(client))).toEqual([]);
    expect(inHand.length).toBeGreaterThan(0);
  }, 300_000);

  // The last: of these workers nobody is left then.
  it('SIGTERM: all of them end what is under way, then nobody is left', async () => {
    const workers = childrenOf(program.pid);
    let release: () => void = () => {};
    const held = new Promise<void>((resolve) => (release = resolve));
    let arrived = 0;
    tiny.posts.misbehave = (_request, response, body) => {
      if (body.includes('latest')) arrived += 1;
      void held.then(() =>
        response.writeHead(200, { 'content-type': 'application/json' }).end('{"data":{"latest":{"body":"late"}}}'),
      );
    };
    const underWay = Array.from({ length: 9 }, () => ask(port, '{ latest { body } }'));
    await until(() => arrived === 9);
    const ended = program.end('SIGTERM', 120_000);
    await until(() =>
      ask(port, '/health/live').then(
        () => false,
        () => true,
      ),
    );
    release();
    for (const { status, body } of await Promise.all(underWay)) {
      expect([status, body]).toEqual([200, '{"data":{"latest":{"body":"late"}}}']);
    }
    expect(await ended).toBe(0);
    expect(workers.filter(runs)).toEqual([]);
    tiny.posts.misbehave = undefined;
  }, 300_000);
});

it('kill -9 of the primary leaves no orphan; control: one that does not heed that its primary is gone', async () => {
  const code = join(folder, 'heedless.mjs');
  writeFileSync(code, HEEDLESS);
  writeFileSync(file, tiny.sdl);
  // By itself: what starts all others here ends the whole group with the program.
  const primary = spawn(process.execPath, ['dist/gateway/main.js'], {
    env: { ...ENV, SUPERGRAPH: file, NODE_OPTIONS: `--import ${pathToFileURL(code).href}` },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  primary.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  let workers: number[] = [];
  try {
    await until(() => said.includes('"Listening"') || primary.exitCode !== null);
    const port = Number(/127\.0\.0\.1:(\d+)\/graphql/.exec(said)![1]);
    // From then on none of them has anything to tell, which would end it.
    await until(async () => (await ask(port, '/health/ready')).status === 200);
    workers = childrenOf(primary.pid!);
    const heedless = Number(/heedless is (\d+)/.exec(said)?.[1]);
    expect(workers).toHaveLength(WORKERS);
    expect(workers).toContain(heedless);
    primary.kill('SIGKILL');
    await until(() => workers.filter(runs).length < 2);
    await sleep(500);
    expect(workers.filter(runs)).toEqual([heedless]);
  } finally {
    primary.kill('SIGKILL');
    for (const pid of workers.filter(runs)) process.kill(pid, 'SIGKILL');
  }
}, 300_000);

describe('workers', () => {
  afterEach(async () => {
    tiny.posts.misbehave = undefined;
    await child?.destroy();
    child = undefined;
  });

  it('are told each time that where the supergraph comes from is away, and when it is back; not that it is, of a text that was refused (control)', async () => {
    let answer: { status: number; sdl: string; etag: string } = { status: 200, sdl: tiny.sdl, etag: '"good"' };
    let looks = 0;
    const source = createHttpServer((asked, response) => {
      looks += 1;
      const { status, sdl, etag } = answer;
      if (status === 200 && asked.headers['if-none-match'] === etag) return void response.writeHead(304).end();
      response.writeHead(status, { etag }).end(status === 200 ? sdl : '');
    });
    await new Promise<void>((resolve) => source.listen(0, '127.0.0.1', resolve));
    try {
      const { port: at } = source.address() as AddressInfo;
      const { program } = await start({ WORKERS: '2', SUPERGRAPH: `http://127.0.0.1:${at}/` });
      const count = (text: string): number => program.output().split(text).length - 1;
      const [stays, back] = ['answered with status 503', 'The supergraph can be read again'];
      for (const times of [1, 2]) {
        answer = { ...answer, status: 503 };
        await until(() => count(stays) === times);
        answer = { ...answer, status: 200 };
        await until(() => count(back) === times);
      }
      answer = { status: 200, sdl: tiny.sdl.replaceAll(tiny.posts.url, 'gopher://nowhere/'), etag: '"bad"' };
      await until(() => count('gopher') > 0);
      const told = count('gopher');
      answer = { ...answer, status: 503 };
      await until(() => count(stays) === 3);
      answer = { ...answer, status: 200 };
      await until(() => count(back) === 3);
      // It is the trouble of before again, and is not said to be over when it is read once more.
      const before = looks;
      await until(() => looks >= before + 5);
      expect([count(stays), count(back), count('gopher')]).toEqual([3, 3, told]);
    } finally {
      source.closeAllConnections();
      source.close();
    }
  }, 300_000);

  it('one with an error that nobody caught drains for as long as DRAIN_MS says, is replaced at once, and no balancer hears of it', async () => {
    const breaks = join(folder, 'breaks.mjs');
    writeFileSync(breaks, BREAKS);
    const { program, port } = await start({
      WORKERS: '2',
      DRAIN_MS: '300000',
      // A busy machine is another reason to say 503.
      OVERLOAD_MS: '0',
      NODE_OPTIONS: `--import ${pathToFileURL(breaks).href}`,
    });
    const count = (text: string): number => program.output().split(text).length - 1;
    const breakOne = async (pid: number): Promise<void> => {
      const before = count('Nobody caught this error');
      process.kill(pid, 'SIGUSR2');
      await until(() => count('Nobody caught this error') === before + 1);
    };
    const [first, second] = childrenOf(program.pid) as [number, number];
    const began = performance.now();
    await breakOne(first);
    const said: number[] = [];
    // 15 s, after which it would be ended without DRAIN_MS, are three by its clock.
    while (performance.now() - began < 3_500 || count('Serving the supergraph') < 3) {
      const answers = await Promise.all([ask(port, '/health/ready'), ask(port, '{ me { name } }')]);
      said.push(...answers.map(({ status }) => status));
      await sleep(20);
    }
    expect(new Set(said)).toEqual(new Set([200]));
    const [third, ...more] = childrenOf(program.pid).filter((pid) => pid !== first && pid !== second);
    expect([runs(first), runs(second), more]).toEqual([true, true, []]);

    // Of many errors in a row: there are never more than twice as many as WORKERS says.
    await breakOne(second);
    await until(() => childrenOf(program.pid).length === 4);
    await breakOne(third!);
    process.kill(third!, 'SIGKILL');
    await until(() => count('another one is started') === 3);
    const how = [...program.output().matchAll(/"pid":(\d+),"how":"([^"]+)"/g)].map(([, pid, why]) => [
      Number(pid),
      why,
    ]);
    expect(how).toEqual([
      [first, 'by itself'],
      [second, 'by itself'],
      [third, 'SIGKILL'],
    ]);
  }, 300_000);

  describe('a new supergraph that comes while no worker is there', () => {
    /** The primary finds nothing wrong with it; who builds it lacks a secret for one of its services. */
    const refused = (): string => tiny.sdl.replace('(name: "posts"', '(name: "letters"');

    // Before keys have come once, no gateway is ready.
    const issuer = createHttpServer((_, response) => response.end('{"keys":[]}'));
    beforeAll(() => once(issuer.listen(0, '127.0.0.1'), 'listening'));
    afterAll(() => void issuer.close());

    async function withoutWorkers(preload: string) {
      const held = join(folder, 'held');
      const code = join(folder, 'held-back.mjs');
      writeFileSync(code, preload);
      const { program, port } = await start({
        WORKERS: '2',
        // The last one takes a port that nobody chose with it.
        PORT: String(await freePort()),
        IDENTITY: 'jwt',
        JWKS_URL: `http://127.0.0.1:${(issuer.address() as AddressInfo).port}/`,
        ASSERTION_SECRET_PEOPLE: 'p'.repeat(40),
        ASSERTION_SECRET_POSTS: 'q'.repeat(40),
        NODE_OPTIONS: `--import ${pathToFileURL(code).href}`,
        HELD_BACK: held,
      });
      const started = (): number => program.output().split('another one is started').length - 1;
      writeFileSync(held, '');
      for (const pid of childrenOf(program.pid)) process.kill(pid, 'SIGKILL');
      await until(() => started() === 2);
      writeFileSync(file, refused());
      return { program, port, started, letThemCome: () => rmSync(held) };
    }

    it('waits for one: they serve the last good one, are asked then, and what they refuse ends nobody', async () => {
      const { program, port, started, letThemCome } = await withoutWorkers(HELD_BACK);
      await program.said('no worker is there to build it');
      letThemCome();
      await program.said('set ASSERTION_SECRET_LETTERS');
      await until(() =>
        ask(port, '/health/ready').then(
          ({ status }) => status === 200,
          () => false,
        ),
      );
      const answers = await Promise.all(Array.from({ length: 8 }, () => ask(port, '{ newest { body } }')));
      expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
      expect(started()).toBe(2);
    }, 300_000);

    it('is not asked any more where a newer one has come meanwhile: what was mended does not wait behind it', async () => {
      const { program, started, letThemCome } = await withoutWorkers(HELD_BACK);
      await program.said('no worker is there to build it');
      const served = (): number => program.output().split('All workers serve the supergraph').length - 1;
      const before = served();
      writeFileSync(file, `${tiny.sdl}\n# mended\n`);
      letThemCome();
      await until(() => served() > before);
      expect([started(), program.output().includes('set ASSERTION_SECRET_LETTERS')]).toEqual([2, false]);
    }, 300_000);

    it('control: taken as served by all of nobody, it ends each that comes, and nobody listens any more', async () => {
      const { program, port, started, letThemCome } = await withoutWorkers(NOBODY_LOOKS);
      await program.said('"workers":0');
      letThemCome();
      await until(() => started() > 2);
      await expect(ask(port, '/health/live')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    }, 300_000);
  });

  it('all killed while they build a new supergraph are asked anew', async () => {
    const deadly = join(folder, 'deadly');
    mkdirSync(deadly);
    const code = join(folder, 'ends-who-builds.mjs');
    writeFileSync(code, ENDS_WHO_BUILDS);
    const { program } = await start({
      WORKERS: '2',
      NODE_OPTIONS: `--import ${pathToFileURL(code).href}`,
      ENDS_WHO_BUILDS: deadly,
    });
    const count = (text: string): number => program.output().split(text).length - 1;
    await program.said('All workers serve the supergraph');
    const served = count('All workers serve the supergraph');
    // As many as there are workers, by one offer.
    for (const one of ['1', '2']) writeFileSync(join(deadly, one), '');
    writeFileSync(file, `${tiny.sdl}\n# deadly\n`);
    await until(() => count('All workers serve the supergraph') === served + 1);
    // It was no supergraph that is wrong: each was killed by one offer, and then nobody.
    expect(count('a worker ended while it built it')).toBeGreaterThanOrEqual(1);
    expect(readdirSync(deadly)).toEqual([]);
  }, 300_000);

  it('a port that is taken is said once, and nothing goes on trying', async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    const { port } = taken.address() as AddressInfo;
    writeFileSync(file, tiny.sdl);
    child = await startChild('gateway', [process.execPath, 'dist/gateway/main.js'], {
      cwd: process.cwd(),
      env: { PATH: process.env['PATH'], SUPERGRAPH: file, PORT: String(port), WORKERS: String(WORKERS) },
    });
    expect(await child.ended(120_000)).toBe(1);
    expect(child.output()).toContain(`Something else listens on port ${port} already`);
    await new Promise((resolve) => taken.close(resolve));
  }, 300_000);
});
