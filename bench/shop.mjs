/**
 * The published shape: four subgraphs (accounts, inventory, products, reviews) and one heavy query over them, as in the
 * public comparisons of gateways, with an answer of about 88 KB; and beside it what the other scenarios ask for. Everything
 * is in memory; an answer to a body that was seen before is bytes, so what is measured is the gateway.
 */
import { createRequire } from 'node:module';
import { parse } from 'graphql';

const require = createRequire(import.meta.url);

const LINK = `extend schema @link(url: "https://specs.apollo.dev/federation/v2.3", import: ["@key", "@requires", "@external", "@provides", "@shareable"])\n`;

const users = Array.from({ length: 6 }, (_, i) => ({
  id: String(i + 1),
  name: `Uri Goldshtein ${i}`,
  username: `urigo${i}`,
  birthday: 1_234_567_890,
  bio: `Likes tables, chairs and shelves, and writes about every one of them at length, number ${i}`,
}));
const products = Array.from({ length: 9 }, (_, i) => ({
  upc: String(i + 1),
  name: `Table of the house no. ${i + 1}`,
  price: 899 + i,
  weight: 100 + i,
}));
const goods = Array.from({ length: 10_000 }, (_, i) => ({
  upc: `g${i}`,
  name: `One of many goods, number ${i}`,
  price: 500 + (i % 1000),
  weight: 1 + (i % 300),
}));
const reviews = Array.from({ length: 27 }, (_, i) => ({
  id: String(i + 1),
  body: `Would buy no. ${i} again`,
  author: { __typename: 'User', id: String((i % 6) + 1) },
  product: { __typename: 'Product', upc: String((i % 9) + 1) },
}));

export const subgraphs = {
  accounts: {
    sdl: `${LINK} type Query { me: User user(id: ID!): User users: [User] chain: Step } type User @key(fields: "id") { id: ID! name: String username: String @shareable birthday: Int bio: String } type Step @key(fields: "id") { id: ID! left: Step }`,
    resolvers: {
      Query: {
        me: () => users[0],
        user: (_, { id }) => users.find((user) => user.id === id),
        users: () => users,
        chain: () => ({ id: '0' }),
      },
      Step: { left: ({ id }) => ({ id: String(Number(id) + 1) }) },
      User: { __resolveReference: ({ id }) => users.find((user) => user.id === id) },
    },
  },
  inventory: {
    sdl: `${LINK} type Product @key(fields: "upc") { upc: String! weight: Int @external price: Int @external inStock: Boolean shippingEstimate: Int @requires(fields: "price weight") }`,
    resolvers: {
      Product: {
        inStock: ({ upc }) => Number(upc.replace('g', '')) % 2 === 0,
        shippingEstimate: ({ price, weight }) => (price > 1000 ? 0 : Math.round(weight / 2)),
      },
    },
  },
  products: {
    sdl: `${LINK} type Query { topProducts(first: Int = 5): [Product] catalog(first: Int!): [Product] } type Product @key(fields: "upc") { upc: String! name: String price: Int weight: Int }`,
    resolvers: {
      Query: {
        topProducts: (_, { first }) => products.slice(0, first),
        catalog: (_, { first }) => goods.slice(0, first),
      },
      Product: { __resolveReference: ({ upc }) => products.find((product) => product.upc === upc) },
    },
  },
  reviews: {
    sdl: `${LINK} type Review @key(fields: "id") { id: ID! body: String author: User @provides(fields: "username") product: Product } type User @key(fields: "id") { id: ID! username: String @external reviews: [Review] } type Product @key(fields: "upc") { upc: String! reviews: [Review] } type Step @key(fields: "id") { id: ID! right: Step }`,
    resolvers: {
      Review: { author: ({ author }) => ({ ...author, username: `urigo${Number(author.id) - 1}` }) },
      Step: { right: ({ id }) => ({ id: String(Number(id) + 1) }) },
      User: { reviews: ({ id }) => reviews.filter(({ author }) => author.id === id) },
      Product: { reviews: ({ upc }) => reviews.filter(({ product }) => product.upc === upc) },
    },
  },
};

export const published = `
fragment User on User { id username name }
fragment Review on Review { id body }
fragment Product on Product { inStock name price shippingEstimate upc weight }
query TestQuery {
  users { ...User reviews { ...Review product { ...Product reviews { ...Review author { ...User reviews { ...Review product { ...Product } } } } } } }
  topProducts(first: 5) { ...Product reviews { ...Review author { ...User reviews { ...Review product { ...Product } } } } }
}`;

/** One fetch, 1 KB. */
export const small = '{ users { id name username birthday bio } }';

/** A list whose every entity is completed by another subgraph, which needs two fields of the first. */
export const wide = (first) => `{ catalog(first: ${first}) { upc name price weight inStock shippingEstimate } }`;

/** Eight fetches, each of which needs the one before. */
export const chain = '{ chain { right { left { right { left { right { left { right { id } } } } } } } } }';

/** The same services in the words of Federation 1, for the gateway that knows no other. */
export const federation1 = Object.fromEntries(
  Object.entries(subgraphs).map(([name, { sdl }]) => [name, inFederation1(name, sdl.replace(LINK, ''))]),
);

function inFederation1(name, sdl) {
  const owned = { accounts: ['User', 'Step'], inventory: [], products: ['Product'], reviews: ['Review'] }[name];
  return sdl
    .replace('type Query', 'extend type Query')
    .replaceAll(' @shareable', '')
    .replaceAll(/(?<!extend )type (\w+) @key\(fields: "(\w+)"\) \{ \w+: (\w+!)/g, (text, type, key, id) =>
      owned.includes(type) ? text : `extend type ${type} @key(fields: "${key}") { ${key}: ${id} @external`,
    );
}

export function schemas() {
  const { buildSubgraphSchema } = require('@apollo/subgraph');
  return new Map(
    Object.entries(subgraphs).map(([name, { sdl, resolvers }]) => [
      name,
      buildSubgraphSchema({ typeDefs: parse(sdl), resolvers }),
    ]),
  );
}

export function supergraph(urlOf) {
  const { composeServices } = require('@apollo/composition');
  const composed = composeServices(
    Object.entries(subgraphs).map(([name, { sdl }]) => ({ name, url: urlOf(name), typeDefs: parse(sdl) })),
  );
  if (composed.errors) throw new Error(composed.errors.join('\n'));
  return composed.supergraphSdl;
}
