import { afterAll, describe, it } from '@jest/globals';
import { everyWay } from './every-way.js';
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

  it('a field that needs a field that needs a field', () =>
    everyWay(graph, '{ product { tax } }', { data: { product: { tax: 1_120 } } }));

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

  it('two requirements with different arguments do not get in each other’s way', () =>
    everyWay(graph, '{ product { cost costInEuro price(currency: "GBP") } }', {
      data: { product: { cost: 1_110, costInEuro: 2_109, price: 108 } },
      stock: 'wrong',
      not: 'apollo',
    }));

  it('a client’s alias that is the name of a key or of a required field changes nothing', () =>
    everyWay(graph, '{ product { id: cost price: tax size: id } }', {
      data: { product: { id: 1_110, price: 1_120, size: '1' } },
      stock: 'wrong',
    }));
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
      // It asks `a` for comments that `a` itself declares @external.
      not: 'apollo',
      stock: 'wrong',
    }));
});
