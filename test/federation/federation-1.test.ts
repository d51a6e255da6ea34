import { buildSubgraphSchema } from '@apollo/subgraph';
import { afterAll, describe, expect, it } from '@jest/globals';
import { parse } from 'graphql';
import { readSupergraph } from '../../gateway/supergraph/supergraph.js';
import { everyWay, planOf } from './every-way.js';
import { federate, Federation, withResolvers } from './harness.js';

const users = {
  raw: true,
  sdl: `type Query { user: User providedRandomUser: User @provides(fields: "name") randomUser: User } extend type User @key(fields: "id") { id: ID! @external name: String! @external rid: ID }`,
  resolvers: {
    Query: {
      user: () => ({ id: 'u1', rid: 'u1-rid', name: 'from users' }),
      randomUser: () => ({ id: 'u1', rid: 'u1-rid', name: 'never' }),
      providedRandomUser: () => ({ id: 'u2', rid: 'u2-rid', name: 'provided' }),
    },
    User: { __resolveReference: ({ id }: { id: string }) => ({ id, rid: `${id}-rid` }) },
  },
};
const names = {
  raw: true,
  sdl: `type Query { userById(id: ID): User } type User @key(fields: "id") { id: ID! name: String! nickname: String }`,
  resolvers: {
    Query: { userById: (_: unknown, { id }: { id: string }) => ({ id }) },
    User: { name: ({ id }: { id: string }) => `${id} of names`, nickname: ({ id }: { id: string }) => `nick ${id}` },
  },
};

const extended = federate({ users, names });
const directed = federate({
  users: { ...users, sdl: users.sdl.replace('extend type User', 'type User @extends') },
  names,
});
afterAll(() => Promise.all([extended.close(), directed.close()]));

describe('services of Federation 1', () => {
  it.each([
    ['extend type and @external', extended],
    ['@extends and @external', directed],
  ])('with %s: a field is its owner’s, unless it is provided', (_, graph) =>
    everyWay(
      graph,
      '{ user { id rid } randomUser { id name rid } userById(id: "u5") { id name nickname rid } providedRandomUser { id name nickname rid } }',
      {
        data: {
          user: { id: 'u1', rid: 'u1-rid' },
          randomUser: { id: 'u1', name: 'u1 of names', rid: 'u1-rid' },
          userById: { id: 'u5', name: 'u5 of names', nickname: 'nick u5', rid: 'u5-rid' },
          providedRandomUser: { id: 'u2', name: 'provided', nickname: 'nick u2', rid: 'u2-rid' },
        },
      },
    ),
  );

  it('both are planned so', async () => {
    const query = '{ randomUser { name rid } providedRandomUser { name rid } }';
    const plan = await planOf(extended, query);
    expect(await planOf(directed, query)).toBe(plan);
    expect(plan).toMatchInlineSnapshot(`
     "in order
       query users
         {
           randomUser {
             __typename
             id
             rid
           }
           providedRandomUser {
             name
             rid
           }
         }
       entities names
         at randomUser by { ... on User { __typename id } }
         query ($representations: [_Any!]!) {
           _entities(representations: $representations) {
             ... on User {
               name
             }
           }
         }"
    `);
  });
});

describe('a service of Federation 1 beside one of Federation 2', () => {
  const graph = federate({
    users: {
      sdl: `type Query { users: [User!]! } type User @key(fields: "id") @key(fields: "email") { id: ID! email: ID! }`,
      resolvers: {
        Query: { users: () => [{ id: 'u1', email: 'ada@x' }] },
        User: {
          __resolveReference: ({ id, email }: { id?: string; email?: string }) => ({
            id: id ?? 'u1',
            email: email ?? 'ada@x',
          }),
        },
      },
    },
    reviews: {
      raw: true,
      sdl: `extend type User @key(fields: "email") { email: ID! @external reviews: [Review] size: Int @external shoe: String @requires(fields: "size") } type Review { body: String } type Query { best: Review }`,
      resolvers: {
        Query: { best: () => ({ body: 'best' }) },
        User: {
          reviews: ({ email }: { email: string }) => [{ body: `by ${email}` }],
          shoe: ({ size }: { size: number }) => `shoe ${size}`,
        },
      },
    },
    sizes: {
      raw: true,
      sdl: `extend type User @key(fields: "id") { id: ID! @external size: Int }`,
      resolvers: { User: { size: () => 42 } },
    },
  });
  afterAll(() => graph.close());

  it('is planned so', async () =>
    expect(await planOf(graph, '{ users { reviews { body } shoe } }')).toMatchInlineSnapshot(`
     "in order
       query users
         {
           users {
             __typename
             email
             id
           }
         }
       entities sizes
         at users.* by { ... on User { __typename id } }
         query ($representations: [_Any!]!) {
           _entities(representations: $representations) {
             ... on User {
               size
             }
           }
         }
       entities reviews
         at users.* by { ... on User { __typename email size } }
         query ($representations: [_Any!]!) {
           _entities(representations: $representations) {
             ... on User {
               reviews {
                 body
               }
               shoe
             }
           }
         }"
    `));

  it('they share entities by either key, and requirements', () =>
    everyWay(graph, '{ users { id reviews { body } shoe } best { body } }', {
      data: { users: [{ id: 'u1', reviews: [{ body: 'by ada@x' }], shoe: 'shoe 42' }], best: { body: 'best' } },
    }));
});

/** Written as `@apollo/federation` 0.3x wrote it: `@core` instead of `@link`, owners, and `@join__type` only for entities. */
const V01 = `schema @core(feature: "https://specs.apollo.dev/core/v0.2") @core(feature: "https://specs.apollo.dev/join/v0.1", for: EXECUTION) { query: Query }
directive @core(as: String, feature: String!, for: core__Purpose) repeatable on SCHEMA
directive @join__field(graph: join__Graph, provides: join__FieldSet, requires: join__FieldSet) on FIELD_DEFINITION
directive @join__graph(name: String!, url: String!) on ENUM_VALUE
directive @join__owner(graph: join__Graph!) on INTERFACE | OBJECT
directive @join__type(graph: join__Graph!, key: join__FieldSet) repeatable on INTERFACE | OBJECT
scalar join__FieldSet
enum core__Purpose { EXECUTION SECURITY }
enum join__Graph { INVENTORY @join__graph(name: "inventory", url: "http://inventory.test/graphql") PRODUCTS @join__graph(name: "products", url: "http://products.test/graphql") }
type Dimension { size: Int weight: Int }
type Product @join__owner(graph: PRODUCTS) @join__type(graph: PRODUCTS, key: "upc") @join__type(graph: PRODUCTS, key: "sku") @join__type(graph: INVENTORY, key: "upc") {
  upc: String! @join__field(graph: PRODUCTS)
  sku: String! @join__field(graph: PRODUCTS)
  dimension: Dimension @join__field(graph: PRODUCTS)
  delivery: String @join__field(graph: INVENTORY, requires: "dimension { size weight }")
  inStock: Boolean @join__field(graph: INVENTORY)
}
type Query { products: [Product!] @join__field(graph: PRODUCTS) first: Product @join__field(graph: INVENTORY, provides: "sku") }`;

describe('a supergraph of join v0.1', () => {
  const products = `type Query { products: [Product!] } type Dimension { size: Int weight: Int } type Product @key(fields: "upc") @key(fields: "sku") { upc: String! sku: String! dimension: Dimension }`;
  const inventory = `type Query { first: Product @provides(fields: "sku") } type Dimension { size: Int weight: Int } extend type Product @key(fields: "upc") { upc: String! @external sku: String! @external dimension: Dimension @external delivery: String @requires(fields: "dimension { size weight }") inStock: Boolean }`;
  const whole = { upc: '1', sku: 's1', dimension: { size: 2, weight: 3 } };
  const schemas = new Map([
    [
      'products',
      withResolvers(buildSubgraphSchema({ typeDefs: parse(products) }), {
        Query: { products: () => [whole] },
        Product: { __resolveReference: () => whole },
      }),
    ],
    [
      'inventory',
      withResolvers(buildSubgraphSchema({ typeDefs: parse(inventory) }), {
        Query: { first: () => ({ upc: '1', sku: 'provided' }) },
        Product: {
          inStock: () => true,
          delivery: ({ dimension }: typeof whole) => `${dimension.size}/${dimension.weight}`,
        },
      }),
    ],
  ]);
  const graph = new Federation(
    readSupergraph(V01),
    () => {
      throw new Error('The composer makes no such supergraph.');
    },
    schemas,
  );
  afterAll(() => graph.close());

  it('is read and run', async () => {
    await everyWay(graph, '{ products { sku delivery inStock } first { sku upc dimension { size } } }', {
      data: {
        products: [{ sku: 's1', delivery: '2/3', inStock: true }],
        first: { sku: 'provided', upc: '1', dimension: { size: 2 } },
      },
      guild: 'refuses',
    });
    expect((await graph.engine()).about).toMatchObject({
      planner: 'apollo',
      reason: expect.stringContaining('specs.apollo.dev/join/v0.1'),
    });
  });

  it('is planned so', async () =>
    expect(await planOf(graph, '{ products { delivery } first { sku dimension { size } } }')).toMatchInlineSnapshot(`
     "at once
       in order
         query products
           {
             products {
               __typename
               upc
               dimension {
                 size
                 weight
               }
             }
           }
         entities inventory
           at products.* by { ... on Product { __typename upc dimension { size weight } } }
           query ($representations: [_Any!]!) {
             _entities(representations: $representations) {
               ... on Product {
                 delivery
               }
             }
           }
       in order
         query inventory
           {
             first {
               __typename
               upc
               sku
             }
           }
         entities products
           at first by { ... on Product { __typename upc } }
           query ($representations: [_Any!]!) {
             _entities(representations: $representations) {
               ... on Product {
                 dimension {
                   size
                 }
               }
             }
           }"
    `));
});
