import { afterAll, describe, expect, it } from '@jest/globals';
import { everyWay, planOf } from './every-way.js';
import { federate } from './harness.js';

const graph = federate({
  shop: {
    sdl: `type Query { carts: [Cart!]! } type Cart @key(fields: "id") @context(name: "cart") { id: ID! currency: String! items: [Item!]! }
      type Item @key(fields: "id") { id: ID! price(currency: String @fromContext(field: "$cart { currency }")): String! }`,
    resolvers: {
      Query: {
        carts: () => [
          { id: 'c1', currency: 'EUR', items: [{ id: '1' }, { id: '2' }] },
          { id: 'c2', currency: 'USD', items: [{ id: '1' }] },
        ],
      },
      Item: {
        __resolveReference: (item: unknown) => item,
        price: ({ id }: { id: string }, { currency }: { currency: string }) => `${id} ${currency}`,
      },
      Cart: { __resolveReference: (cart: unknown) => cart },
    },
  },
  names: {
    sdl: `type Item @key(fields: "id") { id: ID! name: String }`,
    resolvers: { Item: { name: ({ id }: { id: string }) => `item ${id}` } },
  },
});
afterAll(() => graph.close());

describe('@context and @fromContext', () => {
  it('the same entity under two parents gets each parent’s value', () =>
    everyWay(graph, '{ carts { items { price name } } }', {
      data: {
        carts: [
          {
            items: [
              { price: '1 EUR', name: 'item 1' },
              { price: '2 EUR', name: 'item 2' },
            ],
          },
          { items: [{ price: '1 USD', name: 'item 1' }] },
        ],
      },
      stock: 'refuses',
      not: 'native',
    }));

  it('is planned so', async () =>
    expect(await planOf(graph, '{ carts { items { price name } } }')).toMatchInlineSnapshot(`
     "in order
       query shop
         {
           carts {
             __typename
             currency
             items {
               __typename
               id
             }
           }
         }
       at once
         entities names
           at carts.*.items.* by { ... on Item { __typename id } }
           query ($representations: [_Any!]!) {
             _entities(representations: $representations) {
               ... on Item {
                 name
               }
             }
           }
         entities shop
           at carts.*.items.* by { ... on Item { __typename id } }
           with $contextualArgument_2_0 from ..<Cart>.currency
           query ($representations: [_Any!]!, $contextualArgument_2_0: String) {
             _entities(representations: $representations) {
               ... on Item {
                 price(currency: $contextualArgument_2_0)
               }
             }
           }"
    `));

  it('such a supergraph goes to the planner that knows it, and the reason is told', async () => {
    expect((await graph.engine()).about).toMatchObject({
      planner: 'apollo',
      reason: expect.stringContaining('specs.apollo.dev/context'),
    });
  });
});

describe('a context that several types set', () => {
  const homes = federate({
    homes: {
      sdl: `type Query { homes: [Home!]! } union Home = House | Boat
        type House @key(fields: "id") @context(name: "home") { id: ID! town: String! cat: Cat! }
        type Boat @key(fields: "id") @context(name: "home") { id: ID! port: Port! cat: Cat! } type Port { name: String! }
        type Cat @key(fields: "id") { id: ID! address(of: String @fromContext(field: "$home ... on House { town } ... on Boat { port { name } }")): String! }`,
      resolvers: {
        Query: {
          homes: () => [
            { __typename: 'House', id: 'h', town: 'Rome', cat: { id: '1' } },
            { __typename: 'Boat', id: 'b', port: { name: 'Genoa' }, cat: { id: '2' } },
          ],
        },
        Cat: {
          __resolveReference: (cat: unknown) => cat,
          address: ({ id }: { id: string }, { of }: { of: string }) => `${id} in ${of}`,
        },
      },
    },
    cats: {
      sdl: `type Cat @key(fields: "id") { id: ID! name: String }`,
      resolvers: { Cat: { name: ({ id }: { id: string }) => `cat ${id}` } },
    },
  });
  afterAll(() => homes.close());

  it('each object gets it of the type that is above it, also where both are reached by one path', () =>
    everyWay(homes, '{ homes { ... on House { cat { address } } ... on Boat { cat { address name } } } }', {
      data: { homes: [{ cat: { address: '1 in Rome' } }, { cat: { address: '2 in Genoa', name: 'cat 2' } }] },
      stock: 'refuses',
      not: 'native',
    }));

  it('is planned so', async () =>
    expect(await planOf(homes, '{ homes { ... on House { cat { address } } ... on Boat { cat { address } } } }'))
      .toMatchInlineSnapshot(`
     "in order
       query homes
         {
           homes {
             __typename
             ... on House {
               __typename
               town
               cat {
                 __typename
                 id
               }
             }
             ... on Boat {
               __typename
               port {
                 name
               }
               cat {
                 __typename
                 id
               }
             }
           }
         }
       entities homes
         at homes.*.cat by { ... on Cat { __typename id } }
         with $contextualArgument_2_0 from ..<House>.town
         with $contextualArgument_2_0 from ..<Boat>.port.name
         query ($representations: [_Any!]!, $contextualArgument_2_0: String) {
           _entities(representations: $representations) {
             ... on Cat {
               address(of: $contextualArgument_2_0)
             }
           }
         }"
    `));
});
