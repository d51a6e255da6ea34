import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { silent, type Logger } from '#libs/telemetry';
import { startTinyGraph, type TinyGraph } from '../../test/tiny/tiny-graph.js';
import { startTinyHttp, type TinyHttp } from '../../test/tiny/tiny-http.js';
import type { Engine, Operation } from '../engine.js';
import { openSubgraphClient } from '../fetch/subgraph-client.js';
import { Refusals } from '../refusals.js';
import { createEngine } from '../run/engine.js';
import { readSupergraph } from '../supergraph/supergraph.js';
import { Admission } from './admission.js';
import { Bodies } from './bodies.js';
import { Untaken } from './untaken.js';

const LIMIT = 16;
/** Clients who each ask again as soon as they have been told something. */
const CLIENTS = 10 * LIMIT;
const LOAD_MS = 2_000;

/** HTTP, engine and client of the gateway before real subgraphs, while ten times as many ask as may be taken, each for what nobody has asked. */
describe('while ten times as many ask as may be taken', () => {
  let tiny: TinyGraph;
  let client: ReturnType<typeof openSubgraphClient>;
  let engine: Engine;
  let http: TinyHttp;
  let answers: { name: string; status: number; retryAfter: string | null; type: string | null; body: unknown }[];
  let planned: Set<Operation>;
  let [inside, most] = [0, 0];
  const bodies = new Bodies(1_000_000);
  const untaken = new Untaken({ bytesMax: 1_000_000, ms: 10_000 });

  beforeEach(async () => {
    tiny = await startTinyGraph();
    client = openSubgraphClient({
      timeoutMs: 60_000,
      bodyBytesMax: 64 * 1024,
      connections: 8,
      assertion: () => undefined,
      forwardResponse: [],
      clock: Date.now,
    });
    const options = { logger: silent, clock: Date.now, planner: 'auto', merge: 'flow', join: false } as const;
    engine = await createEngine(readSupergraph(tiny.sdl), { ...options, subgraphs: client });
    answers = [];
    planned = new Set();
    inside = most = 0;
  });
  afterEach(async () => {
    await http.close();
    await engine.close();
    await client.close();
    await tiny.close();
  });

  /** `least`: nobody is answered before as many have run at once. */
  async function start(admission: Admission | undefined, least = 0): Promise<void> {
    let reached = () => {};
    const together = new Promise<void>((resolve) => (reached = resolve));
    http = await startTinyHttp(
      readSupergraph(tiny.sdl).schema,
      {},
      {
        admission,
        bodies,
        untaken,
        timeoutMs: 60_000,
        async execute(operation, variables, context) {
          inside += 1;
          most = Math.max(most, inside);
          if (most >= least) reached();
          try {
            await together;
            return await engine.execute(operation, variables, { ...context, willPlan: () => planned.add(operation) });
          } finally {
            inside -= 1;
          }
        },
      },
    );
  }

  async function ask(name: string): Promise<number> {
    const response = await fetch(http.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ query: `{ ${name}: me { name posts { body } } }` }),
    });
    const { status, headers } = response;
    const [retryAfter, type] = [headers.get('retry-after'), headers.get('content-type')];
    answers.push({ name, status, retryAfter, type, body: await response.json() });
    return status;
  }

  /** Each asks again, until it is over and at least `refused` were refused. */
  async function crowd(refused: number): Promise<void> {
    const until = Date.now() + LOAD_MS;
    let [asked, told] = [0, 0];
    await Promise.all(
      Array.from({ length: CLIENTS }, async () => {
        do if ((await ask(`n${(asked += 1)}`)) === 503) told += 1;
        while (Date.now() < until || told < refused);
      }),
    );
  }

  const whole = (name: string) => ({ data: { [name]: { name: 'name of 1', posts: [{ body: 'by 1' }] } } });
  const namesOf = (calls: TinyGraph['people']['calls']): string[] =>
    calls.map(({ body }) => /\bn\d+\b/.exec(body)?.[0] ?? body).sort();

  it('no more run at once, each of those is answered whole, and of the others nothing is planned or asked of a service; then all are taken', async () => {
    const admission = new Admission({ lateMs: 1_000, max: LIMIT });
    await start(admission);
    await crowd(10 * LIMIT);
    const taken = answers.filter(({ status }) => status === 200);
    const refused = answers.filter(({ status }) => status !== 200);
    expect(most).toBeLessThanOrEqual(LIMIT);
    expect(taken.map(({ body }) => body)).toEqual(taken.map(({ name }) => whole(name)));
    const told = refused.map(({ status, retryAfter, type }) => `${status} ${retryAfter} ${type}`);
    expect([...new Set(told)]).toEqual(['503 1 application/json; charset=utf-8']);
    expect(refused.length).toBeGreaterThanOrEqual(10 * LIMIT);
    for (const { body } of refused) expect(body).toMatchObject({ errors: [{ extensions: { code: 'OVERLOADED' } }] });
    // One plan and one call to each service for whoever was taken, and none for anybody else.
    const names = taken.map(({ name }) => name).sort();
    expect([planned.size, http.executed.length, admission.refused]).toEqual([
      taken.length,
      taken.length,
      refused.length,
    ]);
    expect(namesOf(tiny.people.calls)).toEqual(names);
    expect(tiny.posts.calls).toHaveLength(taken.length);
    await nothingIsLeft(admission);
    for (let turn = 0; turn < 2 * LIMIT; turn += 1) expect(await ask(`n${1_000_000 + turn}`)).toBe(200);
    await nothingIsLeft(admission);
  }, 120_000);

  it('(control) without a limit all of them run at once, and for all of them services are asked', async () => {
    await start(undefined, 2 * LIMIT + 1);
    await crowd(0);
    expect(most).toBeGreaterThan(2 * LIMIT);
    expect([planned.size, tiny.people.calls.length]).toEqual([answers.length, answers.length]);
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
  }, 120_000);

  async function nothingIsLeft(admission: Admission): Promise<void> {
    const left = (): number[] => [
      ...[...client.upstreams.endpoints].flatMap(({ inside, waiting }) => [inside, waiting]),
      admission.inside,
      inside,
      bodies.bytes,
      untaken.bytes,
    ];
    // An answer may be read a moment before its writing is told.
    while (left().some((many) => many > 0)) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(left()).toEqual([0, 0, 0, 0, 0, 0, 0, 0]);
  }
});

describe('the log of a gateway that refuses by itself', () => {
  let now: number;
  let lines: [string, Record<string, unknown>][];
  const logger: Logger = { ...silent, warn: (fields, line) => void lines.push([line, { ...fields }]) };

  /** An hour in which 40 are refused each second, and a minute in which nobody is; told of as `look` says. */
  function anHour(
    look: (of: Refusals) => void,
    made = (of: Admission) => new Refusals(of, logger, () => now),
  ): Admission {
    now = 0;
    lines = [];
    const admission = new Admission({ lateMs: 1_000, max: LIMIT });
    const refusals = made(admission);
    for (let second = 0; second < 3_660; second += 1) {
      while (second < 3_600 && admission.enter());
      for (let more = 1; second < 3_600 && more < 40; more += 1) admission.enter();
      look(refusals);
      now += 1_000;
    }
    return admission;
  }

  it('has a line a minute with how many there were and how many are taken, and one when it is over; control: one for each look would be a line a second', () => {
    const { refused } = anHour((of) => of.look());
    expect(refused).toBe(40 * 3_600);
    expect(lines).toHaveLength(61);
    expect(lines[0]).toEqual([
      expect.stringContaining('some are refused (503)'),
      expect.objectContaining({ refused: 40, limit: LIMIT }),
    ]);
    expect(lines[1]).toEqual([
      expect.stringContaining('still'),
      expect.objectContaining({ refused: 2_400, limit: LIMIT }),
    ]);
    expect(lines.at(-1)![0]).toBe('Nobody is refused by this gateway any more');
    expect(lines.reduce((sum, [, fields]) => sum + Number(fields['refused']), 0)).toBe(refused);
    anHour(
      (of) => of.look(),
      (of) => {
        const each = () => new Refusals(of, logger, () => now);
        let before = each();
        return { look: () => (before.look(), (before = each())) } as unknown as Refusals;
      },
    );
    expect(lines.length).toBeGreaterThan(3_000);
  });

  it('has none while nobody is refused', () => {
    lines = [];
    const admission = new Admission({ lateMs: 1_000, max: LIMIT });
    const refusals = new Refusals(admission, logger, () => now);
    for (now = 0; now < 60_000; now += 1_000) {
      admission.enter();
      admission.leave();
      refusals.look();
    }
    expect(lines).toEqual([]);
  });
});
