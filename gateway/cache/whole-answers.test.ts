import { afterAll, beforeEach, describe, expect, it } from '@jest/globals';
import { entityNames as nameOf, openRecordCache, type RecordCache } from '#libs/cache';
import { federate, type AskOptions, type Asked } from '../../test/federation/harness.js';
import { HINTS } from '../../test/federation/hints.js';
import { EntityCache } from './entity-cache.js';

interface Row {
  id: string;
  name: string;
  best?: string;
}
const people = new Map<string, Row>();
/** Whoever asks, as the subgraph is told. */
let viewer: string | null = null;

const graph = federate({
  users: {
    sdl: `${HINTS}
      type Query { user(id: ID!): User @cacheControl(maxAge: 60)  someone: String @cacheControl(maxAge: 0) }
      type Mutation { rename(id: ID!, name: String!): User }
      type User @key(fields: "id") @cacheControl(maxAge: 60) {
        id: ID! name: String! best: User mine: String @cacheControl(scope: PRIVATE) short: Int @cacheControl(maxAge: 5) hidden: String
      }`,
    resolvers: {
      Query: { user: (_: unknown, { id }: Row) => people.get(id) ?? null, someone: () => 'anyone' },
      Mutation: {
        rename: (_: unknown, { id, name }: Row) => Object.assign(people.get(id)!, { name }),
      },
      User: {
        __resolveReference: ({ id }: Row) => people.get(id) ?? null,
        best: ({ best }: Row) => (best === undefined ? null : people.get(best)),
        mine: ({ id }: Row) => `${id} for ${viewer ?? 'nobody'}`,
        short: () => 1,
      },
    },
  },
});
afterAll(() => graph.close());

let clock = 1_000_000;
let records: RecordCache;
let entities: EntityCache;
beforeEach(() => {
  people.clear();
  people.set('a', { id: 'a', name: 'Ann', best: 'b' });
  people.set('b', { id: 'b', name: 'Bob' });
  records = openRecordCache({ clock: () => clock });
  entities = new EntityCache({ records, random: () => 0.5 });
});

const PAGE = '{ user(id: "a") { id name best { name } } }';

async function ask(query = PAGE, options: AskOptions = {}): Promise<Asked & { trips: number }> {
  viewer = options.subject ?? null;
  const before = records.roundTrips;
  const asked = await graph.ask(query, { entities, ...options });
  const trips = records.roundTrips - before;
  await entities.settled();
  return { ...asked, trips };
}

/** It is asked for, then found, and remembered as it was written. */
async function remembered(query = PAGE, options: AskOptions = {}): Promise<Asked> {
  await ask(query, options);
  const found = await ask(query, options);
  expect(found.calls).toEqual([]);
  const shown = entities.answers.shown;
  const again = await ask(query, options);
  expect([again.calls, again.trips, entities.answers.shown]).toEqual([[], 1, shown + 1]);
  expect([again.body, again.headers]).toEqual([found.body, found.headers]);
  return again;
}

it('a page of kept values is one question to the store, whether any of it was dropped', async () => {
  const { data, headers } = await remembered();
  expect(data).toEqual({ user: { id: 'a', name: 'Ann', best: { name: 'Bob' } } });
  expect(headers).toEqual({ 'cache-control': 'max-age=57, public', age: '0' });
});

it('counts what is found in it', async () => {
  await remembered();
  expect(entities.counts).toContainEqual(expect.objectContaining({ field: 'User.name', hits: 4, misses: 0 }));
});

it('tells its age', async () => {
  await remembered();
  clock += 12_500;
  expect((await ask()).headers['age']).toBe('13');
});

describe('it ends', () => {
  const entity = (id: string): string => nameOf.entity('users', 'User', JSON.stringify({ id }));
  const tagged: AskOptions = { answerHeaders: { users: { 'cache-tag': 'people' } } };

  it.each([
    ['an entity of it', { entities: [entity('a')] }],
    ['an entity within', { entities: [entity('b')] }],
    ['what led to it', { epochs: [nameOf.leadsTo(entity('a'))] }],
    ['a type', { epochs: [nameOf.type('users', 'User')] }],
    ['the subgraph', { epochs: [nameOf.subgraph('users')] }],
    ['a tag that an answer had', { epochs: [nameOf.tag('people')] }],
  ])('with the drop of %s, and is right the next time', async (_, stale) => {
    await remembered(PAGE, tagged);
    people.get('a')!.name = 'Anna';
    people.get('b')!.name = 'Bobby';
    people.get('a')!.best = 'b';
    await records.drop({ ...stale, entities: [...('entities' in stale ? stale.entities : [])] });
    const { calls, data } = await ask(PAGE, tagged);
    expect(calls.length).toBeGreaterThan(0);
    expect(data).not.toEqual({ user: { id: 'a', name: 'Ann', best: { name: 'Bob' } } });
  });

  it('with a mutation that answers it, for whoever asks next', async () => {
    await remembered();
    await ask('mutation { rename(id: "b", name: "Bobby") { id } }');
    expect((await ask()).data).toEqual({ user: { id: 'a', name: 'Ann', best: { name: 'Bobby' } } });
  });

  it('control: remembered without asking whether anything was dropped, it is wrong', async () => {
    await remembered();
    records.unchanged = async () => ({ now: clock, same: true });
    await ask('mutation { rename(id: "b", name: "Bobby") { id } }');
    expect((await ask()).data).toEqual({ user: { id: 'a', name: 'Ann', best: { name: 'Bob' } } });
  });

  it('when its first value is due to be loaded anew, and not when others are', async () => {
    const query = '{ user(id: "a") { name short } }';
    await remembered(query);
    await remembered();
    clock += 5_000;
    expect((await ask()).trips).toBe(1);
    expect((await ask(query)).calls).toHaveLength(1);
  });

  it('not with the drop of anything else', async () => {
    await remembered();
    await records.drop({ entities: [entity('c')], epochs: [nameOf.type('users', 'Post'), nameOf.viewer('a')] });
    expect((await ask()).trips).toBe(1);
  });
});

describe('it is nobody else’s', () => {
  it('each viewer has one, and each set of forwarded headers', async () => {
    const query = '{ user(id: "a") { name mine } }';
    const headers = new Map([['x-shop', 'one']]);
    const askers: AskOptions[] = [{ subject: 'x' }, { subject: 'y' }, {}, { subject: 'x', headers }];
    for (const asker of askers) await remembered(query, asker);
    for (const asker of askers) {
      const { data, calls, headers: told } = await ask(query, asker);
      expect(calls).toEqual([]);
      expect(data).toEqual({ user: { name: 'Ann', mine: `a for ${asker.subject ?? 'nobody'}` } });
      expect(told).toMatchObject({ 'cache-control': 'max-age=57, private' });
    }
  });

  it('other variables, literals and operations in one document are other pages', async () => {
    const query = 'query($id: ID!, $all: Boolean!) { user(id: $id) { name best @include(if: $all) { name } } }';
    for (const id of ['a', 'b'])
      for (const all of [true, false]) {
        await ask(query, { variables: { id, all } });
        const { data } = await ask(query, { variables: { id, all } });
        expect((await ask(query, { variables: { id, all } })).data).toEqual(data);
        expect(data).toMatchObject({ user: { name: people.get(id)!.name } });
      }
    await remembered('{ user(id: "a") { name } }');
    expect((await remembered('{ user(id: "b") { name } }')).data).toEqual({ user: { name: 'Bob' } });
  });
});

describe('nothing is remembered', () => {
  it('where a subgraph has to be asked each time', async () => {
    const query = '{ someone user(id: "a") { name } }';
    for (let nth = 0; nth < 4; nth++) expect((await ask(query)).calls).toHaveLength(1);
    expect(entities.answers.shown).toBe(0);
  });

  it('of an answer with an error', async () => {
    const query = '{ user(id: "a") { name hidden } }';
    const down: AskOptions = { instead: { users: () => '{"data":{"user":null},"errors":[{"message":"no"}]}' } };
    for (let nth = 0; nth < 3; nth++) expect((await ask(query, down)).errors).toHaveLength(1);
    expect(entities.answers.shown).toBe(0);
  });

  it('beyond its bytes, and with 0 bytes at all', async () => {
    entities = new EntityCache({ records, answersBytes: 0, random: () => 0.5 });
    for (let nth = 0; nth < 4; nth++) await ask();
    expect(entities.answers.shown).toBe(0);
    entities = new EntityCache({ records, answersBytes: 4_000, random: () => 0.5 });
    const query = 'query($id: ID!) { user(id: $id) { id name best { name } } }';
    for (const id of ['a', 'b', 'c', 'd', 'e'])
      for (let nth = 0; nth < 2; nth++) await ask(query, { variables: { id } });
    expect((await ask(query, { variables: { id: 'e' } })).trips).toBe(1);
    expect((await ask(query, { variables: { id: 'a' } })).trips).toBeGreaterThan(1);
  });
});

it('where the store does not answer, it is not shown, and the store is not waited for twice', async () => {
  await remembered();
  let looks = 0;
  const { look } = records;
  records.unchanged = async () => undefined;
  records.look = async (asks) => {
    looks += 1;
    return look.call(records, asks);
  };
  people.get('a')!.name = 'Anna';
  const { data } = await ask();
  expect([data, looks]).toEqual([{ user: { id: 'a', name: 'Anna', best: { name: 'Bob' } } }, 0]);
});
