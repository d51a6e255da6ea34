import { afterAll, describe, expect, it } from '@jest/globals';
import { everyWay, planOf } from './every-way.js';
import { federate } from './harness.js';

const action = { label: 'common', a: 'only in a', b: 'only in b' };
const side = (name: 'A' | 'B', more: string) => ({
  sdl: `type Query { root${name}: Container shared: Container @shareable } type Container @key(fields: "id") { id: ID! wrapper: Wrapper @shareable ${more} } type Wrapper @shareable { actions: [Action!]! }
    union Action = Common | Only${name} type Common @shareable { label: String } type Only${name} { ${name.toLowerCase()}: String }`,
  resolvers: {
    Query: { [`root${name}`]: () => ({ id: '1' }), shared: () => ({ id: '1', few: true }) },
    Container: {
      __resolveReference: ({ id }: { id: string }) => ({ id }),
      wrapper: ({ few }: { few?: boolean }) => ({ few }),
    },
    Wrapper: {
      actions: ({ few }: { few?: boolean }) =>
        [
          { __typename: 'Common', ...action },
          { __typename: `Only${name}`, ...action },
        ].slice(0, few ? 1 : 2),
    },
  },
});

/** Two services with a union of the same name, each with a member that the other has not. */
describe('a partial union', () => {
  const graph = federate({
    a: side('A', ''),
    b: {
      ...side('B', 'more: Wrapper'),
      resolvers: { ...side('B', '').resolvers, Container: { ...side('B', '').resolvers.Container, more: () => ({}) } },
    },
  });
  afterAll(() => graph.close());
  const members = '__typename ... on Common { label } ... on OnlyA { a } ... on OnlyB { b }';
  const common = { __typename: 'Common', label: 'common' };

  it.each([
    [
      `{ rootA { wrapper { actions { ${members} } } } }`,
      { rootA: { wrapper: { actions: [common, { __typename: 'OnlyA', a: action.a }] } } },
    ],
    [
      `{ rootB { wrapper { actions { ${members} } } } }`,
      { rootB: { wrapper: { actions: [common, { __typename: 'OnlyB', b: action.b }] } } },
    ],
    [
      '{ rootA { wrapper { actions { __typename ... on OnlyB { b } } } } }',
      { rootA: { wrapper: { actions: [{ __typename: 'Common' }, { __typename: 'OnlyA' }] } } },
    ],
    [`{ shared { wrapper { actions { ${members} } } } }`, { shared: { wrapper: { actions: [common] } } }],
    [
      `{ rootA { more { actions { ${members} } } } }`,
      { rootA: { more: { actions: [common, { __typename: 'OnlyB', b: action.b }] } } },
    ],
    ['{ rootB { wrapper { actions { ... on OnlyA { a } } } } }', { rootB: { wrapper: { actions: [{}, {}] } } }],
  ])('%s: whoever answers a list knows what is in it', (query, data) =>
    // Stock asks only for the members that both services have.
    everyWay(graph, query, { data, ...(/root.*wrapper.*label/.test(query) && { stock: 'wrong' as const }) }),
  );

  it('is planned so', async () =>
    expect(await planOf(graph, '{ rootA { wrapper { actions { ... on Common { label } ... on OnlyA { a } } } } }'))
      .toMatchInlineSnapshot(`
     "query a
       {
         rootA {
           wrapper {
             actions {
               ... on OnlyA {
                 a
               }
               __typename
               ... on Common {
                 label
               }
             }
           }
         }
       }"
    `));

  it('a member that the service cannot have sends nobody elsewhere', async () => {
    for (const planner of ['native', 'apollo'] as const) {
      const { calls } = await graph.ask('{ rootA { wrapper { actions { __typename ... on OnlyB { b } } } } }', {
        planner,
      });
      expect(calls.map(({ subgraph }) => subgraph)).toEqual(['a']);
    }
  });
});

describe('the intersection of unions', () => {
  const graph = federate({
    a: {
      sdl: `type Query { media: Media @shareable book: Media @shareable viewer: Viewer @shareable aMedia: Media } union Media = Book | Song type Viewer @shareable { media: ViewerMedia book: ViewerMedia song: Song } union ViewerMedia = Book | Song
        type Book @key(fields: "id") { id: ID! title: String! @shareable } type Song @key(fields: "id") { id: ID! title: String! @shareable aTitle: String }`,
      resolvers: {
        Query: {
          media: () => ({ __typename: 'Book', id: 'b', title: 'book' }),
          book: () => ({ __typename: 'Book', id: 'b', title: 'book' }),
          aMedia: () => ({ __typename: 'Song', id: 's', title: 'song', aTitle: 'a' }),
          viewer: () => ({
            media: { __typename: 'Book', id: 'b', title: 'book' },
            book: { __typename: 'Book', id: 'b', title: 'book' },
            song: { id: 's', title: 'song' },
          }),
        },
      },
    },
    b: {
      sdl: `type Query { media: Media @shareable book: Book @shareable viewer: Viewer @shareable } union Media = Book | Movie type Viewer @shareable { media: ViewerMedia book: Book } union ViewerMedia = Book | Movie
        type Book @key(fields: "id") { id: ID! title: String! @shareable pages: Int } type Movie @key(fields: "id") { id: ID! title: String! }`,
      resolvers: {
        Query: {
          media: () => ({ __typename: 'Book', id: 'b', title: 'book' }),
          book: () => ({ id: 'b', title: 'book' }),
          viewer: () => ({ media: { __typename: 'Book', id: 'b', title: 'book' }, book: { id: 'b', title: 'book' } }),
        },
        Book: { __resolveReference: ({ id }: { id: string }) => ({ id, title: 'book' }), pages: () => 12 },
      },
    },
  });
  afterAll(() => graph.close());

  it.each([
    [
      '{ media { __typename ... on Book { title pages } ... on Movie { title } ... on Song { title } } }',
      { media: { __typename: 'Book', title: 'book', pages: 12 } },
    ],
    ['{ book { __typename ... on Song { title } ... on Book { id } } }', { book: { __typename: 'Book', id: 'b' } }],
    [
      '{ aMedia { __typename ... on Song { aTitle } ... on Movie { title } } }',
      { aMedia: { __typename: 'Song', aTitle: 'a' } },
    ],
    [
      '{ viewer { media { ... on Song { title } ... on Movie { title } ... on Book { title } } book { ... on Book { title pages } } song { aTitle title } } }',
      {
        viewer: { media: { title: 'book' }, book: { title: 'book', pages: 12 }, song: { aTitle: null, title: 'song' } },
      },
    ],
  ])('%s', (query, data) =>
    // Stock does not ask a Book from b what it is.
    everyWay(graph, query, { data, ...(query.includes('viewer') && { stock: 'wrong' as const }) }),
  );

  it('is planned so', async () =>
    expect(
      await planOf(graph, '{ media { ... on Book { title pages } ... on Movie { title } ... on Song { title } } }'),
    ).toMatchInlineSnapshot(`
     "query b
       {
         media {
           ... on Movie {
             title
           }
           __typename
           ... on Book {
             pages
             title
           }
         }
       }"
    `));
});

describe('members of a union with the same fields', () => {
  const graph = federate({
    reviews: {
      sdl: `type Query { review: Review reviews: [Review!]! } type Product @key(fields: "id") { id: ID! } union Review = Anonymous | Signed type Anonymous { product: Product } type Signed { product: Product }`,
      resolvers: {
        Query: {
          review: () => ({ __typename: 'Anonymous', product: { id: '1' } }),
          reviews: () => [
            { __typename: 'Anonymous', product: { id: '1' } },
            { __typename: 'Signed', product: { id: '2' } },
          ],
        },
      },
    },
    b: {
      sdl: `type Product @key(fields: "id") { id: ID! b: String }`,
      resolvers: { Product: { b: ({ id }: { id: string }) => `b${id}` } },
    },
    c: {
      sdl: `type Product @key(fields: "id") { id: ID! c: String }`,
      resolvers: { Product: { c: ({ id }: { id: string }) => `c${id}` } },
    },
  });
  afterAll(() => graph.close());
  const query = '{ reviews { ... on Anonymous { product { b } } ... on Signed { product { c } } } }';

  it('each gets what is asked of it', async () => {
    await everyWay(graph, query, { data: { reviews: [{ product: { b: 'b1' } }, { product: { c: 'c2' } }] } });
    await everyWay(graph, '{ review { ... on Anonymous { product { b } } ... on Signed { product { c } } } }', {
      data: { review: { product: { b: 'b1' } } },
    });
  });

  it('are planned so', async () =>
    expect(await planOf(graph, query)).toMatchInlineSnapshot(`
     "in order
       query reviews
         {
           reviews {
             __typename
             ... on Anonymous {
               product {
                 ...a
               }
             }
             ... on Signed {
               product {
                 ...a
               }
             }
           }
         }

         fragment a on Product {
           __typename
           id
         }
       at once
         entities c
           at reviews.*<Signed>.product by { ... on Product { __typename id } }
           query ($representations: [_Any!]!) {
             _entities(representations: $representations) {
               ... on Product {
                 c
               }
             }
           }
         entities b
           at reviews.*<Anonymous>.product by { ... on Product { __typename id } }
           query ($representations: [_Any!]!) {
             _entities(representations: $representations) {
               ... on Product {
                 b
               }
             }
           }"
    `));

  it('and nobody is asked about what was not asked', async () => {
    const one = '{ review { ... on Anonymous { product { b } } ... on Signed { product { c } } } }';
    const { calls } = await graph.ask(one, { planner: 'native' });
    expect(calls.map(({ subgraph }) => subgraph)).toEqual(['reviews', 'b']);
  });
});

describe('unions and interfaces over services', () => {
  const graph = federate({
    a: {
      sdl: `type Query { products: [Product] node(id: ID!): Node } union Product = Oven | Toaster interface Node { id: ID! } type Oven implements Node @key(fields: "id") { id: ID! } type Toaster implements Node @key(fields: "id") { id: ID! warranty: Int }`,
      resolvers: {
        Query: {
          products: () => [
            { __typename: 'Oven', id: 'o1' },
            { __typename: 'Toaster', id: 't1', warranty: 3 },
          ],
          node: (_: unknown, { id }: { id: string }) => ({
            __typename: id.startsWith('o') ? 'Oven' : 'Toaster',
            id,
            warranty: 3,
          }),
        },
      },
    },
    b: {
      sdl: `interface Node { id: ID! } type Oven implements Node @key(fields: "id") { id: ID! warranty: Int } type Toaster @key(fields: "id") { id: ID! color: String }`,
      resolvers: { Oven: { warranty: () => 1 }, Toaster: { color: () => 'red' } },
    },
  });
  afterAll(() => graph.close());

  it.each([
    ['{ products { ... on Node { id } } }', { products: [{ id: 'o1' }, { id: 't1' }] }],
    [
      '{ products { ... on Oven { warranty } ... on Toaster { warranty color } } }',
      { products: [{ warranty: 1 }, { warranty: 3, color: 'red' }] },
    ],
    [
      '{ node(id: "o1") { id ... on Oven { warranty } ... on Toaster { warranty } } }',
      { node: { id: 'o1', warranty: 1 } },
    ],
    [
      '{ node(id: "t1") { __typename ... on Toaster { color } ... on Oven { id } } }',
      { node: { __typename: 'Toaster', color: 'red' } },
    ],
    ['{ products { ... on Node { ... on Toaster { id color } } } }', { products: [{}, { id: 't1', color: 'red' }] }],
  ])('%s', (query, data) => everyWay(graph, query, { data }));

  it('are planned so', async () =>
    expect(await planOf(graph, '{ products { ... on Oven { warranty } ... on Toaster { warranty color } } }'))
      .toMatchInlineSnapshot(`
     "in order
       query a
         {
           products {
             __typename
             ... on Oven {
               __typename
               id
             }
             ... on Toaster {
               __typename
               warranty
               id
             }
           }
         }
       entities b
         at products.* by { ... on Oven { __typename id } ... on Toaster { __typename id } }
         query ($representations: [_Any!]!) {
           _entities(representations: $representations) {
             ... on Oven {
               warranty
             }
             ... on Toaster {
               color
             }
           }
         }"
    `));
});
