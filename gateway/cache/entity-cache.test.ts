import { afterAll, beforeEach, describe, expect, it } from '@jest/globals';
import { entityNames as nameOf, openRecordCache } from '#libs/cache';
import { Failure } from '#libs/failure';
import { federate, operationOf, refuse, type AskOptions, type Asked } from '../../test/federation/harness.js';
import { HINTS } from '../../test/federation/hints.js';
import type { RequestContext } from '../engine.js';
import { printCache, waterfall } from '../explain/waterfall.js';
import { EntityCache } from './entity-cache.js';

interface Row {
  id: string;
  name?: string;
  [field: string]: unknown;
}
const people = new Map<string, Row>();
const posts = new Map<string, Row>();
/** Whoever asks, as the subgraphs are told. The harness has no assertions, so a test says it here. */
let viewer: string | null = null;
let failing = false;
let slowMs = 0;
let loads = 0;

const graph = federate({
  users: {
    sdl: `${HINTS}
      type Query { user(id: ID!): User @cacheControl(maxAge: 60)  byName(name: String!): User @cacheControl(maxAge: 60)  me: User @cacheControl(scope: PRIVATE, maxAge: 0)  plain: Plain  all: [User!]! @cacheControl(maxAge: 30)  some(ids: [ID!]!): [User] @cacheControl(maxAge: 60) }
      type Mutation { rename(id: ID!, name: String!): User }
      type User @key(fields: "id") @cacheControl(maxAge: 60) {
        id: ID! name: String! @cacheControl(maxAge: 60) bio(length: Int = 5): String @cacheControl(maxAge: 60) secret: String @cacheControl(maxAge: 60, scope: PRIVATE) now: Int @cacheControl(maxAge: 0)
        address: Address @cacheControl(maxAge: 60) best: User @cacheControl(maxAge: 60) settings: [Setting!]! @cacheControl(maxAge: 20) broken: String @cacheControl(maxAge: 60)
      }
      type Plain @key(fields: "id") { id: ID! text: String }
      type Address { street: String city: String }
      interface Setting { key: String! }
      type Flag implements Setting @cacheControl(inheritMaxAge: true) { key: String! on: Boolean! }
      type Level implements Setting @cacheControl(inheritMaxAge: true) { key: String! level: Int! }`,
    resolvers: {
      Query: {
        user: async (_: unknown, { id }: { id: string }) => {
          loads += 1;
          if (slowMs > 0) await new Promise((resolve) => setTimeout(resolve, slowMs));
          return people.get(id) ?? null;
        },
        byName: (_: unknown, { name }: { name: string }) =>
          [...people.values()].find((one) => one.name === name) ?? null,
        me: () => (viewer === null ? null : people.get(viewer)),
        all: () => [...people.values()],
        some: (_: unknown, { ids }: { ids: string[] }) => ids.map((id) => people.get(id) ?? null),
        plain: () => ({ id: 'p', text: 'plain' }),
      },
      Mutation: {
        rename: (_: unknown, { id, name }: { id: string; name: string }) => {
          const row = people.get(id);
          if (row) row.name = name;
          return row;
        },
      },
      User: {
        __resolveReference: ({ id }: Row) => people.get(id) ?? null,
        bio: ({ name }: Row, { length }: { length: number }) => `about ${String(name)}`.slice(0, length),
        secret: ({ id }: Row) => (viewer === id ? `secret of ${id}` : null),
        now: () => 7,
        best: ({ best }: Row) => (typeof best === 'string' ? people.get(best) : null),
        broken: () => {
          throw refuse('BROKEN');
        },
      },
      Setting: { __resolveType: (setting: object) => ('on' in setting ? 'Flag' : 'Level') },
    },
  },
  posts: {
    sdl: `${HINTS}
      type Query { post(id: ID!): Post @cacheControl(maxAge: 60) }
      union Attachment = Link | Post
      type Link @cacheControl(inheritMaxAge: true) { url: String! }
      type User @key(fields: "id") {
        id: ID!
        posts(first: Int): PostConnection @cacheControl(maxAge: 30, scope: PRIVATE)
        latest(first: Int): [Post] @cacheControl(maxAge: 30)
        uncached: Int @cacheControl(maxAge: 0)
        silent: Int
      }
      type PostConnection @cacheControl(inheritMaxAge: true) { edges: [PostEdge!]! total: Int! }
      type PostEdge @cacheControl(inheritMaxAge: true) { cursor: String! node: Post }
      type Post @key(fields: "id") @cacheControl(maxAge: 30) {
        id: ID! body: String! likes: Int! liked: Boolean @cacheControl(maxAge: 5, scope: PRIVATE) author: User @cacheControl(maxAge: 30) attached: [Attachment!]! @cacheControl(maxAge: 30)
      }`,
    resolvers: {
      Query: { post: (_: unknown, { id }: { id: string }) => posts.get(id) ?? null },
      User: {
        __resolveReference: ({ id }: Row) => ({ id }),
        posts: ({ id }: Row, { first }: { first?: number }) => {
          if (failing) throw refuse('DOWN');
          const own = [...posts.values()].filter(({ authorId }) => authorId === id).slice(0, first);
          return { edges: own.map((node) => ({ cursor: `c${node.id}`, node })), total: own.length };
        },
        latest: ({ id }: Row, { first }: { first?: number }) =>
          [...posts.values()].filter(({ authorId }) => authorId === id).slice(0, first),
        uncached: () => 1,
        silent: () => 1,
      },
      Post: {
        __resolveReference: ({ id }: Row) => posts.get(id) ?? null,
        liked: ({ likedBy }: Row) => (viewer === null ? null : (likedBy as string[]).includes(viewer)),
        author: ({ authorId }: Row) => ({ id: authorId }),
        attached: ({ id }: Row) => (id === '1' ? [{ url: 'https://x' }, posts.get('2')] : []),
      },
      Attachment: { __resolveType: (value: object) => ('url' in value ? 'Link' : 'Post') },
    },
  },
  shipping: {
    sdl: `${HINTS}
      type User @key(fields: "id") { id: ID! name: String! @external label: String @cacheControl(maxAge: 60) @requires(fields: "name") }`,
    resolvers: { User: { __resolveReference: (row: Row) => row, label: ({ name }: Row) => `to ${String(name)}` } },
  },
});
afterAll(() => graph.close());

let entities: EntityCache;
beforeEach(() => {
  people.clear();
  posts.clear();
  viewer = null;
  failing = false;
  slowMs = 0;
  entities = new EntityCache({ records: openRecordCache({}), random: () => 0.5 });
  people.set('a', {
    id: 'a',
    name: 'Ann',
    address: { street: 'Elm', city: 'Rome' },
    best: 'b',
    settings: [
      { key: 'dark', on: true },
      { key: 'size', level: 3 },
    ],
  });
  people.set('b', { id: 'b', name: 'Bob', address: null, settings: [] });
  for (const id of ['1', '2', '3'])
    posts.set(id, {
      id,
      body: `post ${id}`,
      likes: 0,
      likedBy: [],
      authorId: 'a',
    });
});

async function ask(query: string, options: AskOptions = {}): Promise<Asked> {
  viewer = options.subject ?? null;
  const asked = await graph.ask(query, { entities, ...options });
  await entities.records.settled();
  return asked;
}
/** The same question of an engine without a cache. */
async function control(query: string, options: AskOptions = {}): Promise<Asked> {
  viewer = options.subject ?? null;
  return graph.ask(query, options);
}
const texts = (asked: Asked): string[] => asked.calls.map(({ subgraph, query }) => `${subgraph}: ${query}`);

describe('fields are kept under their own names', () => {
  it.each([
    '{ user(id: "a") { id name } }',
    '{ user(id: "a") { n: name other: bio(length: 3) bio } }',
    '{ user(id: "a") { address { street city } } }',
    '{ user(id: "a") { best { name best { name } } settings { key ... on Flag { on } ... on Level { level } } } }',
    '{ user(id: "a") { name latest(first: 2) { body author { name } } } }',
    '{ user(id: "a") { posts(first: 2) { total edges { cursor node { id likes liked author { name best { name } } } } } } }',
    '{ user(id: "a") { label } }',
    '{ post(id: "1") { body attached { ... on Link { url } ... on Post { body } } author { name } } }',
    '{ all { name address { city } } }',
    '{ user(id: "nobody") { name } post(id: "0") { body } }',
    '{ byName(name: "Bob") { id name } x: byName(name: "Ann") { name } }',
  ])('%s: the second time nobody is asked, and the answer is the same', async (query) => {
    const first = await ask(query);
    const second = await ask(query);
    const { body } = await control(query);
    expect([first.body, second.body]).toEqual([body, body]);
    expect(first.errors).toBeUndefined();
    expect(texts(second)).toEqual([]);
  });

  it('another operation takes what it needs and asks only for the missing fields', async () => {
    await ask('{ user(id: "a") { name } }');
    const { data, calls } = await ask(
      '{ someone: byName(name: "Ann") { id } user(id: "a") { called: name address { city } } }',
    );
    expect(data).toEqual({ someone: { id: 'a' }, user: { called: 'Ann', address: { city: 'Rome' } } });
    const all = calls.map(({ query }) => query).join();
    expect(all).toContain('address');
    expect(all).not.toMatch(/\bname\b(?!:)/);
  });

  it('a list asks only about those of its entities that are not known, and only for what is missing', async () => {
    await ask('{ user(id: "a") { latest(first: 3) { body } } }');
    await ask('{ post(id: "2") { likes } }');
    const { data, calls } = await ask('{ user(id: "a") { latest(first: 3) { body likes } } }');
    expect(data).toEqual({ user: { latest: ['1', '2', '3'].map((id) => ({ body: `post ${id}`, likes: 0 })) } });
    expect(calls).toHaveLength(1);
    expect(calls[0]!.query).toContain('{likes}');
    expect(calls[0]!.variables).toEqual({ representations: ['1', '3'].map((id) => ({ __typename: 'Post', id })) });
  });

  it('a field that may not be kept is asked for each time, alone', async () => {
    await ask('{ user(id: "a") { name now } }');
    const { calls } = await ask('{ user(id: "a") { name now } }');
    expect(calls).toHaveLength(1);
    expect(calls[0]!.query).toContain('{now}');
  });

  it('arguments make another value, aliases do not', async () => {
    await ask('{ user(id: "a") { bio(length: 3) } }');
    expect(
      (await ask('query($l: Int) { user(id: "a") { b: bio(length: $l) } }', { variables: { l: 3 } })).calls,
    ).toEqual([]);
    const other = await ask('{ user(id: "a") { bio(length: 4) } }');
    expect(other.data).toEqual({ user: { bio: 'abou' } });
    expect(other.calls).toHaveLength(1);
  });

  it('what @requires brought is part of the value', async () => {
    await ask('{ user(id: "a") { label } }');
    people.get('a')!.name = 'Anna';
    await entities.records.drop({ entities: [nameOf.entity('users', 'User', '{"id":"a"}')] });
    const { data } = await ask('{ user(id: "a") { label } }');
    expect(data).toEqual({ user: { label: 'to Anna' } });
  });

  it('who wants nothing that is kept is answered by the services, and joins nobody; control: who does not say so', async () => {
    const query = '{ user(id: "a") { name } }';
    await ask(query);
    // A drop that was lost.
    people.get('a')!.name = 'Anna';
    expect((await ask(query)).data).toEqual({ user: { name: 'Ann' } });
    expect((await ask(query, { pastCaches: true })).data).toEqual({ user: { name: 'Anna' } });

    loads = 0;
    slowMs = 20;
    const other = '{ user(id: "b") { name } }';
    await Promise.all([1, 2, 3].map(() => control(other, { join: true })));
    expect(loads).toBe(1);
    await Promise.all([1, 2, 3].map(() => control(other, { join: true, pastCaches: true })));
    expect(loads).toBe(4);
    slowMs = 0;
  });

  it('that there is none is known, too, and forgotten when one comes', async () => {
    expect((await ask('{ user(id: "c") { name } }')).data).toEqual({ user: null });
    expect((await ask('{ user(id: "c") { name } }')).calls).toEqual([]);
    people.set('c', { id: 'c', name: 'Cat' });
    await entities.records.drop({ epochs: [nameOf.type('users', 'Query')] });
    expect((await ask('{ user(id: "c") { name } }')).data).toEqual({ user: { name: 'Cat' } });
  });

  it('that there is none may be kept by the client no longer than here, however it was found out', async () => {
    const keptBy = async (query: string, options: AskOptions = {}): Promise<number> => {
      const { data, headers } = await ask(query, options);
      expect(data).toEqual(query.startsWith('{ user') ? { user: null } : { post: { author: null } });
      return Number(/^max-age=(\d+), public$/.exec(headers['cache-control'] ?? '')?.[1]);
    };
    posts.set('of nobody', { id: 'of nobody', body: 'hi', authorId: 'nobody', likedBy: [] });
    for (const query of ['{ user(id: "nobody") { name } }', '{ post(id: "of nobody") { author { name } } }']) {
      expect(await keptBy(query)).toBe(10);
      const again = await keptBy(query);
      expect(again).toBeLessThanOrEqual(10);
      expect(again).toBeGreaterThan(0);
      // Whose headers never come again, for whom nothing is looked up.
      for (let nth = 0; nth < 600; nth += 1)
        expect(await keptBy(query, { headers: new Map([['x-id', `${query} ${nth}`]]) })).toBeLessThanOrEqual(10);
    }
  });
});

describe('that there is none', () => {
  const maxAgeOf = ({ headers }: Asked): number => Number(/max-age=(\d+)/.exec(headers['cache-control'] ?? '')?.[1]);
  const said = { 'cache-control': 'public, max-age=30' };

  it('may be kept for as long where only a header says that anything may, also in the first answer of who says it so', async () => {
    const plain = (bytes?: string): Promise<Asked> =>
      ask('{ plain { text } }', { answerHeaders: { users: said }, ...(bytes && { instead: { users: () => bytes } }) });
    expect(maxAgeOf(await plain('{"data":{"plain":null}}'))).toBe(10);
    expect(maxAgeOf(await plain())).toBe(30);
    const nobody = { answerHeaders: { posts: said }, instead: { posts: () => '{"data":{"_entities":[null]}}' } };
    expect(maxAgeOf(await ask('{ user(id: "a") { silent } }', nobody))).toBe(10);
    expect(maxAgeOf(await ask('{ user(id: "a") { silent } }', { answerHeaders: { posts: said } }))).toBe(30);
  });

  it('may be kept for as long where it is one of several that were asked for', async () => {
    for (const [id, maxAge] of [
      ['b', 60],
      ['nobody', 10],
    ] as const) {
      const query = `{ some(ids: ["a", "${id}"]) { name } }`;
      expect(maxAgeOf(await ask(query))).toBe(maxAge);
      const again = await ask(query);
      expect(again.calls).toEqual([]);
      expect(maxAgeOf(again)).toBeLessThanOrEqual(maxAge);
    }
  });
});

describe('an entity whose key holds an object', () => {
  const C = '@cacheControl(maxAge: 60)';
  const item = { id: '1', org: { id: 'o', region: { code: 'eu' }, size: 3 } };
  const shop = federate({
    items: {
      sdl: `${HINTS} type Query { items: [Item!] ${C} } type Item @key(fields: "id org { id region { code } }") { id: ID! org: Org! }
        type Org @key(fields: "id region { code }") { id: ID! region: Region! size: Int ${C} } type Region @shareable { code: String! }`,
      resolvers: { Query: { items: () => [item] }, Item: { __resolveReference: () => item } },
    },
    names: {
      sdl: `${HINTS} type Org @key(fields: "id region { code }") { id: ID! region: Region! name: String ${C} } type Region @shareable { code: String! }`,
      resolvers: { Org: { __resolveReference: (org: unknown) => org, name: () => 'Acme' } },
    },
  });
  afterAll(() => shop.close());

  it.each(['{ items { org { name } } }', '{ items { org { size region { __typename code } } } }'])(
    'is not told by its key alone where more of the object is asked for: %s',
    async (query) => {
      const { data } = await shop.ask(query);
      for (let nth = 0; nth < 2; nth += 1) {
        expect((await shop.ask(query, { entities })).data).toEqual(data);
        await entities.records.settled();
      }
    },
  );

  it('and where no more is asked for, it is', async () => {
    const query = '{ items { id } }';
    await shop.ask(query, { entities });
    await entities.records.settled();
    const { data, calls } = await shop.ask(query, { entities });
    expect([data, calls]).toEqual([{ items: [{ id: '1' }] }, []]);
  });
});

describe('what may be kept', () => {
  it('is nothing where neither schema nor header says so', async () => {
    await ask('{ plain { text } }');
    expect((await ask('{ plain { text } }')).calls).toHaveLength(1);
    expect(entities.records.roundTrips).toBe(0);
  });

  it('is nothing of a service that says nothing, whatever another says of the type that they share', async () => {
    for (let nth = 0; nth < 3; nth++) {
      const { calls } = await ask('{ user(id: "a") { name silent } }');
      expect(calls.some(({ subgraph }) => subgraph === 'posts')).toBe(true);
    }
    // (control) Of a type that is one service's alone its lifetime is that of its fields.
    await ask('{ post(id: "1") { body } }');
    expect((await ask('{ post(id: "1") { body } }')).calls).toEqual([]);
  });

  it('PRIVATE is kept for each viewer alone', async () => {
    const query = '{ user(id: "a") { name secret posts(first: 1) { edges { node { liked } } } } }';
    const secretOf = async (subject: string | null) => (await ask(query, { subject })).data;
    expect(await secretOf('a')).toMatchObject({ user: { secret: 'secret of a' } });
    expect(await secretOf('b')).toMatchObject({ user: { secret: null } });
    expect(await secretOf(null)).toMatchObject({ user: { secret: null } });
    expect((await ask(query, { subject: 'a' })).calls).toEqual([]);
    const { calls } = await ask(query, { subject: 'c' });
    expect(calls.map(({ query: text }) => text).join()).not.toMatch(/\bname\b/);
  });

  it('an answer with an error is not kept, and what it told is told', async () => {
    const first = await ask('{ user(id: "a") { name broken } }');
    const second = await ask('{ user(id: "a") { name broken } }');
    expect(second.calls.length).toBeGreaterThan(0);
    expect(second.body).toBe(first.body);
    expect(second.errors).toHaveLength(1);
  });

  it('a header can forbid, shorten and make private what the schema allows', async () => {
    const query = '{ user(id: "a") { name } }';
    const said = (value: string): AskOptions => ({ answerHeaders: { users: { 'cache-control': value } } });
    await ask(query, said('no-store'));
    expect((await ask(query, said('private, max-age=30'))).calls).toHaveLength(1);
    const { headers, calls } = await ask(query, said('max-age=7'));
    expect(calls).toHaveLength(1);
    expect(headers['cache-control']).toBe('max-age=7, public');
    expect((await ask(query)).calls).toEqual([]);
  });

  it('a header alone can allow', async () => {
    const options: AskOptions = { subject: 'a', answerHeaders: { users: { 'cache-control': 'private, max-age=30' } } };
    const query = '{ plain { text } }';
    await ask(query, options);
    expect((await ask(query, options)).calls).toHaveLength(1); // it is not known yet that this subgraph speaks so
    expect((await ask(query, options)).calls).toEqual([]);
    expect((await ask(query, { ...options, subject: 'b' })).calls).toHaveLength(1);
  });

  it('a header alone, to somebody who asked by name, has to say that it is for everybody', async () => {
    const query = '{ plain { text } }';
    const callsOf = async (value: string): Promise<number> => {
      const said = (subject: string): AskOptions => ({ subject, answerHeaders: { users: { 'cache-control': value } } });
      entities = new EntityCache({ records: openRecordCache({}), random: () => 0.5 });
      for (let nth = 0; nth < 3; nth++) await ask(query, said('a'));
      return (await ask(query, said('b'))).calls.length;
    };
    expect([await callsOf('max-age=30'), await callsOf('max-age=30, public'), await callsOf('s-maxage=30')]).toEqual([
      1, 0, 0,
    ]);
  });

  it('what another cache has had for a while lives shorter, and what varies by everything is not kept', async () => {
    const query = '{ user(id: "a") { name } }';
    const said = (more: Record<string, string>): AskOptions => ({
      answerHeaders: { users: { 'cache-control': 'max-age=30', ...more } },
    });
    expect((await ask(query, said({ vary: '*' }))).headers['cache-control']).toBe('no-store');
    expect((await ask(query, said({ age: '20' }))).headers['cache-control']).toBe('max-age=10, public');
    expect((await ask(query)).calls).toEqual([]);
  });

  it('the client is told how long the whole may be kept, and how old it is', async () => {
    expect((await ask('{ user(id: "a") { name } }')).headers).toEqual({
      'cache-control': 'max-age=60, public',
      age: '0',
    });
    expect((await ask('{ user(id: "a") { name latest(first: 1) { body } } }')).headers['cache-control']).toBe(
      'max-age=30, public',
    );
    expect((await ask('{ user(id: "a") { name secret } }')).headers['cache-control']).toBe('max-age=57, private');
    expect((await ask('{ user(id: "a") { now } }')).headers['cache-control']).toBe('no-store');
    expect((await ask('{ me { name } }')).headers['cache-control']).toBe('no-store');
  });
});

describe('nothing older than what was acknowledged', () => {
  const rename = 'mutation { rename(id: "a", name: "Anna") { id name } }';

  it('an entity that a mutation answers is dropped before its answer', async () => {
    await ask('{ user(id: "a") { name } }');
    await ask(rename);
    expect((await ask('{ user(id: "a") { name } }')).data).toEqual({ user: { name: 'Anna' } });
  });

  it('also where its client does not ask for the key; what it answers is what was asked for', async () => {
    await ask('{ user(id: "a") { name } }');
    const { body } = await ask('mutation { done: rename(id: "a", name: "Anna") { called: name } }');
    expect(body).toBe('{"data":{"done":{"called":"Anna"}}}');
    expect((await ask('{ user(id: "a") { name } }')).data).toEqual({ user: { name: 'Anna' } });
  });

  it('a list of a root field ends with the next mutation of its subgraph', async () => {
    await ask('{ all { name } }');
    people.set('c', { id: 'c', name: 'Cat' });
    await ask('mutation { rename(id: "b", name: "Bobby") { name } }');
    expect((await ask('{ all { name } }')).data).toEqual({ all: ['Ann', 'Bobby', 'Cat'].map((name) => ({ name })) });
  });

  it('a slow read that began before the write does not put the old value back', async () => {
    let write: Promise<unknown> = Promise.resolve();
    const slow = await ask('{ user(id: "a") { name } }', {
      instead: {
        users: async () => {
          // The subgraph has read, and only then the write comes.
          write = ask(rename);
          await write;
          return JSON.stringify({ data: { user: { __typename: 'User', id: 'a', name: 'Ann' } } });
        },
      },
    });
    await write;
    expect(slow.data).toEqual({ user: { name: 'Ann' } });
    expect((await ask('{ user(id: "a") { name } }')).data).toEqual({ user: { name: 'Anna' } });
  });

  it('nor does one that joined a call which began before', async () => {
    const options: AskOptions = { join: true };
    let release!: () => void;
    const held = new Promise<void>((resolve) => (release = resolve));
    let reads = 0;
    const reading = (): Promise<Asked> =>
      ask('{ user(id: "a") { name } }', {
        ...options,
        before: async ({ type }) => {
          reads += 1;
          if (type === 'query' && reads === 1) await held;
        },
      });
    const early = reading();
    await new Promise((resolve) => setTimeout(resolve, 10));
    await entities.records.drop({ entities: [nameOf.entity('users', 'User', '{"id":"a"}')] });
    const late = reading();
    release();
    await Promise.all([early, late]);
    await ask(rename, options);
    expect((await ask('{ user(id: "a") { name } }', options)).data).toEqual({ user: { name: 'Anna' } });
  });

  it.each([
    ['everybody', '{ user(id: "a") { latest(first: 3) { id } } }', 'latest'],
    ['the viewer alone', '{ user(id: "a") { posts(first: 3) { edges { node { id } } } } }', 'posts'],
  ])(
    'what a copy that was behind has answered after the write is not shown to the writer, kept for %s',
    async (_, query) => {
      // Users has the block; posts, whose copy decides, has not heard of it a minute later.
      const at = Math.floor(Date.now() / 1_000) - 60;
      const wrote = [{ source: 'users', aggregate: 'user:a', version: 2, at }];
      const asks = { subject: 'a', wrote };
      const old = await ask(query, { subject: 'a' });
      posts.delete('1');
      const shown = await ask(query, asks);
      expect(shown.data).toEqual((await control(query, { subject: 'a' })).data);
      expect(shown.data).not.toEqual(old.data);
      // The control: who does not say what they have written is shown what is kept.
      posts.delete('2');
      expect((await ask(query, { subject: 'a' })).data).toEqual(shown.data);
      // Until posts has said that it has heard of it and dropped what was stale, each time; from then on what is kept will do.
      const loads = async (): Promise<number> =>
        (await ask(query, asks)).calls.filter(({ subgraph }) => subgraph === 'posts').length;
      expect(await loads()).toBeGreaterThan(0);
      expect(await loads()).toBeGreaterThan(0);
      await entities.records.drop({ told: [{ name: nameOf.write('posts', 'user:a'), version: 2 }] });
      expect(await loads()).toBe(0);
    },
  );

  it('of a write of its own a subgraph has no copy: what was loaded after it contains it', async () => {
    const query = '{ user(id: "a") { name } }';
    const wrote = (agoS: number) => [
      { source: 'users', aggregate: 'user:a', version: 2, at: Math.floor(Date.now() / 1_000) - agoS },
    ];
    await ask(query);
    expect((await ask(query, { wrote: wrote(60) })).calls).toEqual([]);
    // Maybe loaded before: the clocks may be 5 s apart.
    expect((await ask(query, { wrote: wrote(1) })).calls).toHaveLength(1);
  });

  it('a tag, a type and a viewer can be dropped', async () => {
    const tagged: AskOptions = { answerHeaders: { users: { 'surrogate-key': 'front page-1' } } };
    const query = '{ user(id: "a") { name secret } }';
    const asksAgain = async (epoch: string): Promise<boolean> => {
      await ask(query, { ...tagged, subject: 'a' });
      expect((await ask(query, { ...tagged, subject: 'a' })).calls).toEqual([]);
      await entities.records.drop({ epochs: [epoch] });
      return (await ask(query, { ...tagged, subject: 'a' })).calls.length > 0;
    };
    expect(await asksAgain(nameOf.tag('page-1'))).toBe(true);
    expect(await asksAgain(nameOf.tag('page-2'))).toBe(false);
    expect(await asksAgain(nameOf.type('users', 'User'))).toBe(true);
    expect(await asksAgain(nameOf.type('posts', 'User'))).toBe(false);
    expect(await asksAgain(nameOf.viewer('a'))).toBe(true);
    expect(await asksAgain(nameOf.viewer('b'))).toBe(false);
    expect(await asksAgain(nameOf.subgraph('users'))).toBe(true);
  });
});

describe('many at once', () => {
  it('callers with 20 operations that begin at the same root field are one load', async () => {
    const callers = 100;
    const engine = await graph.engine({ entities });
    const operations = Array.from({ length: 20 }, (_, nth) =>
      operationOf(graph.supergraph.schema, `{ a${nth}: user(id: "a") { name } }`),
    );
    const execute = async (nth: number): Promise<string> => {
      const context: RequestContext = {
        requestId: String(nth),
        subject: null,
        headers: new Map(),
        signal: new AbortController().signal,
        deadline: Date.now() + 60_000,
        responseHeaders: [],
      };
      return (await engine.execute(operations[nth % operations.length]!, {}, context)).body.toString();
    };
    // Plans are made once, and not by the cache.
    for (let nth = 0; nth < operations.length; nth++) await execute(nth);
    await entities.records.drop({ epochs: [nameOf.subgraph('users')] });
    slowMs = 200;
    loads = 0;
    const answers = await Promise.all(Array.from({ length: callers }, (_, nth) => execute(nth)));
    expect(answers.every((body) => body.includes('"name":"Ann"'))).toBe(true);
    expect(loads).toBe(1);
  });

  it('while loading fails, what is stale may be shown, as long as the header allows', async () => {
    const query = '{ user(id: "a") { name } }';
    const said = (value: string): AskOptions => ({ answerHeaders: { users: { 'cache-control': value } } });
    const down: AskOptions = { instead: { users: () => new Failure('SUBGRAPH_UNAVAILABLE', 'down') } };
    let clock = 1_000_000;
    entities = new EntityCache({ records: openRecordCache({ clock: () => clock }), random: () => 0.5 });
    await ask(query, said('max-age=10, stale-if-error=20'));
    clock += 15_000;
    const stale = await ask(query, down);
    expect([stale.data, stale.errors]).toEqual([{ user: { name: 'Ann' } }, undefined]);
    clock += 20_000;
    expect((await ask(query, down)).errors).toHaveLength(1);
  });

  it('what may be shown while it is loaded anew is shown at once, and loaded once behind it', async () => {
    const query = '{ user(id: "a") { name } }';
    let clock = 1_000_000;
    entities = new EntityCache({ records: openRecordCache({ clock: () => clock }), random: () => 0.5 });
    await ask(query, { answerHeaders: { users: { 'cache-control': 'max-age=10, stale-while-revalidate=20' } } });
    people.get('a')!.name = 'Anna';
    clock += 15_000;
    expect((await ask(query)).data).toEqual({ user: { name: 'Ann' } });
    await entities.settled();
    expect((await ask(query)).data).toEqual({ user: { name: 'Anna' } });
  });
});

it('explains by which fetch nobody was asked, or about how many entities not', async () => {
  const query = '{ user(id: "a") { name } all { name } }';
  await ask(query);
  const { explain, calls } = await ask(query, { explain: true });
  expect([calls.length, explain!.requests]).toEqual([0, []]);
  expect(explain!.fetches.map(({ kept, asked, us }) => [kept, asked, us.sent])).toEqual([[2, 0, undefined]]);
  expect(waterfall(explain!)).toMatch(/#0 users query .*nobody was asked {2}\(2 from the cache\)/);
  const half = await ask('{ user(id: "a") { name } plain { text } }', { explain: true });
  expect(half.explain!.fetches.map(({ kept, asked }) => [kept, asked])).toEqual([[1, 1]]);
  expect(printCache(half.explain!.cache!)).toMatch(/^ {2}Query\.\w+ +\d found/);
  await ask('{ post(id: "1") { body author { id } } }');
  const within = await ask('{ post(id: "1") { body author { name bio } } }', { explain: true });
  expect(within.explain!.fetches.map(({ subgraph, kept, sent }) => [subgraph, kept, sent])).toEqual([
    ['posts', 1, 0],
    // Its name was kept, not its bio: it was asked about.
    ['users', 0, 1],
  ]);
  const known = await ask('{ post(id: "1") { body author { name } } }', { explain: true });
  expect(known.explain!.fetches.map(({ kept, sent }) => [kept, sent])).toEqual([
    [1, 0],
    [1, 0],
  ]);
  // (control) Without a cache nothing is said of it.
  const { explain: plain } = await graph.ask(query, { explain: true });
  expect(plain!.fetches[0]).not.toHaveProperty('kept');
});

it('counts, and tells why it had to ask', async () => {
  await ask('{ user(id: "a") { name } }');
  const { explain } = await ask('{ user(id: "a") { name now bio } }', { explain: true });
  expect(explain?.cache).toEqual(
    expect.arrayContaining([
      { field: 'User.name', found: 1, missing: {} },
      { field: 'User.now', found: 0, missing: { 'nothing says that it may be kept': 1 } },
      { field: 'User.bio', found: 0, missing: { 'not kept': 1 } },
    ]),
  );
  expect(entities.counts).toEqual(
    expect.arrayContaining([
      expect.objectContaining({ subgraph: 'users', field: 'User.name', hits: 1, misses: 0 }),
      expect.objectContaining({ subgraph: 'users', field: 'User.bio', hits: 0, misses: 1 }),
    ]),
  );
});
