import { afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '#libs/telemetry';
import { ROOT } from '../../commands/root.js';
import { readSupergraph, type Supergraph } from '../supergraph/supergraph.js';
import { checkingHere } from '../../test/federation/generated/planners.js';
import { apolloPlanner } from './apollo-planner.js';
import { carefulPlanner } from './careful-planner.js';
import { NativeLives } from './native-lives.js';
import { nativePlanner } from './native-planner.js';
import type { Planner, PlanRequest } from './planner.js';
import { Plans } from './plans.js';
import { printPlan } from './print-plan.js';

const FOUND = JSON.parse(
  readFileSync(join(ROOT, 'test/federation/generated/found/native-planner-ends-the-process.json'), 'utf8'),
) as { query: string; supergraph: string[] };
const sdl = FOUND.supergraph.join('\n');
const CALM = '{ q22 { ... on Shop { __typename } } }';

let supergraph: Supergraph;
beforeAll(() => {
  supergraph = readSupergraph(sdl);
});

const logged: { said: string; fields: Record<string, unknown> }[] = [];
const note = (fields: Record<string, unknown>, said: string) => void logged.push({ said, fields });
const logger: Logger = { debug: () => undefined, info: () => undefined, warn: note, error: note } as unknown as Logger;
let open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const one of open) await one.close();
  open = [];
  logged.length = 0;
});

const asking = (query: string): PlanRequest => ({
  query,
  kind: 'query',
  labels: [],
  percent: 100,
  signal: AbortSignal.timeout(15_000),
});

async function lives(
  clock: () => number = Date.now,
  waits: Parameters<typeof NativeLives.begin>[3] = {},
): Promise<NativeLives> {
  const begun = await NativeLives.begin(sdl, logger, clock, waits);
  open.push({ close: () => begun.end() });
  return begun;
}

async function native(): Promise<Planner> {
  const planner = await nativePlanner(sdl, logger);
  open.push(planner);
  return planner;
}

/** Ended; whether anybody has asked for its exit code does not matter. */
function gone(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.startsWith('Z') ?? false;
  } catch {
    return true;
  }
}

describe('a native planner that nobody asks', () => {
  it('ends its process; the next question begins another, and nothing of it is a fault', async () => {
    const planner = await lives(undefined, { idleMs: 50 });
    for (let nth = 0; nth < 7; nth += 1) {
      await planner.plan(asking(CALM));
      const pid = planner.pid!;
      expect(gone(pid)).toBe(false);
      while (!gone(pid)) await sleep(10);
    }
    expect(logged).toEqual([]);
    // (control) Who is asked all the time stays.
    const busy = await lives(undefined, { idleMs: 500 });
    const stays = busy.pid!;
    for (const until = Date.now() + 1_000; Date.now() < until;) await busy.plan(asking(CALM));
    expect([busy.pid, gone(stays)]).toEqual([stays, false]);
  });
});

describe('an operation that ends the native planner’s process', () => {
  it('control: in the process of who asks, it ends that process', async () => {
    const child = fork(join(ROOT, 'test/federation/generated/planner-probe.mjs'), {
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
      execArgv: [],
    });
    child.send({ supergraph: sdl, query: FOUND.query, labels: [], percent: 100 });
    expect(await once(child, 'exit')).toEqual([null, 'SIGABRT']);
  });

  it('is planned by Apollo’s, and the next operation natively again', async () => {
    const first = await native();
    const planner = carefulPlanner(first, () => apolloPlanner(sdl), checkingHere(supergraph), logger);
    open.push(planner);
    expect(printPlan(await planner.plan(asking(FOUND.query)))).toContain('i3');
    expect(printPlan(await first.plan(asking(CALM)))).toContain('q22');
    expect(printPlan(await planner.plan(asking(FOUND.query)))).toContain('i3');
    expect(logged).toEqual([
      {
        said: 'The native planner’s process ended; what it was asked goes to the other planner',
        fields: {
          operation: expect.stringMatching(/^[0-9a-f]{64}$/) as unknown,
          characters: FOUND.query.length,
          at: expect.stringMatching(/mismatch_finder\.rs:183$/) as unknown,
          err: expect.objectContaining({ message: "The native planner's process ended: SIGABRT." }) as unknown,
        },
      },
    ]);
  });

  it('fails alone where there is no other planner, and those who wait behind it are answered', async () => {
    const planner = await native();
    const [killed, ...others] = await Promise.allSettled([
      planner.plan(asking(FOUND.query)),
      planner.plan(asking(CALM)),
      planner.plan(asking(FOUND.query)),
      planner.plan(asking(CALM)),
    ]);
    expect(killed).toMatchObject({
      status: 'rejected',
      reason: { message: expect.stringContaining('SIGABRT') as unknown },
    });
    expect(others.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(logged).toHaveLength(1);
    const plans = new Plans({ planner, cacheBytes: 1_000_000, deadlineMs: 5_000, compile: () => undefined });
    const normal = { key: 'k', planned: FOUND.query, definition: { operation: 'query' } };
    await expect(plans.plan(normal as never, { labels: [], percent: 100 })).rejects.toMatchObject({
      code: 'INTERNAL_SERVER_ERROR',
    });
  });

  it('in five forms within a minute sends the planner to rest for a minute', async () => {
    let now = 1_000_000;
    const begun = await lives(() => now);
    for (let form = 1; form <= 5; form += 1) {
      await expect(begun.plan(asking(`${FOUND.query} # ${form}`))).rejects.toThrow('SIGABRT');
    }
    await expect(begun.plan(asking(CALM))).rejects.toThrow('The native planner rests');
    now += 60_000;
    expect(await begun.plan(asking(CALM))).toMatchObject({ kind: 'QueryPlan' });
    expect(logged.map(({ fields }) => fields['restsMs'])).toEqual([undefined, undefined, undefined, undefined, 60_000]);
  });
});

describe('the native planner’s process', () => {
  it('is replaced when somebody ends it', async () => {
    const begun = await lives();
    const before = begun.pid!;
    process.kill(before, 'SIGKILL');
    // This one may still have been sent to it.
    await begun.plan(asking('{ q22 { __typename } }')).catch(() => undefined);
    expect(await begun.plan(asking(CALM))).toMatchObject({ kind: 'QueryPlan' });
    expect(begun.pid).not.toBe(before);
  });

  it('is replaced when it does not answer in time, and that question is left to the other planner for a minute', async () => {
    const begun = await lives(undefined, { answerMs: 1_000 });
    const before = begun.pid!;
    process.kill(before, 'SIGSTOP');
    await expect(begun.plan(asking(CALM))).rejects.toThrow('The operation was aborted due to timeout');
    expect(await begun.plan(asking('{ q22 { __typename } }'))).toMatchObject({ kind: 'QueryPlan' });
    await expect(begun.plan(asking(CALM))).rejects.toThrow('is not asked what has ended its process');
    while (!gone(before)) await sleep(5);
    expect(logged).toHaveLength(1);
  });

  it('outlives those who had to wait so long for their turn that no time is left, and is not said to have failed', async () => {
    const begun = await lives();
    const before = begun.pid!;
    process.kill(before, 'SIGSTOP');
    const asked: string[] = [];
    const first = begun.plan({ ...asking(CALM), begun: () => asked.push('first') });
    // Behind it, and never asked.
    const late = [CALM, '{ q22 { __typename } }', FOUND.query].map((query) =>
      begun.plan({ ...asking(query), signal: AbortSignal.timeout(50), begun: () => asked.push('late') }),
    );
    for (const one of late) await expect(one).rejects.toThrow('The operation was aborted due to timeout');
    process.kill(before, 'SIGCONT');
    expect(await first).toMatchObject({ kind: 'QueryPlan' });
    expect(asked).toEqual(['first']);
    process.kill(before, 'SIGSTOP');
    const underWay = begun.plan({ ...asking(CALM), signal: AbortSignal.timeout(50) });
    await expect(underWay).rejects.toThrow('The operation was aborted due to timeout');
    process.kill(before, 'SIGCONT');
    expect(await begun.plan(asking(CALM))).toMatchObject({ kind: 'QueryPlan' });
    expect([begun.pid, logged]).toEqual([before, []]);
  });

  it('outlives the signals that are for the gateway', async () => {
    const begun = await lives();
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.kill(begun.pid!, signal);
    const before = begun.pid;
    expect(await begun.plan(asking(CALM))).toMatchObject({ kind: 'QueryPlan' });
    expect(begun.pid).toBe(before);
  });

  it('is gone once its planner is closed', async () => {
    const begun = await lives();
    const pid = begun.pid!;
    expect(gone(pid)).toBe(false);
    await begun.end();
    expect(gone(pid)).toBe(true);
    await expect(begun.plan(asking(CALM))).rejects.toThrow();
  });

  it('is gone once its parent was killed', async () => {
    const worker = join(ROOT, 'gateway/plan/native-worker.mjs');
    const parent = spawn(
      process.execPath,
      [
        '--input-type=module',
        '-e',
        `import { fork } from 'node:child_process';
        const child = fork(process.env.WORKER, { stdio: ['ignore', 'ignore', 'ignore', 'ipc'], execArgv: [] });
        child.on('message', () => console.log(child.pid));
        child.send({ sdl: process.env.SDL });`,
      ],
      { env: { WORKER: worker, SDL: sdl }, stdio: ['ignore', 'pipe', 'inherit'] },
    );
    const [said] = (await once(parent.stdout, 'data')) as [Buffer];
    const pid = Number(said.toString());
    expect(gone(pid)).toBe(false);
    parent.kill('SIGKILL');
    while (!gone(pid)) await sleep(5);
    expect(gone(pid)).toBe(true);
  });
});
