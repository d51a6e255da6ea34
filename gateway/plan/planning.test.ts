import { afterAll, describe, expect, it } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { silent } from '#libs/telemetry';
import { checkingHere } from '../../test/federation/generated/planners.js';
import { federate } from '../../test/federation/harness.js';
import type { Supergraph } from '../supergraph/supergraph.js';
import { apolloPlanner, apolloThread } from './apollo-planner.js';
import { carefulPlanner } from './careful-planner.js';
import { checkedPlanner } from './checked-planner.js';
import { checkingInThread, checkingLives } from './checking.js';
import { Coverage } from './coverage.js';
import { plainPlan } from './plain-plan.js';
import type { NormalOperation } from './normalise.js';
import type { Plan } from './plan.js';
import { choosePlanner, type Planner, type PlanRequest } from './planner.js';
import { Plans } from './plans.js';

const NAMES = Array.from({ length: 300 }, (_, index) => `f${index}`);
const fields = (names: readonly string[]) => names.map((name) => `${name}: Int @shareable`).join(' ');
const values = { id: '1', ...Object.fromEntries(NAMES.map((name, index) => [name, index])) };
const side = (root: string) => ({
  sdl: `type Query { ${root}: Item } type Item @key(fields: "id") { id: ID! ${fields(NAMES)} ${root}Only: Int }`,
  resolvers: { Query: { [root]: () => values }, Item: { __resolveReference: () => values } },
});
const graph = federate({ a: side('a'), b: side('b'), c: side('c') });
afterAll(() => graph.close());

/** Apollo's planner, which is JavaScript and cannot be interrupted, takes many milliseconds for it. */
const LARGE = `{ a { ${NAMES.join(' ')} bOnly cOnly } b { aOnly cOnly ${NAMES.join(' ')} } }`;

describe('planning', () => {
  it('ends with a refusal at its deadline, and the next operation is planned', async () => {
    const options = { planner: 'apollo', planDeadlineMs: 1 } as const;
    await expect(graph.ask(LARGE, options)).rejects.toMatchObject({
      code: 'GATEWAY_TIMEOUT',
      message: expect.stringContaining('Planning took longer than 1 ms'),
    });
    const after = { ...options, planDeadlineMs: 60_000 };
    expect((await graph.ask('{ a { f1 } }', after)).data).toEqual({ a: { f1: 1 } });
  });

  it('control: without that deadline the same operation is planned and answered', async () => {
    const { data } = await graph.ask(LARGE, { planner: 'apollo' });
    expect(Object.keys((data as { a: object }).a)).toHaveLength(NAMES.length + 2);
  });

  it('that comes too late for whoever asked is there for the next: planned once, however many asked', async () => {
    const planner = await apolloPlanner(graph.supergraph.sdl);
    const late = (lateMs?: number) => {
      let ended: Promise<unknown> | undefined;
      const plans = new Plans({
        planner: { ...planner, plan: (request) => (ended = planner.plan(request)) as Promise<Plan> },
        cacheBytes: 10_000_000,
        deadlineMs: 1,
        ...(lateMs !== undefined && { lateMs }),
        compile: (plan) => plan,
      });
      const normal = { key: 'k', planned: LARGE, definition: { operation: 'query' } } as unknown as NormalOperation;
      const begun = { times: 0 };
      const ask = () => plans.compiled(normal, { labels: [], percent: 100 }, () => (begun.times += 1));
      return { plans, ask, begun, ended: () => ended?.catch(() => undefined) };
    };
    const refused = { code: 'GATEWAY_TIMEOUT', message: 'Planning took longer than 1 ms.' };
    const keeps = late();
    const crowd = await Promise.allSettled([keeps.ask(), keeps.ask(), keeps.ask()]);
    expect(crowd).toMatchObject(Array.from({ length: 3 }, () => ({ status: 'rejected', reason: refused })));
    while (keeps.plans.size === 0) await sleep(1);
    expect((await keeps.ask()).root).toBeDefined();
    // Of the four, one is told that it is planned for them: that one pays.
    expect([keeps.plans.planned, keeps.begun.times]).toEqual([1, 1]);
    // (control) Thrown away, it is late for the next as well.
    const forgets = late(0);
    for (let nth = 1; nth <= 2; nth += 1) {
      await expect(forgets.ask()).rejects.toMatchObject(refused);
      await forgets.ended();
      expect([forgets.plans.size, forgets.plans.planned, forgets.begun.times]).toEqual([0, nth, nth]);
    }
    await planner.close();
  });

  it('is not given up while somebody waits who came late, and is theirs', async () => {
    const { plans, ask, finish } = waiting({ deadlineMs: 1_000, lateMs: 50 }, true);
    await expect(ask()).rejects.toMatchObject({ code: 'GATEWAY_TIMEOUT' });
    const joined = ask();
    await sleep(100);
    finish({ root: undefined });
    expect(await joined).toEqual({ root: undefined });
    expect(plans.planned).toBe(1);
  });

  it.each([
    [false, true],
    [true, false],
  ])('has late time only when a planner has begun with it: %s', async (begins, isGivenUp) => {
    const { plans, ask, asked } = waiting({ deadlineMs: 1, lateMs: 60_000 }, begins);
    await expect(ask()).rejects.toMatchObject({ code: 'GATEWAY_TIMEOUT' });
    expect(asked[0]!.signal.aborted).toBe(isGivenUp);
    await expect(ask()).rejects.toMatchObject({ code: 'GATEWAY_TIMEOUT' });
    expect(plans.planned).toBe(begins ? 1 : 2);
  });

  it('begins one new thread after a death, however many plans wait for it; none of them is lost', async () => {
    const { threads, start } = recorded();
    const planner = await apolloPlanner(graph.supergraph.sdl, start);
    const plan = (query: string) => {
      const { signal } = new AbortController();
      return planner.plan({ query, kind: 'query', labels: [], percent: 100, signal });
    };
    await threads[0]!.end();
    const plans = await Promise.all(Array.from({ length: 20 }, (_, nth) => plan(`{ a { f${nth} } }`)));
    expect(plans.map(({ root }) => root?.kind)).toEqual(Array.from({ length: 20 }, () => 'root'));
    expect(threads).toHaveLength(2);
    // It ends over one of many: the others are planned by the next.
    const asked = Array.from({ length: 20 }, (_, nth) => plan(`{ b { f${nth} } }`));
    await threads[1]!.end();
    const settled = await Promise.allSettled(asked);
    expect(settled.filter(({ status }) => status === 'rejected').length).toBeLessThanOrEqual(1);
    expect(threads).toHaveLength(3);
    await planner.close();
    expect(threads.map(({ ended }) => ended)).toEqual([true, true, true]);
    await expect(plan('{ a { f1 } }')).rejects.toThrow('The planner is closed.');
  });

  it('that takes too long ends its thread, not because somebody does not want it any more', async () => {
    const { threads, start } = recorded();
    const patient = await apolloPlanner(graph.supergraph.sdl, start);
    const asking = { kind: 'query', labels: [], percent: 100 } as const;
    await expect(patient.plan({ ...asking, query: LARGE, signal: AbortSignal.timeout(1) })).rejects.toThrow('timeout');
    const { signal } = new AbortController();
    expect((await patient.plan({ ...asking, query: '{ a { f1 } }', signal })).root?.kind).toBe('root');
    expect(threads.map(({ ended }) => ended)).toEqual([false]);
    await patient.close();
    const hasty = await apolloPlanner(graph.supergraph.sdl, start, 1);
    await expect(hasty.plan({ ...asking, query: LARGE, signal })).rejects.toThrow('took longer than 1 ms');
    expect(threads[1]!.ended).toBe(true);
    await hasty.close();
  });

  it.each(['native', 'apollo'] as const)('%s: is not done by the event loop that answers requests', async (planner) => {
    await graph.engine({ planner, merge: 'plan' });
    expect(await turnsDuring(() => graph.ask(LARGE, { planner, merge: 'plan' }))).toBeGreaterThan(0);
  });

  it('control: planned where requests are answered, nobody else has a turn meanwhile', async () => {
    const { apolloPlanning } = (await import(new URL('./apollo-planning.mjs', import.meta.url).href)) as {
      apolloPlanning: (sdl: string) => { plan(query: string, on: string[]): { node: unknown } };
    };
    const planning = apolloPlanning(graph.supergraph.sdl);
    const turns = await turnsDuring(() => Promise.resolve(expect(planning.plan(LARGE, []).node).toBeDefined()));
    expect(turns).toBe(0);
  });
});

describe('looking a plan over', () => {
  const { supergraph } = graph;
  const answering = (plan: () => Promise<Plan>): Planner => ({
    name: 'native',
    overrideLabels: new Set(),
    plan,
    close: () => Promise.resolve(),
  });
  const asking = { query: LARGE, kind: 'query', labels: [], percent: 100 } as const;
  const roots = { query: 'Query', mutation: undefined };
  const plainly = (of: Supergraph, query: string) =>
    plainPlan(Coverage.of(of).joins, roots, { ...asking, query }, () => false);

  it.each<[string, () => Promise<Plan>, number]>([
    ['and found whole', () => Promise.resolve(plainly(supergraph, LARGE)), 1],
    ['and found to lack something', () => Promise.resolve({ root: undefined }), 2],
    ['where there is none', () => Promise.reject(new Error('There is none.')), 1],
  ])('%s, is done in a thread, and not at all where requests are answered', async (_what, plan, looks) => {
    const { signal } = new AbortController();
    const coverage = Coverage.of(supergraph);
    const before = coverage.looked;
    const threaded = checkedPlanner(answering(plan), checkingInThread(supergraph), silent);
    const there = threaded.plan({ ...asking, signal });
    expect(await isDoneInThisTurn(there)).toBe(false);
    const planned = await there;
    expect(coverage.looked - before).toBe(0);
    // (control) The same done here is counted, and nobody else has a turn meanwhile.
    const here = checkedPlanner(answering(plan), checkingHere(supergraph), silent).plan({ ...asking, signal });
    expect(await isDoneInThisTurn(here)).toBe(true);
    expect(await here).toEqual(planned);
    expect(coverage.looked - before).toBe(looks);
    await threaded.close();
  });

  it('is waited for before anybody plans; where it cannot be done, the supergraph is not served', async () => {
    const closed: string[] = [];
    const closing = (name: string) => ({ close: () => Promise.resolve(void closed.push(name)) });
    const planner = { ...answering(() => Promise.resolve({ root: undefined })), ...closing('planner') };
    const choosing = choosePlanner(supergraph, 'native', silent, {
      native: () => Promise.resolve(planner),
      apollo: () => Promise.resolve(planner),
      checking: (of) => ({
        ...checkingHere(of),
        ...closing('checking'),
        begin: () => Promise.reject(new Error('There is no thread.')),
      }),
    });
    await expect(choosing).rejects.toThrow('There is no thread.');
    expect(closed).toEqual(['planner', 'checking']);
  });

  it('begins its thread while a planner is at work', async () => {
    const order: string[] = [];
    const planner = answering(() => {
      order.push('plan');
      return Promise.resolve(plainly(supergraph, '{a{f1}}'));
    });
    const begin = () => Promise.resolve(void order.push('begin'));
    const { signal } = new AbortController();
    await checkedPlanner(planner, { ...checkingHere(supergraph), begin }, silent).plan({ ...asking, signal });
    expect(order).toEqual(['begin', 'plan']);
  });

  it('may take longer when the supergraph has to be read first', async () => {
    const lives = checkingLives(60_000, 1);
    const { id, sdl, subgraphs } = supergraph;
    const read = { sdl, addresses: new Map([...subgraphs.values()].map(({ name, url }) => [name, url])) };
    const { signal } = new AbortController();
    expect(await lives.ask({ id, read }, signal)).toBe('read');
    // (control) A question for a plan has its limit.
    await expect(lives.ask({ id, asked: asking }, signal)).rejects.toThrow('took longer than 1 ms');
    await lives.end();
  });

  it('opens no other planner for a plan that comes when all is closed', async () => {
    let opened = 0;
    let fail: (error: Error) => void;
    const first = answering(() => new Promise((_resolve, reject) => (fail = reject)));
    const open = () => {
      opened += 1;
      return Promise.resolve(answering(() => Promise.resolve({ root: undefined })));
    };
    const { signal } = new AbortController();
    for (const closes of [true, false]) {
      const careful = carefulPlanner(first, open, checkingHere(supergraph), silent);
      const settled = careful.plan({ ...asking, signal }).then(
        () => 'planned',
        () => 'refused',
      );
      if (closes) await careful.close();
      fail!(new Error('It ended.'));
      // (control) Otherwise it is asked.
      expect([await settled, opened]).toEqual(closes ? ['refused', 0] : ['planned', 1]);
    }
  });

  it('opens the other planner again where it could not be opened before', async () => {
    let tries = 0;
    const open = () => {
      tries += 1;
      if (tries === 1) return Promise.reject(new Error('Not now.'));
      return Promise.resolve(answering(() => Promise.resolve({ root: undefined })));
    };
    const first = answering(() => Promise.reject(new Error('It gave up.')));
    const careful = carefulPlanner(first, open, checkingHere(supergraph), silent);
    const { signal } = new AbortController();
    await expect(careful.plan({ ...asking, signal })).rejects.toThrow('It gave up.');
    expect(await careful.plan({ ...asking, signal })).toEqual({ root: undefined });
    expect(tries).toBe(2);
    await careful.close();
  });

  it('needs a thread only as long as somebody asks; the next question begins another', async () => {
    const lives = checkingLives(20);
    const { id, sdl, subgraphs } = supergraph;
    const read = { sdl, addresses: new Map([...subgraphs.values()].map(({ name, url }) => [name, url])) };
    for (let life = 0; life < 2; life += 1) {
      const { signal } = new AbortController();
      expect(await lives.ask({ id, asked: asking }, signal)).toBe('unread');
      expect(await lives.ask({ id, read, asked: asking }, signal)).toHaveProperty('plain.left', new Set());
      expect(await lives.ask({ id, asked: asking }, signal)).toHaveProperty('plain.left', new Set());
      while (lives.alive) await sleep(5);
    }
    await lives.end();
    // (control) Who may be idle for longer stays.
    const patient = checkingLives(60_000);
    await patient.begin();
    await sleep(100);
    expect(patient.alive).toBe(true);
    await patient.end();
    expect(patient.alive).toBe(false);
  });

  it('ends as soon as nobody waits for it any more', async () => {
    const gone = new AbortController();
    const planner = answering(() => {
      gone.abort(new Error('Nobody waits.'));
      return Promise.resolve(plainly(supergraph, LARGE));
    });
    const checked = checkedPlanner(planner, checkingInThread(supergraph), silent);
    await expect(checked.plan({ ...asking, signal: gone.signal })).rejects.toThrow('Nobody waits.');
    await checked.close();
  });

  it('costs as much as the plan is long, also where every field goes by another name on its way', () => {
    const types = Array.from({ length: 80 }, (_, nth) => `T${nth}`);
    const conflicting = (nth: number) =>
      NAMES.slice(0, 6).map((name) => `${name}: ${nth % 2 === 0 ? 'Int' : 'String'}`);
    const mixed = federate({
      a: {
        sdl: `type Query { all: [Mixed!]! } union Mixed = ${types.join(' | ')}
          ${types.map((type, nth) => `type ${type} { ${conflicting(nth).join(' ')} }`).join('\n')}`,
      },
    });
    const milliseconds = (count: number) => {
      const query = `{all{${types
        .slice(0, count)
        .map((type) => `... on ${type}{${NAMES.slice(0, 6).join(' ')}}`)
        .join(' ')}}}`;
      const plan = plainly(mixed.supergraph, query);
      const began = process.cpuUsage();
      expect(Coverage.of(mixed.supergraph).uncovered(query, 'query', plan).size).toBe(0);
      const { user, system } = process.cpuUsage(began);
      return (user + system) / 1_000;
    };
    milliseconds(80);
    const ratios = Array.from({ length: 7 }, () => milliseconds(80) / milliseconds(20));
    // Four times as much; each with each would be sixteen times, every time.
    expect(Math.min(...ratios)).toBeLessThan(9);
  });
});

/** Plans of a planner that answers when the test says so. */
function waiting(waits: { readonly deadlineMs: number; readonly lateMs: number }, begins: boolean) {
  const asked: PlanRequest[] = [];
  let finish: (plan: Plan) => void;
  const planner: Planner = {
    name: 'native',
    overrideLabels: new Set(),
    plan(request) {
      asked.push(request);
      if (begins) request.begun?.();
      return new Promise((resolve) => (finish = resolve));
    },
    close: () => Promise.resolve(),
  };
  const plans = new Plans({ planner, cacheBytes: 1_000_000, ...waits, compile: (plan) => plan });
  const normal = { key: 'k', planned: '{a{f1}}', definition: { operation: 'query' } } as unknown as NormalOperation;
  const ask = () => plans.compiled(normal, { labels: [], percent: 100 });
  return { plans, asked, ask, finish: (plan: Plan) => finish(plan) };
}

/** Apollo's planner's threads, as they are begun. */
function recorded() {
  const threads: ReturnType<typeof apolloThread>[] = [];
  const start = (sdl: string) => {
    threads.push(apolloThread(sdl));
    return threads.at(-1)!;
  };
  return { threads, start };
}

/** Whether only promises had to be gone through: what another thread answers comes in a later turn of the event loop. */
async function isDoneInThisTurn(work: Promise<unknown>): Promise<boolean> {
  let isDone = false;
  void work.then(() => (isDone = true));
  for (let step = 0; step < 1000; step++) await Promise.resolve();
  return isDone;
}

/** How often others had a turn of the event loop before it was over. */
async function turnsDuring(work: () => Promise<unknown>): Promise<number> {
  let turns = 0;
  let over = false;
  const turn = () => {
    if (over) return;
    turns += 1;
    setImmediate(turn);
  };
  setImmediate(turn);
  await work();
  over = true;
  return turns;
}
