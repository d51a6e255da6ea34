import { afterAll, expect, it } from '@jest/globals';
import { openRecordCache } from '#libs/cache';
import { federate, type Federation } from '../../test/federation/harness.js';
import { CANARY_QUERIES, canaries, canaryOf, nthOf, strangersIn } from '../../test/federation/canaries.js';
import { EntityCache } from './entity-cache.js';

/** `CANARIES=100000 npm test -- gateway/cache/canary` for more. */
const REQUESTS = Number(process.env['CANARIES'] ?? 10_000);
const VIEWERS = Array.from({ length: 50 }, (_, nth) => `viewer${String(nth).padStart(2, '0')}`);

const graph = federate(canaries());
/** The same, by somebody who did not say what is private. */
const careless = federate(canaries((sdl) => sdl.replaceAll(/, scope: (PRIVATE|GROUP)/g, '')));
afterAll(() => Promise.all([graph.close(), careless.close()]));

interface Shown {
  /** Somebody was shown what is another's. */
  readonly strangers: readonly string[];
  /** Answers in which a viewer found their own. */
  readonly own: number;
  readonly calls: number;
  /** Answers that differ from an earlier one to the same question of the same viewer. */
  readonly different: number;
}

async function interleaved(of: Federation, requests: number): Promise<Shown> {
  const entities = new EntityCache({ records: openRecordCache({}) });
  const shown = { strangers: [] as string[], own: 0, calls: 0, different: 0 };
  // Plans are made one after the other, before there is a crowd.
  for (const join of [true, false])
    for (const query of CANARY_QUERIES)
      await of.ask(query, { entities, variables: query.includes('$id') ? { id: '0' } : {}, join });
  const answers = new Map<string, string>();
  let turn = 0;
  const one = async (): Promise<void> => {
    for (let nth = turn++; nth < requests; nth = turn++) {
      const { viewer, query, variables } = nthOf(nth, VIEWERS);
      const { body, calls } = await of.ask(query, { entities, subject: viewer, variables, join: nth % 2 === 0 });
      shown.calls += calls.length;
      if (viewer && body.includes(canaryOf(viewer))) shown.own += 1;
      for (const whose of strangersIn(body, viewer)) shown.strangers.push(`${viewer} was shown what is ${whose}’s`);
      const key = JSON.stringify([viewer, query, variables]);
      if ((answers.get(key) ?? body) !== body) shown.different += 1;
      answers.set(key, body);
    }
  };
  await Promise.all(Array.from({ length: 40 }, one));
  return shown;
}

it(`${REQUESTS} interleaved requests of 50 viewers: what is one viewer’s is in nobody else’s bytes`, async () => {
  const { strangers, own, calls, different } = await interleaved(graph, REQUESTS);
  expect(strangers).toEqual([]);
  expect(different).toBe(0);
  expect(own).toBeGreaterThan(REQUESTS / 2);
  // It was the cache that answered.
  expect(calls).toBeLessThan(REQUESTS);
}, 120_000);

it('control: where the schema does not say PRIVATE, the same requests show it to others', async () => {
  expect((await interleaved(careless, 1_000)).strangers.length).toBeGreaterThan(0);
});

it('what is for a group, of which no gateway knows who is in it, is not kept; control: where nobody says so it is shown to whoever asks next', async () => {
  const shown = async (of: Federation) => {
    const entities = new EntityCache({ records: openRecordCache({}) });
    const seen: (readonly [strangers: number, calls: number])[] = [];
    for (const viewer of ['viewer00', 'viewer01', 'viewer00']) {
      const { body, calls } = await of.ask('{ thing(id: "1") { grouped } }', { entities, subject: viewer });
      await entities.settled();
      seen.push([strangersIn(body, viewer).length, calls.length]);
    }
    return seen;
  };
  expect(await shown(graph)).toEqual(Array(3).fill([0, 1]));
  expect(await shown(careless)).toContainEqual([1, 0]);
});
