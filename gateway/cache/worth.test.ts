import { afterAll, beforeEach, describe, expect, it } from '@jest/globals';
import { openRecordCache, staleEntity, type RecordCache } from '#libs/cache';
import { Failure } from '#libs/failure';
import { federate, operationOf } from '../../test/federation/harness.js';
import { HINTS } from '../../test/federation/hints.js';
import type { Engine } from '../engine.js';
import { EntityCache } from './entity-cache.js';
import { hashOf, Seen, Strangers, Worth } from './worth.js';

let loads = 0;
let slowMs = 0;
const graph = federate({
  users: {
    sdl: `${HINTS}
      type Query { user(id: ID!): User @cacheControl(maxAge: 60)  many(ids: [ID!]!): [User!]! @cacheControl(maxAge: 0) }
      type User @key(fields: "id") { id: ID! }`,
    resolvers: {
      Query: {
        user: (_: unknown, { id }: { id: string }) => ({ id }),
        many: (_: unknown, { ids }: { ids: string[] }) => ids.map((id) => ({ id })),
      },
      User: { __resolveReference: ({ id }: { id: string }) => ({ id }) },
    },
  },
  names: {
    sdl: `${HINTS} type User @key(fields: "id") { id: ID! name: String! @cacheControl(maxAge: 60) }`,
    resolvers: {
      User: {
        __resolveReference: async ({ id }: { id: string }) => {
          loads += 1;
          if (slowMs > 0) await new Promise((resolve) => setTimeout(resolve, slowMs));
          return { id };
        },
        name: ({ id }: { id: string }) => `name of ${id}`,
      },
    },
  },
});
afterAll(() => graph.close());

const MANY = 'query($ids: [ID!]!) { many(ids: $ids) { name } }';
const many = operationOf(graph.supergraph.schema, MANY);
const one = operationOf(graph.supergraph.schema, 'query($id: ID!) { user(id: $id) { id name } }');

let records: RecordCache;
let entities: EntityCache;
let engine: Engine;
beforeEach(async () => {
  [loads, slowMs, nth] = [0, 0, 0];
  records = openRecordCache({});
  entities = new EntityCache({ records, random: () => 0.5 });
  engine = await graph.engine({ entities });
});

/** Never the same twice. */
let nth = 0;
const strangers = (count: number): string[] => Array.from({ length: count }, () => `stranger ${(nth += 1)}`);

async function execute(operation: typeof many, variables: Record<string, unknown>, by = engine, header?: string) {
  const responseHeaders: [string, string][] = [];
  const answer = await by.execute(operation, variables, {
    requestId: 'r',
    subject: null,
    headers: new Map(header === undefined ? [] : [['x-nonce', header]]),
    signal: new AbortController().signal,
    deadline: Date.now() + 10_000,
    responseHeaders,
  });
  await records.settled();
  return { body: answer.body.toString(), headers: responseHeaders };
}

async function loadsOf(ids: string[]): Promise<number> {
  const before = loads;
  const { body } = await execute(many, { ids });
  expect(JSON.parse(body)).toEqual({ data: { many: ids.map((id) => ({ name: `name of ${id}` })) } });
  return loads - before;
}

/** Reads until nobody would expect anything to come again. */
async function onlyStrangers(): Promise<void> {
  for (let i = 0; i < 8; i += 1) await execute(many, { ids: strangers(20) });
}

describe('what next to nothing is found of', () => {
  it('is asked for without a word to the store; before that every request looks and fills', async () => {
    const trips = async () => {
      const before = records.roundTrips;
      for (let i = 0; i < 5; i += 1) expect(await loadsOf(strangers(20))).toBe(20);
      return records.roundTrips - before;
    };
    expect(await trips()).toBe(10);
    await onlyStrangers();
    expect(await trips()).toBe(0);
  });

  it('and becomes hot is found from its third reading on, and not after it was dropped', async () => {
    await onlyStrangers();
    expect([await loadsOf(['hot']), await loadsOf(['hot']), await loadsOf(['hot'])]).toEqual([1, 1, 0]);
    await records.drop(staleEntity('names', 'User', { id: 'hot' }));
    expect([await loadsOf(['hot']), await loadsOf(['hot'])]).toEqual([1, 0]);
  });

  it('and is found again often is kept from its first reading on, as before', async () => {
    await onlyStrangers();
    const page = strangers(20);
    for (let i = 0; i < 5; i += 1) await loadsOf(page);
    expect([await loadsOf(['new']), await loadsOf(['new'])]).toEqual([1, 0]);
  });

  it('is loaded at most once more than once, however many ask for it at once', async () => {
    await onlyStrangers();
    slowMs = 50;
    const before = loads;
    const answers = await Promise.all(Array.from({ length: 100 }, () => execute(many, { ids: ['crowded'] })));
    expect(new Set(answers.map(({ body }) => body))).toEqual(
      new Set(['{"data":{"many":[{"name":"name of crowded"}]}}']),
    );
    expect(loads - before).toBeLessThanOrEqual(2);
  });

  it('is told the client to be kept as long as ever, and a root field is no other', async () => {
    const first = await execute(one, { id: 'a' });
    for (let i = 0; i < 130; i += 1) await execute(one, { id: strangers(1)[0] });
    const before = records.roundTrips;
    const later = await execute(one, { id: 'b' });
    expect(records.roundTrips).toBe(before);
    expect(later.headers).toEqual(first.headers);
    expect(later.headers).toContainEqual(['cache-control', 'max-age=60, public']);
    expect(later.body).toBe(first.body.replaceAll(/"a"|of a/g, (text) => text.replace('a', 'b').replace('bf', 'of')));
  });

  it('cannot be had: what another gateway has kept of it is shown; without that it is an error', async () => {
    const other = await graph.engine({ entities: new EntityCache({ records, random: () => 0.5 }) });
    await execute(many, { ids: ['kept'] }, other);
    await onlyStrangers();
    const instead = { names: () => new Failure('SUBGRAPH_UNAVAILABLE', 'names is gone') };
    const shown = (id: string) => graph.ask(MANY, { entities, variables: { ids: [id] }, instead });
    expect((await shown('kept')).body).toBe('{"data":{"many":[{"name":"name of kept"}]}}');
    expect((await shown('lost')).errors).toHaveLength(1);
  });
});

describe('requests for one entity at once', () => {
  it.each([
    ['wait for one load', 'same', 1, 9],
    ['wait for nobody where their forwarded headers differ, and so their records', 'other', 10, 0],
  ])('%s', async (_, kind, loaded, waiting) => {
    slowMs = 200;
    const asked = Array.from({ length: 10 }, (__, index) =>
      execute(many, { ids: ['a'] }, engine, kind === 'same' ? 'x' : `x${index}`),
    );
    while (loads < loaded || entities.waiters < waiting) await new Promise((resolve) => setImmediate(resolve));
    expect([loads, entities.waiters]).toEqual([loaded, waiting]);
    await Promise.all(asked);
    expect(loads).toBe(loaded);
  });
});

describe('a field that a header lets be kept for the first time, while another request waits for it', () => {
  const noted = federate({
    users: {
      sdl: `${HINTS} type Query { user(id: ID!): User } type User @key(fields: "id") { id: ID! }`,
      resolvers: { Query: { user: (_: unknown, { id }: { id: string }) => ({ id }) } },
    },
    notes: {
      sdl: `${HINTS} type User @key(fields: "id") { id: ID! unhinted: String hinted: String @cacheControl(maxAge: 60) }`,
      resolvers: {
        User: {
          __resolveReference: ({ id }: { id: string }) => ({ id }),
          unhinted: () => 'because of a header',
          hinted: () => 'because of a hint',
        },
      },
    },
  });
  afterAll(() => noted.close());

  it('is not taken for another field', async () => {
    let open = (): void => {};
    const gate = new Promise<void>((resolve) => (open = resolve));
    let reached = 0;
    const ask = () =>
      noted.ask('{ user(id: "a") { unhinted hinted } }', {
        entities,
        answerHeaders: { notes: { 'cache-control': 'max-age=60' } },
        before: async ({ subgraph }) => {
          if (subgraph !== 'notes') return;
          reached += 1;
          await gate;
        },
      });
    const until = async (holds: () => boolean) => {
      while (!holds()) await new Promise((resolve) => setImmediate(resolve));
    };
    const first = ask();
    await until(() => reached === 1);
    const second = ask();
    await until(() => entities.waiters === 1);
    open();
    for (const { body } of [await first, await second, await ask()])
      expect(body).toBe('{"data":{"user":{"unhinted":"because of a header","hinted":"because of a hint"}}}');
  });
});

describe('requests whose forwarded headers hardly ever come again', () => {
  it('are answered without a word to the store, with the same Cache-Control; headers that do come again are served as ever', async () => {
    const first = await execute(one, { id: 'a' }, engine, 'first');
    for (let i = 0; i < 130; i += 1) await execute(one, { id: 'a' }, engine, `once ${i}`);
    const trips = records.roundTrips;
    const later = await execute(one, { id: 'a' }, engine, 'never before');
    expect([later.body, later.headers, records.roundTrips - trips]).toEqual([first.body, first.headers, 0]);

    const before = loads;
    for (let i = 0; i < 4; i += 1) await execute(one, { id: 'a' }, engine, 'again');
    // Twice because of the headers and the entity, each new; once to keep it.
    expect([loads - before, records.roundTrips > trips]).toEqual([3, true]);
    // (control) Who brings no headers is nobody's stranger.
    for (let i = 0; i < 3; i += 1) await execute(one, { id: 'a' });
    expect(loads - before).toBeLessThanOrEqual(5);
  });

  it('are strangers after a window without one that came again, until some do', () => {
    const strangers = new Strangers();
    const are = Array.from({ length: 130 }, (_, nth) => strangers.is(`once ${nth}`));
    expect([are.indexOf(true), are.slice(128)]).toEqual([128, [true, true]]);
    expect(strangers.is('once 129')).toBe(false);
    for (let i = 0; i < 8; i += 1) strangers.is('again');
    expect(strangers.is('one more')).toBe(false);
  });
});

describe('the doorkeeper', () => {
  it('doubts after a window without hits, and believes as soon as there are many', () => {
    const worth = new Worth();
    worth.count(127, 1);
    expect(worth.doubted).toBe(false);
    worth.count(1, 0);
    expect(worth.doubted).toBe(true);
    worth.count(100, 7);
    expect(worth.doubted).toBe(true);
    worth.count(1, 1);
    expect(worth.doubted).toBe(false);
    worth.count(128, 2);
    expect(worth.doubted).toBe(false);
  });

  it('knows what was asked for a moment ago, and takes hardly anything else for it', () => {
    const seen = new Seen();
    const hashes = Array.from({ length: 10_000 }, (_, id) => hashOf(`{"__typename":"User","id":"user_${id}"}`, 1));
    expect(hashes.filter((hash) => seen.again(hash)).length).toBeLessThanOrEqual(5);
    expect(hashes.slice(-1_000).filter((hash) => seen.again(hash)).length).toBeGreaterThan(900);
  });
});
