import { afterAll, describe, expect, it } from '@jest/globals';
import { everyWay, planOf } from './every-way.js';
import { federate } from './harness.js';

describe('an entity with keys of many shapes', () => {
  const one = { id: '1', pId: 'a.1', compositeId: { one: 'c1', two: 'c2' }, name: 'a.1' };
  const graph = federate({
    a: {
      sdl: `type Query { a: A } type A @key(fields: "id") @key(fields: "pId") @key(fields: "compositeId { one two }") @key(fields: "id compositeId { one }") { id: ID! pId: ID! compositeId: CompositeId! name: String! } type CompositeId { one: ID! two: ID! }`,
      resolvers: { Query: { a: () => one }, A: { __resolveReference: () => one } },
    },
    b: {
      sdl: `type Query { b: B } type B @key(fields: "id") { id: ID! a: [A!]! } type A @key(fields: "id compositeId { one two }") { id: ID! compositeId: CompositeId! nameInB: String! @requires(fields: "name") name: String! @external } type CompositeId @shareable { one: ID! two: ID! three: ID! }`,
      resolvers: {
        Query: { b: () => ({ id: '100', a: [one] }) },
        A: {
          __resolveReference: (a: unknown) => a,
          nameInB: ({ id, compositeId, name }: typeof one) => `${id} ${compositeId.one} ${compositeId.two} ${name}`,
        },
      },
    },
  });
  afterAll(() => graph.close());

  it('is planned so', async () =>
    expect(await planOf(graph, '{ b { a { nameInB compositeId { one } } } }')).toMatchInlineSnapshot(`
     "in order
       query b
         {
           b {
             a {
               __typename
               id
               compositeId {
                 one
                 two
               }
             }
           }
         }
       entities a
         at b.a.* by { ... on A { __typename id } }
         query ($representations: [_Any!]!) {
           _entities(representations: $representations) {
             ... on A {
               name
             }
           }
         }
       entities b
         at b.a.* by { ... on A { __typename name id compositeId { one two } } }
         query ($representations: [_Any!]!) {
           _entities(representations: $representations) {
             ... on A {
               nameInB
             }
           }
         }"
    `));

  it('is met by the one that both sides can give', () =>
    everyWay(graph, '{ b { id a { id name nameInB } } a { nameInB compositeId { one } } }', {
      data: {
        b: { id: '100', a: [{ id: '1', name: 'a.1', nameInB: '1 c1 c2 a.1' }] },
        a: { nameInB: '1 c1 c2 a.1', compositeId: { one: 'c1' } },
      },
    }));
});

describe('a key that is a list of entities', () => {
  const products = [
    { id: '1', pid: 'p1', category: { mainProduct: { id: '1' }, id: 'c1', tag: 't1' } },
    { id: '2', pid: 'p2', category: { mainProduct: { id: '2' }, id: 'c2', tag: 't2' } },
  ];
  const graph = federate({
    products: {
      sdl: `type Query { topProducts: ProductList! } type ProductList @key(fields: "products { id }") { products: [Product!]! } type Product @key(fields: "id") { id: String! category: Category @shareable } type Category @key(fields: "id") { id: String! tag: String @shareable }`,
      resolvers: {
        Query: { topProducts: () => ({ products }) },
        ProductList: { __resolveReference: (list: unknown) => list },
        Product: { __resolveReference: ({ id }: { id: string }) => products.find((one) => one.id === id) },
      },
    },
    links: {
      sdl: `type Product @key(fields: "id") @key(fields: "id pid") { id: String! pid: String! }`,
      resolvers: { Product: { __resolveReference: ({ id }: { id: string }) => products.find((one) => one.id === id) } },
    },
    lists: {
      sdl: `type ProductList @key(fields: "products { id pid }") { products: [Product!]! first: Product @shareable selected: Product @shareable } type Product @key(fields: "id pid") { id: String! pid: String }`,
      resolvers: {
        ProductList: {
          __resolveReference: ({ products: given }: { products: { id: string; pid: string }[] }) => ({
            products: given,
            first: given[0],
            selected: given[1],
          }),
        },
      },
    },
    prices: {
      sdl: `type ProductList @key(fields: "products { id pid category { id tag } } selected { id }") { products: [Product!]! selected: Product @shareable first: Product @shareable } type Product @key(fields: "id pid category { id tag }") { id: String! pid: String price: Price category: Category } type Category @key(fields: "id tag") { id: String! tag: String } type Price { price: Float! }`,
      resolvers: {
        Product: {
          price: ({ id, pid, category }: (typeof products)[0]) => ({
            price: id === '1' && pid === 'p1' && category.tag === 't1' ? 100 : 200,
          }),
        },
        ProductList: { __resolveReference: (list: unknown) => list },
      },
    },
  });
  afterAll(() => graph.close());

  it('is carried with everything in it', () =>
    everyWay(graph, '{ topProducts { products { id pid price { price } category { tag } } } }', {
      data: {
        topProducts: {
          products: [
            { id: '1', pid: 'p1', price: { price: 100 }, category: { tag: 't1' } },
            { id: '2', pid: 'p2', price: { price: 200 }, category: { tag: 't2' } },
          ],
        },
      },
      guild: 'refuses',
    }));

  it('leads to what only such a list has', async () => {
    const query = '{ topProducts { first { id pid } selected { id } } }';
    await everyWay(graph, query, {
      data: { topProducts: { first: { id: '1', pid: 'p1' }, selected: { id: '2' } } },
      guild: 'refuses',
    });
    expect(await planOf(graph, query)).toMatchInlineSnapshot(`
     "in order
       query products
         {
           topProducts {
             __typename
             products {
               __typename
               id
             }
           }
         }
       entities links
         at topProducts.products.* by { ... on Product { __typename id } }
         query ($representations: [_Any!]!) {
           _entities(representations: $representations) {
             ... on Product {
               pid
             }
           }
         }
       entities lists
         at topProducts by { ... on ProductList { __typename products { id pid } } }
         query ($representations: [_Any!]!) {
           _entities(representations: $representations) {
             ... on ProductList {
               first {
                 id
                 pid
               }
               selected {
                 id
               }
             }
           }
         }"
    `);
  });
});

describe('@requires with fragments', () => {
  const data = [
    { __typename: 'Baz', foo: 'foo', bar: 'bar', baz: 'baz', qux: 'never' },
    { __typename: 'Qux', foo: 'foo', bar: 'bar', qux: 'qux', baz: 'never' },
  ];
  const graph = federate({
    a: {
      sdl: `interface Foo { foo: String! } interface Bar implements Foo { foo: String! bar: String! } type Baz implements Foo & Bar @shareable { foo: String! bar: String! baz: String! } type Qux implements Foo & Bar @shareable { foo: String! bar: String! qux: String! }
        type Entity @key(fields: "id") { id: ID! data: Foo } type Query { a: Entity list: [Entity!]! }`,
      resolvers: {
        Query: {
          a: () => ({ id: '1', data: data[0] }),
          list: () => data.map((one, index) => ({ id: String(index), data: one })),
        },
        Entity: { __resolveReference: ({ id }: { id: string }) => ({ id, data: data[Number(id) % 2] }) },
      },
    },
    b: {
      sdl: `interface Foo { foo: String! } interface Bar implements Foo { foo: String! bar: String! } type Baz implements Foo & Bar @shareable { foo: String! bar: String! baz: String! } type Qux implements Foo & Bar @shareable { foo: String! bar: String! qux: String! }
        type Entity @key(fields: "id") { id: ID! data: Foo @external requirer: String! @requires(fields: "data { foo ... on Bar { bar ... on Baz { baz } ... on Qux { qux } } }") requirer2: String! @requires(fields: "data { ... on Foo { foo } }") } type Query { b: Entity }`,
      resolvers: {
        Query: { b: () => ({ id: '1' }) },
        Entity: {
          __resolveReference: (entity: unknown) => entity,
          requirer: ({ data: { foo, bar, baz, qux } }: { data: (typeof data)[0] }) => [foo, bar, baz, qux].join(),
          requirer2: ({ data: { foo } }: { data: { foo: string } }) => foo,
        },
      },
    },
  });
  afterAll(() => graph.close());

  it('brings what the object’s type has', async () => {
    await everyWay(graph, '{ a { requirer requirer2 } list { requirer } }', {
      data: {
        a: { requirer: 'foo,bar,baz,', requirer2: 'foo' },
        list: [{ requirer: 'foo,bar,baz,' }, { requirer: 'foo,bar,,qux' }],
      },
      guild: 'refuses',
    });
    await everyWay(graph, '{ b { requirer data { foo ... on Qux { qux } } } }', {
      data: { b: { requirer: 'foo,bar,,qux', data: { foo: 'foo', qux: 'qux' } } },
      guild: 'refuses',
    });
  });

  it('is planned so', async () =>
    expect(await planOf(graph, '{ b { requirer data { foo ... on Qux { qux } } } }')).toMatchInlineSnapshot(`
     "in order
       query b
         {
           b {
             __typename
             id
           }
         }
       entities a
         at b by { ... on Entity { __typename id } }
         query ($representations: [_Any!]!) {
           _entities(representations: $representations) {
             ... on Entity {
               data {
                 foo
                 __typename
                 ... on Qux {
                   qux
                   bar
                 }
                 ... on Baz {
                   baz
                   bar
                 }
               }
             }
           }
         }
       entities b
         at b by { ... on Entity { __typename data { foo ... on Baz { bar baz } ... on Qux { bar qux } } id } }
         query ($representations: [_Any!]!) {
           _entities(representations: $representations) {
             ... on Entity {
               requirer
             }
           }
         }"
    `));
});

describe('the same field with another nullability, another type of object, another shape', () => {
  const graph = federate({
    a: {
      sdl: `type Query { users: [User!] similar(id: ID!): [Either] } union Either = User | Admin | Bot type User { id: ID! name: String photo: Photo } type Admin { id: ID name: String! photo: AdminPhoto } type Bot { id: ID! name(upper: Boolean): [String!]! } type Photo { url: String! } type AdminPhoto { url: String size: Int }`,
      resolvers: {
        Query: {
          users: () => [{ id: 'u1', name: 'Ada', photo: { url: 'u' } }],
          similar: () => [
            { __typename: 'User', id: 'u1', name: 'Ada', photo: { url: 'u' } },
            { __typename: 'Admin', id: 'a1', name: 'Root', photo: { url: null, size: 3 } },
            { __typename: 'Bot', id: 'b1', name: ['R2', 'D2'] },
          ],
        },
      },
    },
    b: { sdl: `type Query { version: Int } type Photo2 { x: Int }`, resolvers: { Query: { version: () => 2 } } },
  });
  afterAll(() => graph.close());

  it('each keeps its own under one key where GraphQL allows it', () =>
    everyWay(
      graph,
      '{ similar(id: "1") { ... on User { name photo { url } } ... on Admin { label: name photo { ...P } } ... on Bot { names: name } } version } fragment P on AdminPhoto { url2: url size }',
      {
        data: {
          similar: [
            { name: 'Ada', photo: { url: 'u' } },
            { label: 'Root', photo: { url2: null, size: 3 } },
            { names: ['R2', 'D2'] },
          ],
          version: 2,
        },
      },
    ));

  it('is planned so', async () =>
    expect(await planOf(graph, '{ similar(id: "1") { ... on User { name } ... on Bot { names: name } } version }'))
      .toMatchInlineSnapshot(`
     "at once
       query b
         {
           version
         }
       query a
         query ($_lit0: ID!) {
           similar(id: $_lit0) {
             __typename
             ... on User {
               name
             }
             ... on Bot {
               names: name
             }
           }
         }"
    `));
});

describe('an interface whose id every type has, in services that each know some types', () => {
  const graph = federate({
    accounts: {
      sdl: `interface Node { id: ID! } type Query { node(id: ID!): Node @shareable account: Account } type Account implements Node @key(fields: "id") { id: ID! username: String! }`,
      resolvers: {
        Query: {
          node: (_: unknown, { id }: { id: string }) =>
            id.startsWith('a') ? { __typename: 'Account', id, username: 'ada' } : null,
          account: () => ({ id: 'a1', username: 'ada' }),
        },
        Account: { __resolveReference: ({ id }: { id: string }) => ({ id, username: 'ada' }) },
      },
    },
    chats: {
      sdl: `interface Node { id: ID! } type Query { chat: Chat } type Chat implements Node @key(fields: "id") { id: ID! text: String! account: Account! } type Account implements Node @key(fields: "id") { id: ID! chats: [Chat!]! }`,
      resolvers: {
        Query: { chat: () => ({ id: 'c1', text: 'hi', account: { id: 'a1' } }) },
        Account: { chats: () => [{ id: 'c1', text: 'hi', account: { id: 'a1' } }] },
      },
    },
  });
  afterAll(() => graph.close());

  it.each([
    [
      '{ node(id: "a1") { id __typename ... on Account { username chats { id text account { username } } } ... on Chat { text } } }',
      {
        node: {
          id: 'a1',
          __typename: 'Account',
          username: 'ada',
          chats: [{ id: 'c1', text: 'hi', account: { username: 'ada' } }],
        },
      },
    ],
    [
      '{ chat { id ... on Node { id } account { id username } } }',
      { chat: { id: 'c1', account: { id: 'a1', username: 'ada' } } },
    ],
    [
      '{ account { ...N chats { ...N } } } fragment N on Node { id ... on Chat { account { ... on Node { id } } } }',
      { account: { id: 'a1', chats: [{ id: 'c1', account: { id: 'a1' } }] } },
    ],
  ])('%s', (query, data) =>
    // Stock forgets a fragment on a type within one on its interface where it was not told the type.
    everyWay(graph, query, { data, ...(query.includes('...N') && { stock: 'wrong' as const }) }),
  );

  it('is planned so', async () =>
    expect(
      await planOf(
        graph,
        '{ node(id: "a1") { ... on Account { username chats { text account { username } } } ... on Chat { text } } }',
      ),
    ).toMatchInlineSnapshot(`
     "in order
       query accounts
         query ($_lit0: ID!) {
           node(id: $_lit0) {
             __typename
             ... on Account {
               __typename
               username
               id
             }
           }
         }
       entities chats
         at node<Account> by { ... on Account { __typename id } }
         query ($representations: [_Any!]!) {
           _entities(representations: $representations) {
             ... on Account {
               chats {
                 text
                 account {
                   __typename
                   id
                 }
               }
             }
           }
         }
       entities accounts
         at node<Account>.chats.*.account by { ... on Account { __typename id } }
         query ($representations: [_Any!]!) {
           _entities(representations: $representations) {
             ... on Account {
               username
             }
           }
         }"
    `));
});

describe('a field that everybody calls external', () => {
  const graph = federate({
    price: {
      sdl: `type Query { products: [Product!]! cheap: Product @provides(fields: "name") } type Product @key(fields: "id") @key(fields: "upc") { id: ID! upc: ID @shareable price: Float name: String! @external }`,
      resolvers: {
        Query: { products: () => [{ id: '1', upc: 'u1', price: 12.3 }] },
        Product: { __resolveReference: () => ({ id: '1', upc: 'u1', price: 12.3 }) },
      },
    },
    names: {
      sdl: `type Product @key(fields: "id") { id: ID! name: String! @shareable upc: ID @shareable }`,
      resolvers: { Product: { name: ({ id }: { id: string }) => `name ${id}` } },
    },
  });
  afterAll(() => graph.close());

  it('is its owner’s all the same', () =>
    everyWay(graph, '{ products { id name price upc } }', {
      data: { products: [{ id: '1', name: 'name 1', price: 12.3, upc: 'u1' }] },
    }));

  it('is planned so', async () =>
    expect(await planOf(graph, '{ products { id name price upc } }')).toMatchInlineSnapshot(`
     "in order
       query price
         {
           products {
             __typename
             id
             price
             upc
           }
         }
       entities names
         at products.* by { ... on Product { __typename id } }
         query ($representations: [_Any!]!) {
           _entities(representations: $representations) {
             ... on Product {
               name
             }
           }
         }"
    `));
});
