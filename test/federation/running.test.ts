import { afterAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { TributaryEngine } from '../../gateway/run/engine.js';
import { planOf } from './every-way.js';
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
    sdl: `type Query { late: Item } type Item @key(fields: "id", resolvable: false) { id: ID! } type Owner @key(fields: "id") { id: ID! title: String }`,
    resolvers: {
      Query: { late: () => ({ id: '9' }) },
      Owner: { title: ({ id }: { id: string }) => `owner ${id}` },
    },
  },
});
afterAll(() => graph.close());

/** Everything that is ready by then has run. */
async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

const to = (calls: readonly Call[], subgraph: string) => calls.filter((call) => call.subgraph === subgraph);
const representations = ({ variables }: Call) => variables['representations'] as unknown[];

describe('entities of a long list', () => {
  /** How many calls to `names` were under way at once, at most. */
  async function together(ask: (before: NonNullable<AskOptions['before']>) => Promise<unknown>): Promise<number> {
    let open = 0;
    let most = 0;
    await ask(async ({ subgraph }) => {
      if (subgraph !== 'names') return;
      open += 1;
      most = Math.max(most, open);
      await turns(1);
      open -= 1;
    });
    return most;
  }

  it('are asked about in pieces of a thousand, four at a time, and put together in order', async () => {
    const most = await together(async (before) => {
      const { data, calls } = await graph.ask('{ items(count: 5500) { name } }', { before });
      expect((data as { items: { name: string }[] }).items.map(({ name }) => name)).toEqual(
        Array.from({ length: 5500 }, (_, i) => `item ${i}`),
      );
      const sizes = to(calls, 'names').map((call) => representations(call).length);
      expect(sizes).toEqual([1000, 1000, 1000, 1000, 1000, 500]);
    });
    expect(most).toBe(4);
  });

  it('control: ApolloGateway sends all of them at once; and six pieces that nobody holds back are six at a time', async () => {
    const { calls } = await graph.ask('{ items(count: 5500) { name } }', { engine: 'apollo' });
    expect(to(calls, 'names').map((call) => representations(call).length)).toEqual([5500]);
    const piece = '{ items(count: 1000) { name } }';
    const most = await together((before) =>
      Promise.all(Array.from({ length: 6 }, () => graph.ask(piece, { before, signal: new AbortController().signal }))),
    );
    expect(most).toBe(6);
  });
});

describe('a fetch', () => {
  /** `sizes` answers when `owners` has been asked, or when nothing else moves any more. Was it asked meanwhile? */
  async function overtakes(operation: string): Promise<boolean> {
    const seen: string[] = [];
    let asked = false;
    const { data } = await graph.ask(operation, {
      planner: 'native',
      before: async ({ subgraph }) => {
        seen.push(subgraph);
        if (subgraph !== 'sizes') return;
        for (let turn = 0; turn < 200 && !seen.includes('owners'); turn += 1) await turns(1);
        asked = seen.includes('owners');
      },
    });
    expect(data).toEqual({ it: { size: 70, owner: { title: 'owner o7' } } });
    return asked;
  }

  it('is planned so', async () =>
    expect(await planOf(graph, '{ it: again { size owner { title } } }')).toMatchInlineSnapshot(`
     "in order
       query numbers
         {
           it: again {
             __typename
             id
           }
         }
       at once
         entities names
           at it by { ... on Item { __typename id } }
           query ($representations: [_Any!]!) {
             _entities(representations: $representations) {
               ... on Item {
                 owner {
                   __typename
                   id
                 }
               }
             }
           }
         entities sizes
           at it by { ... on Item { __typename id } }
           query ($representations: [_Any!]!) {
             _entities(representations: $representations) {
               ... on Item {
                 size
               }
             }
           }
       entities owners
         at it.owner by { ... on Owner { __typename id } }
         query ($representations: [_Any!]!) {
           _entities(representations: $representations) {
             ... on Owner {
               title
             }
           }
         }"
    `));

  it('starts when its own inputs are there, whatever else is still on its way', async () =>
    expect(await overtakes('{ it: again { size owner { title } } }')).toBe(true));

  it('control: in the waves of the plan, which a mutation keeps, it waits for the slowest', async () =>
    expect(await overtakes('mutation { it: add(name: "7") { size owner { title } } }')).toBe(false));

  /** `late` is answered when `names` has been asked, or when nothing else moves any more. How often was `names` asked? */
  async function asksForNames(merge: 'flow' | 'plan'): Promise<number> {
    const seen: string[] = [];
    const { data, calls } = await graph.ask('{ again { name } late { name owner { id } } }', {
      merge,
      planner: 'native',
      before: async ({ subgraph }) => {
        seen.push(subgraph);
        if (subgraph !== 'owners') return;
        for (let turn = 0; turn < 200 && !seen.includes('names'); turn += 1) await turns(1);
      },
    });
    expect(data).toEqual({ again: { name: 'item 7' }, late: { name: 'item 9', owner: { id: 'o9' } } });
    return to(calls, 'names').length;
  }

  it('does not wait for a slower one that the planner put into one request with it', async () =>
    expect(await asksForNames('flow')).toBe(2));

  it('with MERGE=plan it does: the planner’s batches are kept, for one call less', async () =>
    expect(await asksForNames('plan')).toBe(1));

  const BOTH = '{ items(count: 2) { name } again { size name } }';

  it('travels with others to the same subgraph that are ready in the same turn', async () => {
    const { data, calls } = await graph.ask(BOTH);
    expect(data).toEqual({ items: [{ name: 'item 0' }, { name: 'item 1' }], again: { size: 70, name: 'item 7' } });
    expect(to(calls, 'names')).toHaveLength(1);
  });

  it('control: each by itself, as ApolloGateway sends them, they are two', async () =>
    expect(to((await graph.ask(BOTH, { engine: 'apollo' })).calls, 'names')).toHaveLength(2));
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

  const WRITES = 'mutation { add(name: "1") { name } }';

  it('of two mutations are two, whoever wrote: what is read after a write is read for that write', async () => {
    expect(await together({ subject: 'user_a' }, { subject: 'user_b' }, WRITES)).toBe(4);
    expect(await together({ subject: 'user_a' }, { subject: 'user_a' }, WRITES)).toBe(4);
    expect(await together({}, {}, WRITES)).toBe(4);
  });

  it('control: joined by what is asked, as the reads of two equal operations are, they would be one', async () => {
    const one = await graph.ask(WRITES, { subject: 'user_a' });
    const other = await graph.ask(WRITES, { subject: 'user_b' });
    const [mine, theirs] = [one, other].map(({ calls }) => to(calls, 'names')[0]!.body);
    expect(mine).toBe(theirs);
    expect(await together({}, {})).toBe(2);
  });
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
    expect(calls.map(({ type, subgraph }) => `${type} ${subgraph}`)).toEqual([
      'mutation numbers',
      'query names',
      'mutation numbers',
    ]);
  });

  it('neighbours of one subgraph go in one request, where nothing follows the first', async () => {
    const { data, calls } = await graph.ask('mutation { a: add(name: "1") { even } b: add(name: "2") { name } }');
    expect(data).toEqual({ a: { even: false }, b: { name: 'item 2' } });
    expect(calls.map(({ type, subgraph }) => `${type} ${subgraph}`)).toEqual(['mutation numbers', 'query names']);
  });

  describe('whose answers are read of another service', () => {
    let written: string[] = [];
    const write = (_: unknown, { text }: { text: string }) => {
      written.push(text);
      return { id: '1' };
    };
    const book = federate({
      pen: {
        sdl: `type Query { book: Book } type Mutation { write(text: String!): Book tear: Book } type Book @key(fields: "id") { id: ID! length: Int }`,
        resolvers: {
          Mutation: {
            write,
            tear: () => {
              throw new Error('torn');
            },
          },
          Book: { length: () => written.length },
        },
      },
      brush: {
        sdl: `type Mutation { paint(text: String!): Book } type Book @key(fields: "id") { id: ID! text: String }`,
        resolvers: { Mutation: { paint: write }, Book: { text: () => written.join(' ') } },
      },
    });
    afterAll(() => book.close());
    beforeEach(() => void (written = []));

    it.each<[string, unknown, number]>([
      [
        'mutation { a: write(text: "a") { text length } b: paint(text: "b") { text length } c: write(text: "c") { text } }',
        { a: { text: 'a', length: 1 }, b: { text: 'a b', length: 2 }, c: { text: 'a b c' } },
        3,
      ],
      [
        'mutation { a: write(text: "a") { length } tear { text } b: write(text: "b") { text length } ...C } fragment C on Mutation { a: write(text: "a") { id } c: write(text: "c") { text } }',
        { a: { length: 1, id: '1' }, tear: null, b: { text: 'a b', length: 2 }, c: { text: 'a b c' } },
        3,
      ],
    ])('%s', async (query, data, writes) => {
      for (const planner of ['native', 'apollo'] as const) {
        written = [];
        const { data: came, calls } = await book.ask(query, { planner });
        expect(came).toEqual(data);
        expect(calls.filter(({ type }) => type === 'mutation')).toHaveLength(writes);
      }
    });

    it('control: ApolloGateway reads the answer of two that it sends together when both have written', async () => {
      const query = 'mutation { a: write(text: "a") { text } b: write(text: "b") { text } }';
      expect((await book.ask(query, { engine: 'apollo' })).data).toEqual({ a: { text: 'a b' }, b: { text: 'a b' } });
      written = [];
      expect((await book.ask(query)).data).toEqual({ a: { text: 'a' }, b: { text: 'a b' } });
    });
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

  it('under names that mean something on the way to subgraphs', async () => {
    const { data } = await graph.ask(
      'query ($representations: String!) { __type(name: $representations) { ...T constructor: fields { id: name } } } fragment T on __Type { id: name toString: kind }',
      { variables: { representations: 'Owner' } },
    );
    expect(data).toEqual({ __type: { id: 'Owner', toString: 'OBJECT', constructor: [{ id: 'id' }, { id: 'title' }] } });
  });
});
