import type { SubgraphFixture } from './fixture.js';

/** Fields and types that not everybody may see, on objects, interfaces, unions, keys, and what is made of them (@requires). */
export const GUARDED: Readonly<Record<string, SubgraphFixture>> = {
  people: {
    sdl: `type Query { me: User @authenticated users: [User!]! @requiresScopes(scopes: [["read:others", "read:self"], ["admin"]]) somebody: User anybody: User!
        wallet: Wallet vault: Vault @policy(policies: [["vault open"]]) posts: [Post!]! things: [Thing!]! either: [Either] node: Node color: Color stamp: Stamp }
      type Mutation { ban(id: ID!): User @requiresScopes(scopes: [["admin"]]) greet(id: ID!): User }
      type User @key(fields: "id") { id: ID! name: String email: String @requiresScopes(scopes: [["read:email"]]) secret: String! @authenticated friends: [User!] }
      type Wallet @authenticated { balance: Int } type Vault { gold: Int @policy(policies: [["count", "weigh"], ["owner"]]) }
      enum Color @authenticated { RED } scalar Stamp @requiresScopes(scopes: [["read:stamp"]])
      interface Post { id: ID! title: String! views: Int } type PublicBlog implements Post { id: ID! title: String! views: Int } type PrivateBlog implements Post @authenticated { id: ID! title: String! views: Int }
      interface Thing { id: ID! weight: Int } type Stone implements Thing { id: ID! weight: Int } type Gem implements Thing { id: ID! weight: Int @authenticated }
      union Either = PublicBlog | PrivateBlog interface Node { id: ID! } type Leaf implements Node @key(fields: "id") { id: ID! @authenticated name: String }`,
    resolvers: {
      Query: {
        me: () => ({ id: 'u1', name: 'Ada', email: 'ada@example.com', secret: 's', friends: [] }),
        users: () => [{ id: 'u1', name: 'Ada', email: 'ada@example.com', secret: 's' }],
        somebody: () => ({
          id: 'u2',
          name: 'Bob',
          email: 'bob@example.com',
          secret: 't',
          friends: [
            { id: 'u1', name: 'Ada', email: 'a', secret: 's' },
            { id: 'u3', name: 'Cy', email: 'c', secret: 'u' },
          ],
        }),
        anybody: () => ({ id: 'u2', name: 'Bob', secret: 't' }),
        wallet: () => ({ balance: 7 }),
        vault: () => ({ gold: 9 }),
        posts: () => [
          { __typename: 'PublicBlog', id: 'p', title: 'open', views: 1 },
          { __typename: 'PrivateBlog', id: 'q', title: 'closed', views: 2 },
        ],
        things: () => [
          { __typename: 'Stone', id: 's', weight: 1 },
          { __typename: 'Gem', id: 'g', weight: 2 },
        ],
        either: () => [{ __typename: 'PrivateBlog', id: 'q', title: 'closed' }],
        node: () => ({ __typename: 'Leaf', id: 'l', name: 'leaf' }),
        color: () => 'RED',
        stamp: () => 'now',
      },
      Mutation: { ban: () => ({ id: 'u1' }), greet: () => ({ id: 'u1', name: 'Ada', secret: 's' }) },
      User: { __resolveReference: ({ id }: { id: string }) => ({ id, name: 'Ada' }) },
      Leaf: { __resolveReference: ({ id }: { id: string }) => ({ id, name: 'leaf' }) },
    },
  },
  scores: {
    sdl: `type User @key(fields: "id") { id: ID! score: Int @authenticated rank: Int
        email: String @external hint: String @requires(fields: "email") @requiresScopes(scopes: [["read:email"]]) }
      type Leaf @key(fields: "id") { id: ID! @authenticated age: Int }`,
    resolvers: {
      User: { score: () => 5, rank: () => 1, hint: ({ email }: { email: string }) => `the one of ${email}` },
      Leaf: { age: () => 3 },
    },
  },
};
