import { afterAll, describe, expect, it } from '@jest/globals';
import { everyWay, planOf } from './every-way.js';
import { federate } from './harness.js';

const media: Record<string, { __typename: string; id: string; title: string; pages?: number }> = {
  b1: { __typename: 'Book', id: 'b1', title: 'Emma', pages: 400 },
  f1: { __typename: 'Film', id: 'f1', title: 'Alien' },
};

const graph = federate({
  library: {
    sdl: `type Query { media: [Media!]! node(id: ID!): Media book: Book }
      interface Media @key(fields: "id") { id: ID! title: String! }
      type Book implements Media @key(fields: "id") { id: ID! title: String! pages: Int! }
      type Film implements Media @key(fields: "id") { id: ID! title: String! }`,
    resolvers: {
      Query: {
        media: () => Object.values(media),
        node: (_: unknown, { id }: { id: string }) => media[id],
        book: () => media['b1'],
      },
      Media: { __resolveReference: ({ id }: { id: string }) => media[id] },
      Book: { __resolveReference: ({ id }: { id: string }) => media[id] },
      Film: { __resolveReference: ({ id }: { id: string }) => media[id] },
    },
  },
  reviews: {
    sdl: `type Query { best: Media! bestOfAll: [Media!]! }
      type Media @interfaceObject @key(fields: "id") { id: ID! score: Int! note: String reviews(first: Int = 5): [Review!]! }
      type Review { body: String! about: Media! }`,
    resolvers: {
      Query: { best: () => ({ id: 'b1' }), bestOfAll: () => [{ id: 'f1' }, { id: 'b1' }] },
      Media: {
        score: ({ id }: { id: string }) => (id === 'b1' ? 5 : 3),
        note: () => {
          throw new Error('torn out');
        },
        reviews: ({ id }: { id: string }, { first }: { first: number }) =>
          [`${id} is good`, `${id} is fine`].slice(0, first).map((body) => ({ body, about: { id } })),
      },
    },
  },
  blurbs: {
    sdl: `type Media @interfaceObject @key(fields: "id") { id: ID! score: Int! @external blurb: String! @requires(fields: "score") }`,
    resolvers: { Media: { blurb: ({ id, score }: { id: string; score: number }) => `${id} got ${score}` } },
  },
});
afterAll(() => graph.close());

describe('@interfaceObject', () => {
  it('fields of the interface object are there on every implementation', () =>
    everyWay(graph, '{ media { __typename title score reviews(first: 1) { body } } book { score } }', {
      data: {
        media: [
          { __typename: 'Book', title: 'Emma', score: 5, reviews: [{ body: 'b1 is good' }] },
          { __typename: 'Film', title: 'Alien', score: 3, reviews: [{ body: 'f1 is good' }] },
        ],
        book: { score: 5 },
      },
    }));

  it('is planned so', async () =>
    expect(await planOf(graph, '{ best { score title } }')).toMatchInlineSnapshot(`
     "in order
       query reviews
         {
           best {
             __typename
             id
             score
           }
         }
       entities library
         at best by { ... on Media { __typename id } }
         query ($representations: [_Any!]!) {
           _entities(representations: $representations) {
             ... on Media {
               __typename
               title
             }
           }
         }"
    `));

  it('and so from the real types to the interface object', async () =>
    expect(await planOf(graph, '{ media { title score } }')).toMatchInlineSnapshot(`
     "in order
       query library
         {
           media {
             __typename
             id
             title
           }
         }
       entities reviews
         at media.* by { ... on Media { __typename id } }
         query ($representations: [_Any!]!) {
           _entities(representations: $representations) {
             ... on Media {
               score
             }
           }
         }"
    `));

  it('from the interface object to the real type, when the operation wants to know it', async () => {
    await everyWay(
      graph,
      '{ best { score kind: __typename ... on Book { pages } title } bestOfAll { ... on Film { title } } }',
      {
        data: { best: { score: 5, kind: 'Book', pages: 400, title: 'Emma' }, bestOfAll: [{ title: 'Alien' }, {}] },
      },
    );
    expect(await planOf(graph, '{ best { score kind: __typename ... on Book { pages } } }')).toMatchInlineSnapshot(`
     "in order
       query reviews
         {
           best {
             __typename
             id
             score
           }
         }
       entities library
         at best by { ... on Media { __typename id } }
         query ($representations: [_Any!]!) {
           _entities(representations: $representations) {
             ... on Media {
               __typename
               ... on Book {
                 pages
               }
             }
           }
         }"
    `);
  });

  it('and not, when it does not', async () => {
    const { data, calls } = await graph.ask('{ best { id score } }');
    expect(data).toEqual({ best: { id: 'b1', score: 5 } });
    expect(calls.map(({ subgraph }) => subgraph)).toEqual(['reviews']);
  });

  it.each(['{ best { id note } }', '{ best { ...F } } fragment F on Media { ... { id note } }'])(
    '%s: a field that fails takes nothing else along',
    (query) => everyWay(graph, query, { data: { best: { id: 'b1', note: null } }, errors: ['best.note'] }),
  );

  it('an interface object may require what another one brings', async () => {
    await everyWay(graph, '{ media { blurb } book { blurb } best { blurb } }', {
      data: {
        media: [{ blurb: 'b1 got 5' }, { blurb: 'f1 got 3' }],
        book: { blurb: 'b1 got 5' },
        best: { blurb: 'b1 got 5' },
      },
    });
    expect(await planOf(graph, '{ book { blurb } }')).toMatchInlineSnapshot(`
     "in order
       query library
         {
           book {
             __typename
             id
           }
         }
       entities reviews
         at book<Book> by { ... on Book { __typename id } }
         query ($representations: [_Any!]!) {
           _entities(representations: $representations) {
             ... on Media {
               _needs0: score
             }
           }
         }
       entities blurbs
         at book<Book> by { ... on Book { __typename id score: _needs0 } }
         query ($representations: [_Any!]!) {
           _entities(representations: $representations) {
             ... on Media {
               blurb
             }
           }
         }"
    `);
  });

  it('round trips through the interface object keep the type', () =>
    everyWay(
      graph,
      '{ node(id: "f1") { reviews(first: 1) { about { title __typename reviews(first: 1) { about { id ... on Film { title } } } } } } }',
      {
        data: {
          node: {
            reviews: [
              { about: { title: 'Alien', __typename: 'Film', reviews: [{ about: { id: 'f1', title: 'Alien' } }] } },
            ],
          },
        },
      },
    ));

  it('fragments on an implementation reach fields of the interface object', () =>
    everyWay(graph, '{ media { ... on Book { score } ... on Film { blurb } } }', {
      data: { media: [{ score: 5 }, { blurb: 'f1 got 3' }] },
    }));
});

describe('@interfaceObject with a key that it cannot resolve', () => {
  const products = federate({
    shop: {
      sdl: `type Query { product: Product products: [Product!]! } interface Product @key(fields: "id") { id: ID! data: String }
        type Bread implements Product @key(fields: "id") { id: ID! data: String }`,
      resolvers: {
        Query: {
          product: () => ({ __typename: 'Bread', id: '1', data: 'flour' }),
          products: () => [{ __typename: 'Bread', id: '1', data: 'flour' }],
        },
        Product: { __resolveReference: ({ id }: { id: string }) => ({ __typename: 'Bread', id, data: 'flour' }) },
        Bread: { __resolveReference: ({ id }: { id: string }) => ({ __typename: 'Bread', id, data: 'flour' }) },
      },
    },
    pages: {
      sdl: `type Query { pages: [Page!]! } type Page { title: String! product: Product! } type Product @interfaceObject @key(fields: "id", resolvable: false) { id: ID! }`,
      resolvers: { Query: { pages: () => [{ title: 'Home', product: { id: '1' } }] } },
    },
  });
  afterAll(() => products.close());

  it('leads to the real type all the same', () =>
    everyWay(products, '{ pages { title product { id data __typename ... on Bread { data } } } product { data } }', {
      data: {
        pages: [{ title: 'Home', product: { id: '1', data: 'flour', __typename: 'Bread' } }],
        product: { data: 'flour' },
      },
    }));

  it('is planned so', async () =>
    expect(await planOf(products, '{ pages { title product { id data } } }')).toMatchInlineSnapshot(`
     "in order
       query pages
         {
           pages {
             title
             product {
               __typename
               id
             }
           }
         }
       entities shop
         at pages.*.product by { ... on Product { __typename id } }
         query ($representations: [_Any!]!) {
           _entities(representations: $representations) {
             ... on Product {
               __typename
               data
             }
           }
         }"
    `));
});

describe('an interface object that others extend through a type in between', () => {
  const lists = federate({
    media: {
      sdl: `type Query { all: [Media!]! } interface Media @key(fields: "id") { id: ID! } type Song implements Media @key(fields: "id") { id: ID! title: String! }`,
      resolvers: {
        Query: { all: () => [{ __typename: 'Song', id: 's1' }] },
        Media: { __resolveReference: ({ id }: { id: string }) => ({ __typename: 'Song', id, title: `song ${id}` }) },
        Song: {
          __resolveReference: ({ id }: { id: string }) => ({ __typename: 'Song', id, title: `song ${id}` }),
          title: ({ id }: { id: string }) => `song ${id}`,
        },
      },
    },
    authors: {
      sdl: `type Media @interfaceObject @key(fields: "id") { id: ID! author: Author! } type Author @key(fields: "id") { id: ID! name: String! }`,
      resolvers: {
        Media: { author: ({ id }: { id: string }) => ({ id: `a-${id}`, name: `maker of ${id}` }) },
        Author: { __resolveReference: ({ id }: { id: string }) => ({ id, name: `maker of ${id.slice(2)}` }) },
      },
    },
    playlists: {
      sdl: `type Query { playlist: Playlist } type Playlist { items: [Media!]! } type Media @interfaceObject @key(fields: "id") { id: ID! length: Int! }`,
      resolvers: {
        Query: { playlist: () => ({ items: [{ id: 's1' }, { id: 's2' }] }) },
        Media: { length: ({ id }: { id: string }) => Number(id.slice(1)) * 60 },
      },
    },
  });
  afterAll(() => lists.close());

  it('is reached from a list of bare interface objects', () =>
    everyWay(
      lists,
      '{ playlist { items { length author { name } ... on Song { title } } } all { length author { name id } } }',
      {
        data: {
          playlist: {
            items: [
              { length: 60, author: { name: 'maker of s1' }, title: 'song s1' },
              { length: 120, author: { name: 'maker of s2' }, title: 'song s2' },
            ],
          },
          all: [{ length: 60, author: { name: 'maker of s1', id: 'a-s1' } }],
        },
      },
    ));

  it('is planned so', async () =>
    expect(await planOf(lists, '{ playlist { items { length author { name } ... on Song { title } } } }'))
      .toMatchInlineSnapshot(`
     "in order
       query playlists
         {
           playlist {
             items {
               __typename
               id
               length
             }
           }
         }
       at once
         entities media
           at playlist.items.* by { ... on Media { __typename id } }
           query ($representations: [_Any!]!) {
             _entities(representations: $representations) {
               ... on Media {
                 __typename
                 ... on Song {
                   title
                 }
               }
             }
           }
         entities authors
           at playlist.items.* by { ... on Media { __typename id } }
           query ($representations: [_Any!]!) {
             _entities(representations: $representations) {
               ... on Media {
                 author {
                   name
                 }
               }
             }
           }"
    `));
});

describe('an interface object that requires a field of the interface, by a key that holds an object', () => {
  const bank = federate({
    bank: {
      sdl: `type Query { accounts: [Account!]! } type Org @shareable { code: ID! } interface Account @key(fields: "id org { code }") { id: ID! org: Org! balance: Int }
        type Saving implements Account @key(fields: "id org { code }") { id: ID! org: Org! balance: Int }
        type Loan implements Account @key(fields: "id org { code }") { id: ID! org: Org! balance: Int }`,
      resolvers: {
        Query: {
          accounts: () => [
            { __typename: 'Saving', id: '1', org: { code: 'x' }, balance: 10 },
            { __typename: 'Loan', id: '2', org: { code: 'y' }, balance: 20 },
          ],
        },
      },
    },
    fees: {
      sdl: `type Org @shareable { code: ID! } type Account @interfaceObject @key(fields: "id org { code }") { id: ID! org: Org! balance: Int @external fee: Int @requires(fields: "balance") }`,
      resolvers: { Account: { fee: ({ balance }: { balance: number }) => balance * 2 } },
    },
  });
  afterAll(() => bank.close());

  // The native planner writes `...on Loan` within `...on Saving`, which no subgraph takes.
  it('gets it of every type, whoever plans', () =>
    everyWay(bank, '{ accounts { fee } }', { data: { accounts: [{ fee: 20 }, { fee: 40 }] } }));
});
