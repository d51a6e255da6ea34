import { afterAll, describe, expect, it } from '@jest/globals';
import { everyWay, planOf } from './every-way.js';
import { federate } from './harness.js';

const products = [
  { id: '1', sku: 's1', upc: 'u1', name: 'Table', org: { id: 'o1', region: 'eu' } },
  { id: '2', sku: 's2', upc: 'u2', name: 'Chair', org: { id: 'o2', region: 'us' } },
];
const by = (key: 'id' | 'sku' | 'upc') => (value: string) => products.find((product) => product[key] === value) ?? null;

/** No two services know a product by the same key but one in the middle: id – sku – upc – (sku, org { id }). */
const graph = federate({
  catalog: {
    sdl: `type Query { products: [Product!]! gone: Product } type Product @key(fields: "id") { id: ID! name: String }`,
    resolvers: {
      Query: { products: () => products, gone: () => ({ id: 'nobody', name: 'gone' }) },
      Product: { __resolveReference: ({ id }: { id: string }) => by('id')(id) },
    },
  },
  codes: {
    sdl: `type Product @key(fields: "id") @key(fields: "sku") { id: ID! sku: String! }`,
    resolvers: {
      Product: {
        __resolveReference: (r: { id?: string; sku?: string }) =>
          r.id === undefined ? by('sku')(r.sku!) : by('id')(r.id),
      },
    },
  },
  trade: {
    sdl: `type Product @key(fields: "sku") @key(fields: "upc") { sku: String! upc: String! }`,
    resolvers: {
      Product: {
        __resolveReference: (r: { sku?: string; upc?: string }) =>
          r.sku === undefined ? by('upc')(r.upc!) : by('sku')(r.sku),
      },
    },
  },
  stock: {
    sdl: `type Product @key(fields: "upc") @key(fields: "sku org { id }") { upc: String! sku: String! @shareable org: Org! inStock: Int } type Org { id: ID! region: String }`,
    resolvers: {
      Product: {
        __resolveReference: (r: { upc?: string; sku?: string }) => {
          const one = r.upc === undefined ? by('sku')(r.sku!) : by('upc')(r.upc);
          return one && { ...one, inStock: one.id.length };
        },
      },
    },
  },
  audit: {
    sdl: `type Product @key(fields: "sku org { id }") { sku: String! org: Org! checked: String } type Org @shareable { id: ID! }`,
    resolvers: { Product: { checked: ({ sku, org }: { sku: string; org: { id: string } }) => `${sku}/${org.id}` } },
  },
});
afterAll(() => graph.close());

describe('@key', () => {
  it('a chain of services that share keys pairwise is walked to its end', async () => {
    await everyWay(graph, '{ products { name checked } }', {
      data: {
        products: [
          { name: 'Table', checked: 's1/o1' },
          { name: 'Chair', checked: 's2/o2' },
        ],
      },
    });
    expect(await planOf(graph, '{ products { name checked } }')).toMatchInlineSnapshot(`
     "in order
       query catalog
         {
           products {
             __typename
             name
             id
           }
         }
       entities codes
         at products.* by { ... on Product { __typename id } }
         query ($representations: [_Any!]!) {
           _entities(representations: $representations) {
             ... on Product {
               sku
             }
           }
         }
       entities trade
         at products.* by { ... on Product { __typename sku } }
         query ($representations: [_Any!]!) {
           _entities(representations: $representations) {
             ... on Product {
               upc
             }
           }
         }
       entities stock
         at products.* by { ... on Product { __typename upc } }
         query ($representations: [_Any!]!) {
           _entities(representations: $representations) {
             ... on Product {
               sku
               org {
                 id
               }
             }
           }
         }
       entities audit
         at products.* by { ... on Product { __typename sku org { id } } }
         query ($representations: [_Any!]!) {
           _entities(representations: $representations) {
             ... on Product {
               checked
             }
           }
         }"
    `);
  });

  it('only what is needed to get there is asked', async () => {
    expect(await planOf(graph, '{ products { inStock } }')).toBe(
      `in order
  query catalog
    {
      products {
        __typename
        id
      }
    }
  entities codes
    at products.* by { ... on Product { __typename id } }
    query ($representations: [_Any!]!) {
      _entities(representations: $representations) {
        ... on Product {
          sku
        }
      }
    }
  entities trade
    at products.* by { ... on Product { __typename sku } }
    query ($representations: [_Any!]!) {
      _entities(representations: $representations) {
        ... on Product {
          upc
        }
      }
    }
  entities stock
    at products.* by { ... on Product { __typename upc } }
    query ($representations: [_Any!]!) {
      _entities(representations: $representations) {
        ... on Product {
          inStock
        }
      }
    }`,
    );
  });

  it('an entity that a service does not know is null there, and everything after it', async () => {
    await everyWay(graph, '{ gone { name inStock checked } }', {
      data: { gone: { name: 'gone', inStock: null, checked: null } },
    });
  });
});

describe('null keys', () => {
  const nulls = federate({
    shelf: {
      sdl: `type Query { books: [Book] } type Book @key(fields: "upc") { upc: ID! }`,
      resolvers: { Query: { books: () => [{ upc: 'b1' }, null, { upc: 'b3' }] } },
    },
    library: {
      sdl: `type Book @key(fields: "id") @key(fields: "upc") { id: ID upc: ID! }`,
      resolvers: {
        Book: { __resolveReference: ({ upc }: { upc: string }) => ({ upc, id: upc === 'b3' ? null : `id-${upc}` }) },
      },
    },
    authors: {
      sdl: `type Book @key(fields: "id") { id: ID author: Author } type Author { name: String! }`,
      resolvers: {
        Book: {
          __resolveReference: ({ id }: { id: string | null }) =>
            id === null ? null : { id, author: { name: `of ${id}` } },
        },
      },
    },
  });
  afterAll(() => nulls.close());

  it('a key that is null leads to null', async () => {
    await everyWay(nulls, '{ books { upc author { name } } }', {
      data: { books: [{ upc: 'b1', author: { name: 'of id-b1' } }, null, { upc: 'b3', author: null }] },
    });
  });

  it('is planned so', async () =>
    expect(await planOf(nulls, '{ books { upc author { name } } }')).toMatchInlineSnapshot(`
     "in order
       query shelf
         {
           books {
             __typename
             upc
           }
         }
       entities library
         at books.* by { ... on Book { __typename upc } }
         query ($representations: [_Any!]!) {
           _entities(representations: $representations) {
             ... on Book {
               id
             }
           }
         }
       entities authors
         at books.* by { ... on Book { __typename id } }
         query ($representations: [_Any!]!) {
           _entities(representations: $representations) {
             ... on Book {
               author {
                 name
               }
             }
           }
         }"
    `));
});
