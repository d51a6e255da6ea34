import { afterAll, describe, expect, it } from '@jest/globals';
import { everyWay, planOf } from './every-way.js';
import { federate } from './harness.js';

describe('an interface whose field is of the interface again', () => {
  const graph = federate({
    books: {
      sdl: `type Query { product: Product } interface Product { samePriceProduct: Product } type Book implements Product @key(fields: "id") { id: ID! samePriceProduct: Book @provides(fields: "price") price: Float @external }`,
      resolvers: {
        Query: { product: () => ({ __typename: 'Book', id: '1' }) },
        Book: {
          __resolveReference: (book: unknown) => book,
          samePriceProduct: ({ id }: { id: string }) => ({ id: String(3 - Number(id)), price: 10.5 }),
        },
      },
    },
    prices: {
      sdl: `type Book @key(fields: "id") { id: ID! price: Float @shareable }`,
      resolvers: { Book: { price: () => 10.5 } },
    },
  });
  afterAll(() => graph.close());
  const query =
    '{ product { __typename samePriceProduct { __typename ... on Book { id price } samePriceProduct { ... on Book { id } } } ... on Book { price } } }';

  it('is followed as far as it is asked', () =>
    everyWay(graph, query, {
      data: {
        product: {
          __typename: 'Book',
          price: 10.5,
          samePriceProduct: { __typename: 'Book', id: '2', price: 10.5, samePriceProduct: { id: '1' } },
        },
      },
      // It forgets a fragment on a type where it was not told the type.
      stock: 'wrong',
    }));

  it('is planned so', async () =>
    expect(await planOf(graph, '{ product { samePriceProduct { ... on Book { price } } } }')).toMatchInlineSnapshot(`
     "in order
       query books
         {
           product {
             samePriceProduct {
               __typename
               ... on Book {
                 __typename
                 id
               }
             }
           }
         }
       entities prices
         at product.samePriceProduct<Book> by { ... on Book { __typename id } }
         query ($representations: [_Any!]!) {
           _entities(representations: $representations) {
             ... on Book {
               price
             }
           }
         }"
    `));
});

describe('@override beside @requires', () => {
  const graph = federate({
    a: {
      sdl: `type Query { userInA: User } type User @key(fields: "id") { id: ID! name: String! @external aName: String! @requires(fields: "name") cName: String! @override(from: "c") @requires(fields: "name") }`,
      resolvers: {
        Query: { userInA: () => ({ id: 'u1' }) },
        User: {
          __resolveReference: (user: unknown) => user,
          aName: ({ name }: { name: string }) => `a ${name}`,
          cName: ({ name }: { name: string }) => `c by a ${name}`,
        },
      },
    },
    b: {
      sdl: `type Query { userInB: User } type User @key(fields: "id") { id: ID! name: String! @override(from: "c") }`,
      resolvers: {
        Query: { userInB: () => ({ id: 'u1' }) },
        User: { __resolveReference: (user: unknown) => user, name: () => 'b' },
      },
    },
    c: {
      sdl: `type Query { userInC: User } type User @key(fields: "id") { id: ID! name: String! cName: String! }`,
      resolvers: {
        Query: { userInC: () => ({ id: 'u1' }) },
        User: {
          __resolveReference: (user: unknown) => user,
          name: () => 'never',
          cName: () => 'never',
        },
      },
    },
  });
  afterAll(() => graph.close());
  const all = { aName: 'a b', cName: 'c by a b', name: 'b' };

  it('what is required is asked where it moved to', () =>
    everyWay(graph, '{ userInA { aName cName name } userInB { aName cName name } userInC { aName cName name } }', {
      data: { userInA: all, userInB: all, userInC: all },
    }));

  it('is planned so', async () =>
    expect(await planOf(graph, '{ userInC { aName cName name } }')).toMatchInlineSnapshot(`
     "in order
       query c
         {
           userInC {
             __typename
             id
           }
         }
       entities b
         at userInC by { ... on User { __typename id } }
         query ($representations: [_Any!]!) {
           _entities(representations: $representations) {
             ... on User {
               name
             }
           }
         }
       entities a
         at userInC by { ... on User { __typename name id } }
         query ($representations: [_Any!]!) {
           _entities(representations: $representations) {
             ... on User {
               cName
               aName
             }
           }
         }"
    `));
});

describe('@requires of an interface', () => {
  const addresses = [
    { __typename: 'HomeAddress', id: 'h', city: 'Rome' },
    { __typename: 'WorkAddress', id: 'w', city: 'Oslo' },
    { __typename: 'SecondAddress', id: 's', city: 'never' },
  ];
  const graph = federate({
    b: {
      sdl: `type Query { a: User users: [User!]! } interface Address { id: ID! } type HomeAddress implements Address @key(fields: "id") { id: ID! city: String @shareable } type WorkAddress implements Address @key(fields: "id") { id: ID! city: String @shareable } type SecondAddress implements Address @key(fields: "id") { id: ID! city: String @shareable }
        type User @key(fields: "id") { id: ID! name: String! @shareable address: Address @external city: String @requires(fields: "address { ... on HomeAddress { city } ... on WorkAddress { city } }") country: String @requires(fields: "address { ... on HomeAddress { city } }") }`,
      resolvers: {
        Query: { a: () => ({ id: '0', name: 'Ada' }), users: () => ['0', '1', '2'].map((id) => ({ id, name: id })) },
        User: {
          __resolveReference: (user: unknown) => user,
          city: ({ address }: { address: { city?: string } }) => address.city ?? 'nowhere',
          country: ({ address }: { address: { city?: string } }) => (address.city ? 'Italy' : null),
        },
      },
    },
    a: {
      sdl: `interface Address { id: ID! } type HomeAddress implements Address @key(fields: "id") { id: ID! city: String @shareable } type WorkAddress implements Address @key(fields: "id") { id: ID! city: String @shareable } type SecondAddress implements Address @key(fields: "id") { id: ID! city: String @shareable } type User @key(fields: "id") { id: ID! address: Address }`,
      resolvers: { User: { address: ({ id }: { id: string }) => addresses[Number(id)] } },
    },
  });
  afterAll(() => graph.close());

  it('brings what the type of the object has', async () => {
    await everyWay(graph, '{ a { city } users { city address { __typename id } } }', {
      data: {
        a: { city: 'Rome' },
        users: [
          { city: 'Rome', address: { __typename: 'HomeAddress', id: 'h' } },
          { city: 'Oslo', address: { __typename: 'WorkAddress', id: 'w' } },
          { city: 'nowhere', address: { __typename: 'SecondAddress', id: 's' } },
        ],
      },
    });
    await everyWay(graph, '{ a { country city name } users { country } }', {
      data: {
        a: { country: 'Italy', city: 'Rome', name: 'Ada' },
        users: [{ country: 'Italy' }, { country: null }, { country: null }],
      },
    });
  });

  it('is planned so', async () =>
    expect(await planOf(graph, '{ users { city } }')).toMatchInlineSnapshot(`
     "in order
       query b
         {
           users {
             __typename
             id
           }
         }
       entities a
         at users.* by { ... on User { __typename id } }
         query ($representations: [_Any!]!) {
           _entities(representations: $representations) {
             ... on User {
               address {
                 __typename
                 ... on WorkAddress {
                   city
                 }
                 ... on HomeAddress {
                   city
                 }
               }
             }
           }
         }
       entities b
         at users.* by { ... on User { __typename address { ... on HomeAddress { city } ... on WorkAddress { city } } id } }
         query ($representations: [_Any!]!) {
           _entities(representations: $representations) {
             ... on User {
               city
             }
           }
         }"
    `));
});

describe('@requires and @provides together', () => {
  const graph = federate({
    accounts: {
      sdl: `type Query { me: User } type User @key(fields: "id") { id: ID! name: String username: String @shareable }`,
      resolvers: {
        Query: { me: () => ({ id: 'u1', name: 'Ada', username: 'ada' }) },
        User: { __resolveReference: ({ id }: { id: string }) => ({ id, name: 'Ada', username: 'ada' }) },
      },
    },
    inventory: {
      sdl: `type Product @key(fields: "upc") { upc: String! weight: Int @external price: Int @external inStock: Boolean shippingEstimate: Int @requires(fields: "price weight") shippingEstimateTag: String @requires(fields: "price weight") }`,
      resolvers: {
        Product: {
          inStock: ({ upc }: { upc: string }) => upc === 'p1',
          shippingEstimate: ({ price, weight }: { price: number; weight: number }) => price * weight,
          shippingEstimateTag: ({ upc, price, weight }: { upc: string; price: number; weight: number }) =>
            `#${upc}#${price * weight}#`,
        },
      },
    },
    products: {
      sdl: `type Query { products: [Product] } type Product @key(fields: "upc") { upc: String! name: String price: Int weight: Int }`,
      resolvers: {
        Query: {
          products: () => [
            { upc: 'p1', name: 'p', price: 11, weight: 1 },
            { upc: 'p2', name: 'q', price: 22, weight: 2 },
          ],
        },
        Product: { __resolveReference: ({ upc }: { upc: string }) => ({ upc, name: upc, price: 11, weight: 1 }) },
      },
    },
    reviews: {
      sdl: `type Review @key(fields: "id") { id: ID! body: String author: User @provides(fields: "username") product: Product } type User @key(fields: "id") { id: ID! username: String @external reviews: [Review] } type Product @key(fields: "upc") { upc: String! reviews: [Review] }`,
      resolvers: {
        Product: {
          reviews: ({ upc }: { upc: string }) => [
            { id: `r-${upc}`, body: 'good', author: { id: 'u1', username: 'provided' }, product: { upc } },
          ],
        },
        User: {
          reviews: () => [
            { id: 'r1', body: 'fine', author: { id: 'u1', username: 'provided' }, product: { upc: 'p1' } },
          ],
        },
      },
    },
  });
  afterAll(() => graph.close());

  it.each<[string, unknown]>([
    [
      '{ products { upc name shippingEstimate shippingEstimateTag inStock } }',
      {
        products: [
          { upc: 'p1', name: 'p', shippingEstimate: 11, shippingEstimateTag: '#p1#11#', inStock: true },
          { upc: 'p2', name: 'q', shippingEstimate: 44, shippingEstimateTag: '#p2#44#', inStock: false },
        ],
      },
    ],
    [
      '{ products { reviews { author { username } product { inStock shippingEstimate } } } }',
      {
        products: ['p1', 'p2'].map((upc) => ({
          reviews: [{ author: { username: 'provided' }, product: { inStock: upc === 'p1', shippingEstimate: 11 } }],
        })),
      },
    ],
    [
      '{ me { username reviews { author { id name username } product { price shippingEstimate } } } }',
      {
        me: {
          username: 'ada',
          reviews: [
            { author: { id: 'u1', name: 'Ada', username: 'provided' }, product: { price: 11, shippingEstimate: 11 } },
          ],
        },
      },
    ],
  ])('%s', (query, data) => everyWay(graph, query, { data }));

  it('are planned so', async () =>
    expect(await planOf(graph, '{ products { shippingEstimate reviews { author { username } } } }'))
      .toMatchInlineSnapshot(`
     "in order
       query products
         {
           products {
             __typename
             upc
             price
             weight
           }
         }
       at once
         entities inventory
           at products.* by { ... on Product { __typename price weight upc } }
           query ($representations: [_Any!]!) {
             _entities(representations: $representations) {
               ... on Product {
                 shippingEstimate
               }
             }
           }
         entities reviews
           at products.* by { ... on Product { __typename upc } }
           query ($representations: [_Any!]!) {
             _entities(representations: $representations) {
               ... on Product {
                 reviews {
                   author {
                     username
                   }
                 }
               }
             }
           }"
    `));
});

describe('@provides of what is below what it provides', () => {
  const graph = federate({
    catalog: {
      sdl: `type Query { products: [Product] @provides(fields: "categories { id name }") } type Product @key(fields: "id") { id: ID! categories: [Category] @external } type Category @key(fields: "id") { id: ID! name: String @external }`,
      resolvers: { Query: { products: () => [{ id: 'p1', categories: [{ id: 'c1', name: 'provided' }] }] } },
    },
    categories: {
      sdl: `type Product @key(fields: "id") { id: ID! categories: [Category] @shareable } type Category @key(fields: "id") { id: ID! name: String @shareable subCategories: [Category] }`,
      resolvers: {
        Product: { categories: () => [{ id: 'c1', name: 'own' }] },
        Category: {
          __resolveReference: ({ id }: { id: string }) => ({ id, name: 'own' }),
          subCategories: () => [{ id: 'c2', name: 'sub' }],
        },
      },
    },
  });
  afterAll(() => graph.close());

  it('is taken from it, and the rest from its owner', async () => {
    await everyWay(graph, '{ products { id categories { id name } } }', {
      data: { products: [{ id: 'p1', categories: [{ id: 'c1', name: 'provided' }] }] },
    });
    await everyWay(graph, '{ products { categories { name subCategories { id name } } } }', {
      data: { products: [{ categories: [{ name: 'provided', subCategories: [{ id: 'c2', name: 'sub' }] }] }] },
    });
  });

  it('is planned so', async () =>
    expect(await planOf(graph, '{ products { categories { name subCategories { id name } } } }'))
      .toMatchInlineSnapshot(`
     "in order
       query catalog
         {
           products {
             categories {
               __typename
               name
               id
             }
           }
         }
       entities categories
         at products.*.categories.* by { ... on Category { __typename id } }
         query ($representations: [_Any!]!) {
           _entities(representations: $representations) {
             ... on Category {
               subCategories {
                 id
                 name
               }
             }
           }
         }"
    `));
});

describe('node(id:) over services', () => {
  const graph = federate({
    nodes: {
      sdl: `type Query { productNode: Node categoryNode: Node } interface Node { id: ID! } type Product implements Node @key(fields: "id") { id: ID! } type Category implements Node @key(fields: "id") { id: ID! }`,
      resolvers: {
        Query: {
          productNode: () => ({ __typename: 'Product', id: 'p1' }),
          categoryNode: () => ({ __typename: 'Category', id: 'c1' }),
        },
      },
    },
    types: {
      sdl: `type Product @key(fields: "id") { id: ID! name: String } type Category @key(fields: "id") { id: ID! name: String }`,
      resolvers: {
        Product: { name: ({ id }: { id: string }) => `product ${id}` },
        Category: { name: ({ id }: { id: string }) => `category ${id}` },
      },
    },
    more: {
      sdl: `type Product @key(fields: "id") { id: ID! price: Int createdAt: String } type Category @key(fields: "id") { id: ID! createdAt: String }`,
      resolvers: { Product: { price: () => 7, createdAt: () => '2026' }, Category: { createdAt: () => '2025' } },
    },
  });
  afterAll(() => graph.close());
  const fields = '__typename id ... on Product { name price createdAt } ... on Category { name createdAt }';

  it('each type is followed to who knows it', () =>
    everyWay(graph, `{ productNode { ${fields} } categoryNode { ${fields} } }`, {
      data: {
        productNode: { __typename: 'Product', id: 'p1', name: 'product p1', price: 7, createdAt: '2026' },
        categoryNode: { __typename: 'Category', id: 'c1', name: 'category c1', createdAt: '2025' },
      },
    }));

  it('is planned so', async () =>
    expect(await planOf(graph, `{ productNode { ${fields} } }`)).toMatchInlineSnapshot(`
     "in order
       query nodes
         {
           productNode {
             __typename
             id
           }
         }
       at once
         entities more
           at productNode by { ... on Category { __typename id } ... on Product { __typename id } }
           query ($representations: [_Any!]!) {
             _entities(representations: $representations) {
               ... on Category {
                 createdAt
               }
               ... on Product {
                 price
                 createdAt
               }
             }
           }
         entities types
           at productNode by { ... on Category { __typename id } ... on Product { __typename id } }
           query ($representations: [_Any!]!) {
             _entities(representations: $representations) {
               ... on Category {
                 name
               }
               ... on Product {
                 name
               }
             }
           }"
    `));
});
