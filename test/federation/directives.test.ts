import { afterAll, describe, expect, it } from '@jest/globals';
import { everyWay, planOf } from './every-way.js';
import { coerceVariables } from '../../gateway/http/variables.js';
import { Coverage } from '../../gateway/plan/coverage.js';
import { plainPlan } from '../../gateway/plan/plain-plan.js';
import { fetchesOf } from '../../gateway/plan/plan.js';
import { federate, operationOf } from './harness.js';

const access = (argument: string, sdl: string) =>
  `extend schema @link(url: "https://specs.apollo.dev/federation/v2.1", import: ["@key", "@composeDirective"]) @link(url: "https://example.com/access/v1.0", import: ["@access"]) @composeDirective(name: "@access")
  directive @access(scope: Scope! ${argument}) on FIELD enum Scope { PUBLIC PRIVATE } ${sdl}`;

describe('a directive that clients write', () => {
  const graph = federate({
    a: {
      raw: true,
      sdl: access('', 'type Query { a: String i: Item } type Item @key(fields: "id") { id: ID! }'),
      resolvers: { Query: { a: () => 'a', i: () => ({ id: '1' }) } },
    },
    b: {
      raw: true,
      sdl: access('= PUBLIC', 'type Query { b: String } type Item @key(fields: "id") { id: ID! name: String }'),
      resolvers: { Query: { b: () => 'b' }, Item: { name: () => 'item' } },
    },
  });
  afterAll(() => graph.close());

  it('is passed on in the plan', async () =>
    expect(await planOf(graph, '{ a @access b @access i { name @access(scope: PRIVATE) } }')).toMatchInlineSnapshot(`
     "in order
       at once
         query b
           {
             b
           }
         query a
           {
             a
             i {
               __typename
               id
             }
           }
       entities b
         at i by { ... on Item { __typename id } }
         query ($representations: [_Any!]!) {
           _entities(representations: $representations) {
             ... on Item {
               name
             }
           }
         }"
    `));

  it('is known, and has its default where a service has none', () =>
    everyWay(graph, '{ a @access b @access i { id @access(scope: PRIVATE) name @access } }', {
      data: { a: 'a', b: 'b', i: { id: '1', name: 'item' } },
      stock: 'refuses',
    }));
});

describe('@tag, @inaccessible, @cost, @listSize and directives of one’s own (@composeDirective)', () => {
  const graph = federate({
    a: {
      sdl: `extend schema @link(url: "https://example.com/mine/v1.0", import: ["@mine"]) @composeDirective(name: "@mine") directive @mine(why: String) on FIELD_DEFINITION | OBJECT
        type Query { item: Item @tag(name: "t") @mine(why: "so") secret: Int @inaccessible items(first: Int): [Item] @listSize(slicingArguments: ["first"], assumedSize: 5) @cost(weight: 3) }
        type Item @key(fields: "id") @tag(name: "t") @mine { id: ID! name: String @tag(name: "u") hidden: String @inaccessible kind: Kind other: Other @inaccessible } enum Kind @tag(name: "v") { A B @inaccessible } type Other @inaccessible { x: Int }`,
      resolvers: {
        Query: {
          item: () => ({ id: '1', name: 'one', hidden: 'never', kind: 'A' }),
          items: () => [{ id: '1', name: 'one' }],
        },
        Item: { __resolveReference: ({ id }: { id: string }) => ({ id, hidden: `hidden ${id}` }) },
      },
    },
    b: {
      sdl: `type Item @key(fields: "id") { id: ID! hidden: String @external size: String @requires(fields: "hidden") }`,
      resolvers: { Item: { size: ({ hidden }: { hidden: string }) => `size of ${hidden}` } },
    },
  });
  afterAll(() => graph.close());

  it('change nothing of an answer', () =>
    everyWay(graph, '{ item { id name kind } items(first: 1) { name } }', {
      data: { item: { id: '1', name: 'one', kind: 'A' }, items: [{ name: 'one' }] },
      guild: 'refuses',
    }));

  it('nor of a plan', async () =>
    expect(await planOf(graph, '{ item { id name kind } items(first: 1) { name } }')).toMatchInlineSnapshot(`
     "query a
       query ($_lit0: Int) {
         item {
           id
           name
           kind
         }
         items(first: $_lit0) {
           name
         }
       }"
    `));

  it('what is inaccessible is nobody’s to ask, and a service’s to require', async () => {
    await everyWay(graph, '{ item { size } }', { data: { item: { size: 'size of never' } }, guild: 'refuses' });
    expect(await planOf(graph, '{ item { size } }')).toMatchInlineSnapshot(`
     "in order
       query a
         {
           item {
             __typename
             id
             hidden
           }
         }
       entities b
         at item by { ... on Item { __typename hidden id } }
         query ($representations: [_Any!]!) {
           _entities(representations: $representations) {
             ... on Item {
               size
             }
           }
         }"
    `);
    for (const query of ['{ secret }', '{ item { hidden } }', '{ item { other { x } } }'])
      await expect(graph.ask(query)).rejects.toThrow('Cannot query field');
    const { data } = await graph.ask(
      '{ __schema { types { name } directives { name } } __type(name: "Item") { fields { name } } }',
    );
    expect(JSON.stringify(data)).not.toMatch(/hidden|Other|mine|tag|join|link|cost/);
  });
});

/** What it does with the entity cache on: gateway/cache/operator.test.ts. */
describe('@cacheTag', () => {
  const graph = federate({
    users: {
      sdl: `type Query { user(id: ID!): User @cacheTag(format: "asked-{$args.id}") } type User @key(fields: "id") @cacheTag(format: "user-{$key.id}") { id: ID! name: String }`,
      resolvers: {
        Query: { user: (_: unknown, { id }: { id: string }) => ({ id, name: 'Ada' }) },
        User: { __resolveReference: ({ id }: { id: string }) => ({ id, name: 'Ada' }) },
      },
    },
    scores: {
      sdl: `type User @key(fields: "id") @cacheTag(format: "score-{$key.id}") { id: ID! score: Int }`,
      resolvers: { User: { score: () => 5 } },
    },
  });
  afterAll(() => graph.close());

  it('changes nothing of an answer', () =>
    everyWay(graph, '{ user(id: "u1") { name score } }', {
      data: { user: { name: 'Ada', score: 5 } },
      stock: 'refuses',
      guild: 'refuses',
    }));

  it('nor of a plan', async () =>
    expect(await planOf(graph, '{ user(id: "u1") { name score } }')).toMatchInlineSnapshot(`
     "in order
       query users
         query ($_lit0: ID!) {
           user(id: $_lit0) {
             __typename
             name
             id
           }
         }
       entities scores
         at user by { ... on User { __typename id } }
         query ($representations: [_Any!]!) {
           _entities(representations: $representations) {
             ... on User {
               score
             }
           }
         }"
    `));
});

describe('a directive of the operation', () => {
  const query = 'mutation($as:String)@live(as:$as){a b}';
  const graph = federate({
    a: {
      sdl: 'directive @live(as: String) on MUTATION type Query { q: String } type Mutation { a: String b: String }',
      resolvers: { Mutation: { a: () => 'a', b: () => 'b' } },
    },
  });
  afterAll(() => graph.close());

  // The native planner passes none on.
  it('is passed on where two fields go in one request', async () => {
    const { data, calls } = await graph.ask(query, { planner: 'apollo', variables: { as: 'x' } });
    expect(data).toEqual({ a: 'a', b: 'b' });
    expect(calls).toMatchObject([{ query: expect.stringContaining('@live(as:$'), variables: { as: 'x' } }]);
  });

  it('is passed on where the rules alone plan', () => {
    const roots = { query: 'Query', mutation: 'Mutation' };
    const asked = { query, kind: 'mutation', labels: [], percent: 100 } as const;
    const { root } = plainPlan(Coverage.of(graph.supergraph).joins, roots, asked, () => false);
    expect(fetchesOf(root)).toMatchObject([
      { operation: 'mutation($as:String)@live(as:$as){a}', variables: ['as'] },
      { operation: 'mutation($as:String)@live(as:$as){b}', variables: ['as'] },
    ]);
  });
});

describe('@include and @skip', () => {
  const graph = federate({
    a: {
      sdl: `type Query { product: Product } type Product @key(fields: "id") { id: ID! price: Int }`,
      resolvers: {
        Query: { product: () => ({ id: 'p1', price: 699 }) },
        Product: { __resolveReference: () => ({ id: 'p1', price: 699 }) },
      },
    },
    b: {
      sdl: `type Product @key(fields: "id") { id: ID! price: Int @external expensive: Boolean @requires(fields: "price") }`,
      resolvers: { Product: { expensive: ({ price }: { price: number }) => price > 500 } },
    },
    c: {
      sdl: `type Product @key(fields: "id") { id: ID! expensive: Boolean @external include: Boolean @requires(fields: "expensive") skip: Boolean @requires(fields: "expensive") neither: String! }`,
      resolvers: {
        Product: {
          include: ({ expensive }: { expensive: boolean }) => expensive,
          skip: ({ expensive }: { expensive: boolean }) => expensive,
          neither: () => 'never asked',
        },
      },
    },
  });
  afterAll(() => graph.close());

  it.each([
    ['query ($yes: Boolean = true) { product { price neither @skip(if: $yes) } }', { product: { price: 699 } }],
    ['query ($no: Boolean = false) { product { price neither @include(if: $no) } }', { product: { price: 699 } }],
    [
      'query ($yes: Boolean! = true) { product { include @include(if: $yes) skip @skip(if: $yes) } }',
      { product: { include: true } },
    ],
    [
      'query ($no: Boolean! = false) { product { include @include(if: $no) skip @skip(if: $no) } }',
      { product: { skip: true } },
    ],
    [
      'query ($yes: Boolean = true, $no: Boolean = false) { product @include(if: $yes) { ... @skip(if: $no) { expensive } ...F @include(if: $no) } } fragment F on Product { neither }',
      { product: { expensive: true } },
    ],
    [
      '{ product { price @skip(if: true) @include(if: true) include @include(if: true) @skip(if: false) } }',
      { product: { include: true } },
    ],
    ['query ($yes: Boolean = true) { product { price @skip(if: $yes) } }', { product: {} }],
    ['query ($yes: Boolean = true) { product @skip(if: $yes) { price } }', {}],
  ])('%s', (query, data) => everyWay(graph, query, { data }));

  it('null is refused where the variable decides in the operation that runs, not where it does in another', () => {
    const { schema } = federate({ a: { sdl: 'type Query { f(flag: Boolean): String g: String }' } }).supergraph;
    const coerced = (query: string) => coerceVariables(schema, operationOf(schema, query, 'A'), { x: null }, false);
    const other = 'query B($x: Boolean!) { ...G } fragment G on Query { g @skip(if: $x) }';
    expect(coerced(`query A($x: Boolean = true) { f(flag: $x) } ${other}`)).toEqual({ x: null });
    // (control) It reaches the fragment.
    expect(() => coerced(`query A($x: Boolean = true) { f(flag: $x) ...G } ${other}`)).toThrow('do not fit');
  });

  it('what is left out is not asked', async () => {
    const query = 'query ($yes: Boolean = true) { product { price neither @skip(if: $yes) } }';
    const { calls } = await graph.ask(query);
    expect(calls.map(({ subgraph }) => subgraph)).toEqual(['a']);
    expect(await planOf(graph, query)).toMatchInlineSnapshot(`
     "query a
       {
         product {
           price
         }
       }"
    `);
    expect(await planOf(graph, query, { variables: { yes: false } })).toMatchInlineSnapshot(`
     "in order
       query a
         {
           product {
             __typename
             price
             id
           }
         }
       entities c
         at product by { ... on Product { __typename id } }
         query ($representations: [_Any!]!) {
           _entities(representations: $representations) {
             ... on Product {
               neither
             }
           }
         }"
    `);
  });
});

describe('__typename', () => {
  const graph = federate({
    a: {
      sdl: `union Product = Oven | Toaster interface Node { id: ID! } type Query { product: Product node: Node users: [User] } type Oven implements Node { id: ID! } type Toaster implements Node { id: ID! warranty: Int } interface User @key(fields: "id") { id: ID! name: String } type Admin implements User @key(fields: "id") { id: ID! name: String isMain: Boolean }`,
      resolvers: {
        Query: {
          product: () => ({ __typename: 'Oven', id: '1' }),
          node: () => ({ __typename: 'Toaster', id: '2' }),
          users: () => [{ __typename: 'Admin', id: 'u1', name: 'Ada', isMain: true }],
        },
        User: {
          __resolveReference: ({ id }: { id: string }) => ({ __typename: 'Admin', id, name: 'Ada', isMain: true }),
        },
      },
    },
    b: {
      sdl: `type Query { bare: [User] } type User @key(fields: "id") @interfaceObject { id: ID! nick: String }`,
      resolvers: { Query: { bare: () => [{ id: 'u1' }] }, User: { nick: () => 'nick' } },
    },
  });
  afterAll(() => graph.close());

  it.each([
    [
      '{ __typename product { __typename t: __typename } }',
      { __typename: 'Query', product: { __typename: 'Oven', t: 'Oven' } },
    ],
    ['{ t: __typename ... on Query { u: __typename } }', { t: 'Query', u: 'Query' }],
    [
      '{ product { ... on Oven { __typename id } ... on Toaster { a: __typename } } }',
      { product: { __typename: 'Oven', id: '1' } },
    ],
    [
      '{ node { __typename ... { n: __typename ... on Node { m: __typename } } } }',
      { node: { __typename: 'Toaster', n: 'Toaster', m: 'Toaster' } },
    ],
    [
      '{ users { __typename nick } bare { __typename nick } }',
      { users: [{ __typename: 'Admin', nick: 'nick' }], bare: [{ __typename: 'Admin', nick: 'nick' }] },
    ],
    ['{ bare { id t: __typename ... on Admin { isMain } } }', { bare: [{ id: 'u1', t: 'Admin', isMain: true }] }],
  ])('%s', (query, data) => everyWay(graph, query, { data }));

  it('of an interface object is asked of who knows the types', async () =>
    expect(await planOf(graph, '{ bare { __typename nick } }')).toMatchInlineSnapshot(`
     "in order
       query b
         {
           bare {
             __typename
             id
             nick
           }
         }
       entities a
         at bare.* by { ... on User { __typename id } }
         query ($representations: [_Any!]!) {
           _entities(representations: $representations) {
             ... on User {
               __typename
             }
           }
         }"
    `));
});

describe('mutations', () => {
  const log: string[] = [];
  const graph = federate({
    a: {
      sdl: `type Query { product(id: ID!): Product } type Mutation { add(num: Int!, id: String!): Int! delete(id: String!): Int! addProduct(name: String!, price: Float!): Product! addCategory(name: String!): Category @shareable } type Product @key(fields: "id") { id: ID! name: String price: Float } type Category @key(fields: "id") { id: ID! name: String @shareable }`,
      resolvers: {
        Mutation: {
          add: (_: unknown, { num }: { num: number }) => log.push(`add ${num}`),
          delete: () => log.push('delete'),
          addProduct: (_: unknown, given: object) => ({ id: 'new', ...given }),
          addCategory: () => (log.push('category in a'), { id: 'c', name: 'c' }),
        },
        Product: { __resolveReference: ({ id }: { id: string }) => ({ id, name: 'new', price: 599.99 }) },
      },
    },
    b: {
      sdl: `type Mutation { multiply(by: Int!, id: String!): Int! addCategory(name: String!): Category @shareable } type Product @key(fields: "id") { id: ID! price: Float @external expensive: Boolean @requires(fields: "price") available: Boolean } type Category @key(fields: "id") { id: ID! name: String @shareable }`,
      resolvers: {
        Mutation: {
          multiply: (_: unknown, { by }: { by: number }) => log.push(`multiply ${by}`),
          addCategory: () => (log.push('category in b'), { id: 'c', name: 'c' }),
        },
        Product: { expensive: ({ price }: { price: number }) => price > 100, available: () => true },
      },
    },
  });
  afterAll(() => graph.close());

  it('are asked for by the client’s own keys, whatever the supergraph makes of them elsewhere: services keep what was done by them', async () => {
    const asked =
      'mutation { id: addProduct(name: "a", price: 1) { id: name } ... on Mutation { constructor: addProduct(name: "b", price: 2) { name } } }';
    for (const way of [{ planner: 'native' }, { planner: 'apollo' }] as const) {
      const { body, calls } = await graph.ask(asked, way);
      expect(JSON.parse(body)).toEqual({ data: JSON.parse('{"id":{"id":"a"},"constructor":{"name":"b"}}') });
      const keys = calls.flatMap(({ query }) => [...query.matchAll(/(\w+)\s*:\s*addProduct/g)].map(([, key]) => key));
      expect({ way, keys }).toEqual({ way, keys: ['id', '_root_constructor'] });
      // Below, a key that is required elsewhere has another name on the way.
      expect(calls[0]?.query).not.toMatch(/\bid\s*:\s*name/);
    }
  });

  it('run in the order in which they are written, over services, each once', async () => {
    for (const way of [
      { planner: 'native' },
      { planner: 'apollo' },
      { merge: 'plan' },
      { engine: 'apollo' },
    ] as const) {
      log.length = 0;
      const { data } = await graph.ask(
        'mutation { five: add(num: 5, id: "r") ten: multiply(by: 2, id: "r") twelve: add(num: 2, id: "r") final: delete(id: "r") }',
        way,
      );
      expect({ way, data, log }).toEqual({
        way,
        data: { five: 1, ten: 2, twelve: 3, final: 4 },
        log: ['add 5', 'multiply 2', 'add 2', 'delete'],
      });
      log.length = 0;
      expect((await graph.ask('mutation { addCategory(name: "c") { id name } }', way)).data).toEqual({
        addCategory: { id: 'c', name: 'c' },
      });
      expect(log).toHaveLength(1);
    }
  });

  it('are planned so', async () =>
    expect(await planOf(graph, 'mutation { five: add(num: 5, id: "r") ten: multiply(by: 2, id: "r") delete(id: "r") }'))
      .toMatchInlineSnapshot(`
     "in order
       mutation a
         mutation ($_lit0: Int!, $_lit1: String!) {
           five: add(id: $_lit1, num: $_lit0)
         }
       mutation b
         mutation ($_lit1: String!, $_lit2: Int!) {
           ten: multiply(by: $_lit2, id: $_lit1)
         }
       mutation a
         mutation ($_lit1: String!) {
           delete(id: $_lit1)
         }"
    `));

  it('and what they answer is followed like any entity', async () => {
    const query = 'mutation { addProduct(name: "new", price: 599.99) { name price expensive available } }';
    await everyWay(graph, query, {
      data: { addProduct: { name: 'new', price: 599.99, expensive: true, available: true } },
    });
    expect(await planOf(graph, query)).toMatchInlineSnapshot(`
     "in order
       mutation a
         mutation ($_lit0: String!, $_lit1: Float!) {
           addProduct(name: $_lit0, price: $_lit1) {
             __typename
             name
             price
             id
           }
         }
       entities b
         at addProduct by { ... on Product { __typename price id } }
         query ($representations: [_Any!]!) {
           _entities(representations: $representations) {
             ... on Product {
               expensive
               available
             }
           }
         }"
    `);
  });
});
