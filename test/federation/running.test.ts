import { afterAll, describe, expect, it } from '@jest/globals';
import type { TributaryEngine } from '../../gateway/run/engine.js';
import { federate, operationOf, type AskOptions, type Call } from './harness.js';

const graph = federate({
  numbers: {
    sdl: `type Query { items(count: Int!): [Item!]! again: Item } type Mutation { add(name: String!): Item } type Item @key(fields: "id") { id: ID! even: Boolean }`,
    resolvers: {
      Query: {
        items: (_: unknown, { count }: { count: number }) =>
          Array.from({ length: count }, (_one, i) => ({ id: String(i) })),
        again: () => ({ id: '7' }),
      },
      Mutation: { add: (_: unknown, { name }: { name: string }) => ({ id: name }) },
      Item: { even: ({ id }: { id: string }) => Number(id) % 2 === 0 },
    },
  },
  names: {
    sdl: `type Item @key(fields: "id") { id: ID! name: String owner: Owner } type Owner @key(fields: "id") { id: ID! }`,
    resolvers: {
      Item: { name: ({ id }: { id: string }) => `item ${id}`, owner: ({ id }: { id: string }) => ({ id: `o${id}` }) },
    },
  },
  sizes: {
    sdl: `type Item @key(fields: "id") { id: ID! size: Int }`,
    resolvers: { Item: { size: ({ id }: { id: string }) => Number(id) * 10 } },
  },
  owners: {
    sdl: `type Owner @key(fields: "id") { id: ID! title: String }`,
    resolvers: { Owner: { title: ({ id }: { id: string }) => `owner ${id}` } },
  },
});
afterAll(() => graph.close());

const to = (calls: readonly Call[], subgraph: string) => calls.filter((call) => call.subgraph === subgraph);
const representations = ({ variables }: Call) => variables['representations'] as unknown[];

describe('entities of a long list', () => {
  it('are asked about in pieces of a thousand, four at a time, and put together in order', async () => {
    let open = 0;
    let most = 0;
    const { data, calls } = await graph.ask('{ items(count: 5500) { name } }', {
      before: async ({ subgraph }) => {
        if (subgraph !== 'names') return;
        open += 1;
        most = Math.max(most, open);
        await new Promise((resolve) => setImmediate(resolve));
        open -= 1;
      },
    });
    expect((data as { items: { name: string }[] }).items.map(({ name }) => name)).toEqual(
      Array.from({ length: 5500 }, (_, i) => `item ${i}`),
    );
    expect(to(calls, 'names').map((call) => representations(call).length)).toEqual([1000, 1000, 1000, 1000, 1000, 500]);
    expect(most).toBe(4);
  });
});

describe('a fetch', () => {
  it('starts when its own inputs are there, whatever else is still on its way', async () => {
    let release!: () => void;
    const slow = new Promise<void>((resolve) => (release = resolve));
    const seen: string[] = [];
    const { data } = await graph.ask('{ items(count: 1) { size owner { title } } }', {
      before: async ({ subgraph }) => {
        seen.push(subgraph);
        if (subgraph === 'owners') release();
        // Waves would wait here for ever: `owners` would only be asked after `sizes` has answered.
        if (subgraph === 'sizes') await slow;
      },
    });
    expect(data).toEqual({ items: [{ size: 0, owner: { title: 'owner o0' } }] });
    expect(seen).toContain('owners');
  });

  it('travels with others to the same subgraph that are ready in the same turn', async () => {
    const { data, calls } = await graph.ask('{ items(count: 2) { name } again { size name } }');
    expect(data).toEqual({ items: [{ name: 'item 0' }, { name: 'item 1' }], again: { size: 70, name: 'item 7' } });
    expect(to(calls, 'names')).toHaveLength(1);
  });
});

describe('equal reads in flight', () => {
  const together = async (one: AskOptions, other: AskOptions, query = '{ items(count: 1) { name } }') => {
    const [first, second] = await Promise.all([
      graph.ask(query, { join: true, ...one }),
      graph.ask(query, { join: true, ...other }),
    ]);
    expect(first.data).toEqual(second.data);
    return first.calls.length + second.calls.length;
  };

  it('are one run', async () => expect(await together({}, {})).toBe(2));
  it('of two people are two', async () => expect(await together({ subject: 'user_a' }, { subject: 'user_b' })).toBe(4));
  it('with another forwarded header are two', async () =>
    expect(await together({ headers: new Map([['a', '1']]) }, { headers: new Map([['a', '2']]) })).toBe(4));
  it('with other variables are two', async () => {
    const query = 'query ($n: Int!) { items(count: $n) { name } }';
    const [one, two] = await Promise.all([
      graph.ask(query, { join: true, variables: { n: 1 } }),
      graph.ask(query, { join: true, variables: { n: 2 } }),
    ]);
    expect([(one.data as { items: unknown[] }).items.length, (two.data as { items: unknown[] }).items.length]).toEqual([
      1, 2,
    ]);
  });
  it('are never joined when they write', async () =>
    expect(await together({}, {}, 'mutation { add(name: "x") { id } }')).toBe(2));
});

describe('plans', () => {
  it('are shared by operations that differ in literals, and made once for many who ask at once', async () => {
    const fresh = federate({
      one: {
        sdl: 'type Query { echo(text: String, n: Int = 2): String }',
        resolvers: { Query: { echo: (_: unknown, { text, n }: { text: string; n: number }) => `${text}${n}` } },
      },
    });
    const engine = (await fresh.engine()) as TributaryEngine;
    const answers = await Promise.all(['a', 'b', 'c'].map((text) => fresh.ask(`{ echo(text: "${text}") }`)));
    expect(answers.map(({ data }) => data)).toEqual([{ echo: 'a2' }, { echo: 'b2' }, { echo: 'c2' }]);
    expect(engine.plans.planned).toBe(1);
    expect((await fresh.ask('{ echo(n: 1) }')).data).toEqual({ echo: 'undefined1' });
    expect((await fresh.ask('{ echo(text: null) }')).data).toEqual({ echo: 'null2' });
    expect(engine.plans.planned).toBe(2);
    await fresh.close();
  });

  it('of what is asked most are made before anybody asks, and what does not fit any more is left out', async () => {
    const old = (await graph.engine({ merge: 'plan' })) as TributaryEngine;
    const often = 'query ($all: Boolean!) { again { name size @include(if: $all) } }';
    for (let n = 0; n < 5; n += 1) await graph.ask(often, { merge: 'plan', variables: { all: true } });
    await graph.ask('{ again { owner { title } } }', { merge: 'plan' });
    const used = old.mostUsed(2);
    expect(used).toMatchObject([{ query: often, conditions: { all: true }, times: 5 }, { times: 1 }]);

    const next = (await graph.engine({ merge: 'plan', planner: 'apollo' })) as TributaryEngine;
    const gone = { query: '{ gone }', operationName: undefined, conditions: {}, seen: undefined, times: 9 };
    const ready = await next.warm(
      [gone, ...used],
      (query) => operationOf(graph.supergraph.schema, query),
      new AbortController().signal,
    );
    expect(ready).toBe(2);
    const { planned } = next.plans;
    const options = { merge: 'plan', planner: 'apollo', variables: { all: true } } as const;
    expect((await graph.ask(often, options)).data).toEqual({ again: { name: 'item 7', size: 70 } });
    expect(next.plans.planned).toBe(planned);
    // Control: the other outcome of its condition was not asked often, and is planned only now.
    await graph.ask(often, { ...options, variables: { all: false } });
    expect(next.plans.planned).toBe(planned + 1);
  });
});

describe('mutations', () => {
  it('run one after the other, and what follows each comes before the next', async () => {
    const { data, calls } = await graph.ask('mutation { a: add(name: "1") { name } b: add(name: "2") { id } }');
    expect(data).toEqual({ a: { name: 'item 1' }, b: { id: '2' } });
    expect(calls.filter(({ type }) => type === 'mutation')).toHaveLength(1);
  });
});

describe('introspection', () => {
  it('is answered from what clients may see, alone and among other fields', async () => {
    const { data } = await graph.ask(
      '{ ...I again { even } t: __typename } fragment I on Query { type: __type(name: "Item") { fields { name } } __schema { queryType { name } } }',
    );
    expect(data).toEqual({
      type: { fields: ['id', 'name', 'owner', 'even', 'size'].map((name) => ({ name })) },
      __schema: { queryType: { name: 'Query' } },
      again: { even: false },
      t: 'Query',
    });
    expect((await graph.ask('{ __typename }')).calls).toEqual([]);
  });
});
