import { afterAll, describe, expect, it } from '@jest/globals';
import { everyWay, planOf } from './every-way.js';
import { federate } from './harness.js';

describe('@shareable', () => {
  const graph = federate({
    names: {
      sdl: `type Query { product: Product @shareable products: [Product!]! @shareable } type Product @key(fields: "id") { id: ID! name: Name @shareable }
        type Name @shareable { id: ID! brand: String model: String }`,
      resolvers: {
        Query: {
          product: () => ({ id: '1' }),
          products: () => [{ id: '1' }, { id: '2' }],
        },
        Product: { name: ({ id }: { id: string }) => ({ id, brand: `brand ${id}`, model: `model ${id}` }) },
      },
    },
    prices: {
      sdl: `type Query { product: Product @shareable products: [Product!]! @shareable } type Product { id: ID! @shareable price: Price } type Price { id: ID! @shareable amount: Int }`,
      resolvers: {
        Query: {
          product: () => ({ id: '1', price: { id: 'p1', amount: 10 } }),
          products: () => [
            { id: '1', price: { id: 'p1', amount: 10 } },
            { id: '2', price: { id: 'p2', amount: 20 } },
          ],
        },
      },
    },
    stock: {
      sdl: `type Query { product: Product @shareable products: [Product!]! @shareable } type Product { id: ID! @shareable stock: Int }`,
      resolvers: {
        Query: {
          product: () => ({ id: '1', stock: 7 }),
          products: () => [
            { id: '1', stock: 7 },
            { id: '2', stock: 0 },
          ],
        },
      },
    },
  });
  afterAll(() => graph.close());

  it('a root field of three services is asked of each for what only it knows', async () => {
    await everyWay(graph, '{ product { id name { brand model } price { amount } stock } }', {
      data: { product: { id: '1', name: { brand: 'brand 1', model: 'model 1' }, price: { amount: 10 }, stock: 7 } },
    });
    await everyWay(graph, '{ products { stock price { id amount } name { brand } } }', {
      data: {
        products: [
          { stock: 7, price: { id: 'p1', amount: 10 }, name: { brand: 'brand 1' } },
          { stock: 0, price: { id: 'p2', amount: 20 }, name: { brand: 'brand 2' } },
        ],
      },
    });
    expect(await planOf(graph, '{ product { id stock price { amount } } }')).toMatchInlineSnapshot(`
     "at once
       query prices
         {
           product {
             price {
               amount
             }
             id
           }
         }
       query stock
         {
           product {
             stock
           }
         }"
    `);
  });

  it('one service is asked when one is enough', async () => {
    const { calls } = await graph.ask('{ product { id stock } }');
    expect(calls.map(({ subgraph }) => subgraph)).toEqual(['stock']);
  });

  it('by two aliases, they stay two', () =>
    everyWay(graph, '{ one: product { stock } other: product { price { amount } n: name { model } } }', {
      data: { one: { stock: 7 }, other: { price: { amount: 10 }, n: { model: 'model 1' } } },
    }));
});

describe('a parent that is an entity in one service and a plain value in another', () => {
  const graph = federate({
    pages: {
      sdl: `type Query { pages: [Page] } type Page @key(fields: "id") { id: ID! category: Category @shareable } type Category @key(fields: "id") { id: ID! details: Details @shareable } type Details { pages: Int }`,
      resolvers: {
        Query: { pages: () => [{ id: 'p1' }, { id: 'p2' }] },
        Page: {
          __resolveReference: (page: unknown) => page,
          category: ({ id }: { id: string }) => ({ id: `c-${id}`, details: { pages: 3 } }),
        },
        Category: { __resolveReference: ({ id }: { id: string }) => ({ id, details: { pages: 3 } }) },
      },
    },
    books: {
      sdl: `type Page @key(fields: "id") { id: ID! category: Category @shareable } type Category { details: Details @shareable } type Details { books: Int }`,
      resolvers: { Page: { category: () => ({ details: { books: 5 } }) } },
    },
    names: {
      sdl: `type Category @key(fields: "id") { id: ID! name: String }`,
      resolvers: { Category: { name: ({ id }: { id: string }) => `name of ${id}` } },
    },
  });
  afterAll(() => graph.close());

  it('what has no key is reached through its parent', () =>
    everyWay(graph, '{ pages { category { name details { pages books } } } }', {
      data: {
        pages: ['p1', 'p2'].map((id) => ({ category: { name: `name of c-${id}`, details: { pages: 3, books: 5 } } })),
      },
    }));

  it('is planned so', async () =>
    expect(await planOf(graph, '{ pages { category { name details { books } } } }')).toMatchInlineSnapshot(`
     "in order
       query pages
         {
           pages {
             __typename
             category {
               __typename
               id
             }
             id
           }
         }
       at once
         entities books
           at pages.* by { ... on Page { __typename id } }
           query ($representations: [_Any!]!) {
             _entities(representations: $representations) {
               ... on Page {
                 category {
                   details {
                     books
                   }
                 }
               }
             }
           }
         entities names
           at pages.*.category by { ... on Category { __typename id } }
           query ($representations: [_Any!]!) {
             _entities(representations: $representations) {
               ... on Category {
                 name
               }
             }
           }"
    `));
});

describe('@shareable fields whose values differ in shape', () => {
  const graph = federate({
    users: {
      sdl: `type Query { users: [User] accounts: [Account] } union Account = User | Admin type User @key(fields: "id") { id: ID name: String similar: [Account] } type Admin { id: ID @shareable name: String similar: [Account] }`,
      resolvers: {
        Query: {
          users: () => [{ id: 'u1', name: 'Ada' }],
          accounts: () => [
            { __typename: 'User', id: 'u1', name: 'Ada' },
            { __typename: 'Admin', id: 'a1', name: 'Root' },
          ],
        },
        User: { __resolveReference: ({ id }: { id: string }) => ({ id, name: 'Ada' }) },
        Admin: { similar: () => [{ __typename: 'User', id: 'u1', name: 'Ada' }] },
      },
    },
    photos: {
      sdl: `type User @key(fields: "id") { id: ID! photo: String } type Admin { id: ID! @shareable }`,
      resolvers: { User: { photo: ({ id }: { id: string }) => `photo of ${id}` } },
    },
  });
  afterAll(() => graph.close());

  it('a key that may be null here and not there', () =>
    everyWay(
      graph,
      '{ users { id name photo } accounts { ... on User { id photo } ... on Admin { id similar { ... on User { name photo } } } } }',
      {
        data: {
          users: [{ id: 'u1', name: 'Ada', photo: 'photo of u1' }],
          accounts: [
            { id: 'u1', photo: 'photo of u1' },
            { id: 'a1', similar: [{ name: 'Ada', photo: 'photo of u1' }] },
          ],
        },
      },
    ));

  it('is planned so', async () =>
    expect(await planOf(graph, '{ accounts { ... on User { id photo } ... on Admin { id } } }')).toMatchInlineSnapshot(`
     "in order
       query users
         {
           accounts {
             __typename
             ... on User {
               __typename
               id
             }
             ... on Admin {
               id
             }
           }
         }
       entities photos
         at accounts.*<User> by { ... on User { __typename id } }
         query ($representations: [_Any!]!) {
           _entities(representations: $representations) {
             ... on User {
               photo
             }
           }
         }"
    `));
});
