import { afterAll, describe, expect, it } from '@jest/globals';
import { everyWay, planOf } from './every-way.js';
import { federate } from './harness.js';

const prices: Record<string, number> = { EUR: 9, USD: 10, GBP: 8 };
const graph = federate({
  catalog: {
    sdl: `type Query { product: Product products: [Product!]! media: [Media!]! }
      interface Media @key(fields: "id") { id: ID! price(currency: String!): Int }
      type Product implements Media @key(fields: "id") { id: ID! price(currency: String!): Int @shareable size: Size! tags(first: Int): [String!]! }
      type Film implements Media @key(fields: "id") { id: ID! price(currency: String!): Int }
      type Size { width: Int height: Int }`,
    resolvers: {
      Query: {
        product: () => ({ id: '1' }),
        products: () => [{ id: '1' }, { id: '2' }],
        media: () => [
          { __typename: 'Product', id: '1' },
          { __typename: 'Film', id: '9' },
        ],
      },
      Product: {
        __resolveReference: ({ id }: { id: string }) => ({ id }),
        price: ({ id }: { id: string }, { currency }: { currency: string }) => Number(id) * 100 + prices[currency]!,
        size: ({ id }: { id: string }) => ({ width: Number(id), height: 10 }),
        tags: (_: unknown, { first = 9 }: { first?: number }) => ['a', 'b', 'c'].slice(0, first),
      },
      Film: { price: (_: unknown, { currency }: { currency: string }) => prices[currency] },
    },
  },
  shipping: {
    sdl: `type Product @key(fields: "id") { id: ID! price(currency: String!): Int @external size: Size! @external
        tags(first: Int): [String!]! @external
        cost: Int @requires(fields: "price(currency: \\"USD\\")")
        costInEuro: Int @requires(fields: "price(currency: \\"EUR\\")")
        volume: Int @requires(fields: "size { width height }")
        label: String @requires(fields: "tags(first: 2)") }
      type Size { width: Int @external height: Int @external }`,
    resolvers: {
      Product: {
        cost: ({ price }: { price: number }) => price + 1_000,
        costInEuro: ({ price }: { price: number }) => price + 2_000,
        volume: ({ size }: { size: { width: number; height: number } }) => size.width * size.height,
        label: ({ tags }: { tags: string[] }) => tags.join('+'),
      },
    },
  },
  tax: {
    sdl: `type Product @key(fields: "id") { id: ID! cost: Int @external volume: Int @external tax: Int @requires(fields: "cost volume") }`,
    resolvers: { Product: { tax: ({ cost, volume }: { cost: number; volume: number }) => cost + volume } },
  },
});
afterAll(() => graph.close());

describe('@requires', () => {
  it('fields of an object are carried over whole', () =>
    everyWay(graph, '{ products { volume } }', { data: { products: [{ volume: 10 }, { volume: 20 }] } }));

  it('is planned so', async () =>
    expect(await planOf(graph, '{ products { cost volume } }')).toMatchInlineSnapshot(`
     "in order
       query catalog
         {
           products {
             __typename
             id
             price(currency: "USD")
             size {
               height
               width
             }
           }
         }
       entities shipping
         at products.* by { ... on Product { __typename size { width height } id price } }
         query ($representations: [_Any!]!) {
           _entities(representations: $representations) {
             ... on Product {
               volume
               cost
             }
           }
         }"
    `));

  it('a field that needs a field that needs a field', async () => {
    await everyWay(graph, '{ product { tax } }', { data: { product: { tax: 1_120 } } });
    expect(await planOf(graph, '{ product { tax } }')).toMatchInlineSnapshot(`
     "in order
       query catalog
         {
           product {
             __typename
             id
             size {
               height
               width
             }
             price(currency: "USD")
           }
         }
       entities shipping
         at product by { ... on Product { __typename price id size { width height } } }
         query ($representations: [_Any!]!) {
           _entities(representations: $representations) {
             ... on Product {
               cost
               volume
             }
           }
         }
       entities tax
         at product by { ... on Product { __typename cost volume id } }
         query ($representations: [_Any!]!) {
           _entities(representations: $representations) {
             ... on Product {
               tax
             }
           }
         }"
    `);
  });

  it('an argument in the requirement is not the client’s argument', () =>
    everyWay(graph, '{ product { price(currency: "GBP") cost tags(first: 1) label } }', {
      data: { product: { price: 108, cost: 1_110, tags: ['a'], label: 'a+b' } },
      stock: 'wrong',
    }));

  it('nor is it the client’s default', () =>
    everyWay(graph, '{ product { tags label } }', {
      data: { product: { tags: ['a', 'b', 'c'], label: 'a+b' } },
      stock: 'wrong',
    }));

  it('not even on an interface', () =>
    everyWay(graph, '{ media { price(currency: "EUR") ... on Product { cost } } }', {
      data: { media: [{ price: 109, cost: 1_110 }, { price: 9 }] },
      stock: 'wrong',
    }));

  it('two requirements with different arguments do not get in each other’s way', async () => {
    await everyWay(graph, '{ product { cost costInEuro price(currency: "GBP") } }', {
      data: { product: { cost: 1_110, costInEuro: 2_109, price: 108 } },
      stock: 'wrong',
    });
    expect(await planOf(graph, '{ product { cost costInEuro price(currency: "GBP") } }')).toMatchInlineSnapshot(`
     "in order
       query catalog
         {
           product {
             __typename
             id
             _key0: price(currency: "GBP")
             price(currency: "USD")
             _internal_qp_alias_0: price(currency: "EUR")
           }
         }
       entities shipping
         at product by { ... on Product { __typename price: _internal_qp_alias_0 id } }
         at product by { ... on Product { __typename price id } }
         query ($__batch_reps_0: [_Any!]!, $__batch_reps_1: [_Any!]!) {
           _e0: _entities(representations: $__batch_reps_0) {
             ... on Product {
               costInEuro
             }
           }
           _e1: _entities(representations: $__batch_reps_1) {
             ... on Product {
               cost
             }
           }
         }"
    `);
  });

  it('a client’s alias that is the name of a key or of a required field changes nothing', async () => {
    await everyWay(graph, '{ product { id: cost price: tax size: id } }', {
      data: { product: { id: 1_110, price: 1_120, size: '1' } },
      stock: 'wrong',
    });
    expect(await planOf(graph, '{ product { id: cost price: volume } }')).toMatchInlineSnapshot(`
     "in order
       query catalog
         {
           product {
             __typename
             id
             price(currency: "USD")
             size {
               height
               width
             }
           }
         }
       entities shipping
         at product by { ... on Product { __typename size { width height } id price } }
         query ($representations: [_Any!]!) {
           _entities(representations: $representations) {
             ... on Product {
               _key1: volume
               _key0: cost
             }
           }
         }"
    `);
  });
});

describe('circular @requires', () => {
  const circular = federate({
    a: {
      sdl: `type Query { feed: [Post!]! } type Post @key(fields: "id") { id: ID! byNovice: Boolean! author: Author! @requires(fields: "comments { authorId }") comments: [Comment!]! @external }
        type Comment { authorId: ID! @external } type Author { id: ID! yearsOfExperience: Int! }`,
      resolvers: {
        Query: { feed: () => [{ id: 'p1' }, { id: 'p2' }] },
        Post: {
          __resolveReference: (post: unknown) => post,
          byNovice: ({ id }: { id: string }) => id === 'p1',
          author: ({ comments }: { comments: { authorId: string }[] }) => ({
            id: comments.map(({ authorId }) => authorId).join('-'),
            yearsOfExperience: comments.length,
          }),
        },
      },
    },
    b: {
      sdl: `type Post @key(fields: "id") { id: ID! byExpert: Boolean! @requires(fields: "author { yearsOfExperience }") author: Author! @external comments: [Comment!]! }
        type Author { yearsOfExperience: Int! @external } type Comment @key(fields: "authorId") { authorId: ID! somethingElse(from: String): String }`,
      resolvers: {
        Post: {
          comments: ({ id }: { id: string }) => id.split('').map((authorId) => ({ authorId })),
          byExpert: ({ author }: { author: { yearsOfExperience: number } }) => author.yearsOfExperience > 1,
        },
      },
    },
  });
  afterAll(() => circular.close());

  it('is untied by going back and forth', () =>
    everyWay(circular, '{ feed { id byExpert author { id } } }', {
      data: {
        feed: [
          { id: 'p1', byExpert: true, author: { id: 'p-1' } },
          { id: 'p2', byExpert: true, author: { id: 'p-2' } },
        ],
      },
      stock: 'wrong',
    }));

  it('is planned so', async () =>
    expect(await planOf(circular, '{ feed { id byExpert } }')).toMatchInlineSnapshot(`
     "in order
       query a
         {
           feed {
             __typename
             id
           }
         }
       entities b
         at feed.* by { ... on Post { __typename id } }
         query ($representations: [_Any!]!) {
           _entities(representations: $representations) {
             ... on Post {
               comments {
                 authorId
               }
             }
           }
         }
       entities a
         at feed.* by { ... on Post { __typename comments { authorId } id } }
         query ($representations: [_Any!]!) {
           _entities(representations: $representations) {
             ... on Post {
               author {
                 yearsOfExperience
               }
             }
           }
         }
       entities b
         at feed.* by { ... on Post { __typename author { yearsOfExperience } id } }
         query ($representations: [_Any!]!) {
           _entities(representations: $representations) {
             ... on Post {
               byExpert
             }
           }
         }"
    `));
});

/** In each of these both planners ask a subgraph for what it only knows by name, or give it what another field needs. */
describe('requirements that planners get wrong', () => {
  const shelf = federate({
    shop: {
      sdl: `type Query { book: Book books: [Book!]! } type Mutation { buy: Book }
        type Book @key(fields: "id") { id: ID! weight(unit: String = "g"): Weight @external fee: Int @external label: String @requires(fields: "weight(unit: \\"kg\\") { net gross } fee") light: Boolean @requires(fields: "weight(unit: \\"g\\") { net }") heavy: Boolean @requires(fields: "weight { gross }") }
        type Weight @shareable { net: Int gross: Int }`,
      resolvers: {
        Query: { book: () => ({ id: '1' }), books: () => [{ id: '1' }, { id: '2' }] },
        Mutation: { buy: () => ({ id: '2' }) },
        Book: {
          __resolveReference: (book: unknown) => book,
          label: ({ weight, fee }: { weight: Weight; fee: number }) => `${weight.net}/${weight.gross} for ${fee}`,
          light: ({ weight }: { weight: Weight }) => weight.net < 1_500,
          heavy: ({ weight }: { weight: Weight }) => weight.gross > 1_500,
        },
      },
    },
    fees: {
      sdl: `type Book @key(fields: "id") { id: ID! weight(unit: String = "g"): Weight @external fee: Int @requires(fields: "weight(unit: \\"kg\\") { net }") } type Weight @shareable { net: Int gross: Int }`,
      resolvers: { Book: { fee: ({ weight }: { weight: Weight }) => weight.net * 10 } },
    },
    scales: {
      sdl: `type Book @key(fields: "id") { id: ID! weight(unit: String = "g"): Weight fee: Int @external label: String @external summary: String @requires(fields: "fee label") } type Weight @shareable { net: Int gross: Int }`,
      resolvers: {
        Book: {
          weight: ({ id }: { id: string }, { unit }: { unit: string }) => {
            const net = Number(id) * (unit === 'kg' ? 1 : 1_000);
            return { net, gross: net + 1 };
          },
          summary: ({ fee, label }: { fee: number; label: string }) => `${label} (${fee})`,
        },
      },
    },
  });
  interface Weight {
    readonly net: number;
    readonly gross: number;
  }
  afterAll(() => shelf.close());

  it.each<[string, string, unknown]>([
    [
      'what is required requires something itself, and is external where the entity comes from',
      '{ book { summary } }',
      { book: { summary: '1/2 for 10 (10)' } },
    ],
    [
      'the same beside the required field itself, with other arguments',
      '{ books { weight(unit: "g") { net } summary label } }',
      {
        books: [
          { weight: { net: 1_000 }, summary: '1/2 for 10 (10)', label: '1/2 for 10' },
          { weight: { net: 2_000 }, summary: '2/3 for 20 (20)', label: '2/3 for 20' },
        ],
      },
    ],
    [
      'two fields of one subgraph require one field with different arguments',
      '{ books { label light heavy } }',
      {
        books: [
          { label: '1/2 for 10', light: true, heavy: false },
          { label: '2/3 for 20', light: false, heavy: true },
        ],
      },
    ],
    ['after a mutation', 'mutation { buy { summary light } }', { buy: { summary: '2/3 for 20 (20)', light: false } }],
  ])('%s', (_name, query, data) => everyWay(shelf, query, { data, stock: 'wrong' }));

  it('are planned so', async () =>
    expect(await planOf(shelf, '{ book { summary } }')).toMatchInlineSnapshot(`
     "in order
       query shop
         {
           book {
             __typename
             id
           }
         }
       entities scales
         at book by { ... on Book { __typename id } }
         query ($representations: [_Any!]!) {
           _entities(representations: $representations) {
             ... on Book {
               weight(unit: "kg") {
                 net
                 gross
               }
             }
           }
         }
       entities fees
         at book by { ... on Book { __typename weight { net } id } }
         query ($representations: [_Any!]!) {
           _entities(representations: $representations) {
             ... on Book {
               fee
             }
           }
         }
       entities shop
         at book by { ... on Book { __typename weight { net gross } fee id } }
         query ($representations: [_Any!]!) {
           _entities(representations: $representations) {
             ... on Book {
               label
             }
           }
         }
       entities scales
         at book by { ... on Book { __typename fee label id } }
         query ($representations: [_Any!]!) {
           _entities(representations: $representations) {
             ... on Book {
               summary
             }
           }
         }"
    `));
});
