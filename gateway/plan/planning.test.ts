import { afterAll, describe, expect, it } from '@jest/globals';
import { federate } from '../../test/federation/harness.js';

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
    // The thread that was in the middle of it is replaced.
    const after = { ...options, planDeadlineMs: 60_000 };
    expect((await graph.ask('{ a { f1 } }', after)).data).toEqual({ a: { f1: 1 } });
  });

  it('control: without that deadline the same operation is planned and answered', async () => {
    const { data } = await graph.ask(LARGE, { planner: 'apollo' });
    expect(Object.keys((data as { a: object }).a)).toHaveLength(NAMES.length + 2);
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
