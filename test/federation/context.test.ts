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
