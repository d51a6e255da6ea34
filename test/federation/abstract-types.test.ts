import { afterAll, describe, expect, it } from '@jest/globals';
import { everyWay, planOf } from './every-way.js';
import { federate } from './harness.js';

const items = [
  { __typename: 'Book', id: 'b1', title: 'Emma' },
  { __typename: 'Film', id: 'f1', title: 'Alien' },
  { __typename: 'Song', id: 's1', title: 'Help' },
];
const find = ({ id }: { id: string }) => items.find((item) => item.id === id);

describe('unions and interfaces that services know in part', () => {
  const graph = federate({
    shop: {
      sdl: `type Query { offer: Offer offers: [Offer] search: [Item!]! } union Offer = Book | Film type Item { id: ID! offer: Offer @shareable }
        type Book @key(fields: "id") { id: ID! title: String @shareable } type Film @key(fields: "id") { id: ID! title: String @shareable }`,
      resolvers: {
        Query: {
          offer: () => items[0],
          offers: () => [items[0], null, items[1]],
          search: () => [
            { id: 'i1', offer: items[0] },
            { id: 'i2', offer: items[1] },
          ],
        },
        Book: { __resolveReference: find },
        Film: { __resolveReference: find },
      },
    },
    archive: {
      sdl: `type Query { oldest: Offer all: [Offer!]! } union Offer = Film | Song type Film @key(fields: "id") { id: ID! title: String @shareable year: Int } type Song @key(fields: "id") { id: ID! title: String }`,
      resolvers: {
        Query: { oldest: () => items[2], all: () => [items[1], items[2]] },
        Film: { __resolveReference: find, year: () => 1979 },
        Song: { __resolveReference: find },
      },
    },
    extras: {
      sdl: `type Book @key(fields: "id") { id: ID! pages: Int } type Song @key(fields: "id") { id: ID! seconds: Int }`,
      resolvers: { Book: { pages: () => 400 }, Song: { seconds: () => 139 } },
    },
  });
  afterAll(() => graph.close());
  const all = '__typename ... on Book { title pages } ... on Film { title year } ... on Song { title seconds }';

  it('each member gets its own fields, wherever they are', () =>
    everyWay(
      graph,
      `{ offer { ${all} } offers { ${all} } oldest { ${all} } all { ${all} } search { id offer { ${all} } } }`,
      {
        data: {
          offer: { __typename: 'Book', title: 'Emma', pages: 400 },
          offers: [
            { __typename: 'Book', title: 'Emma', pages: 400 },
            null,
            { __typename: 'Film', title: 'Alien', year: 1979 },
          ],
          oldest: { __typename: 'Song', title: 'Help', seconds: 139 },
          all: [
            { __typename: 'Film', title: 'Alien', year: 1979 },
            { __typename: 'Song', title: 'Help', seconds: 139 },
          ],
          search: [
            { id: 'i1', offer: { __typename: 'Book', title: 'Emma', pages: 400 } },
            { id: 'i2', offer: { __typename: 'Film', title: 'Alien', year: 1979 } },
          ],
        },
      },
    ));

  it('is planned so', async () =>
    expect(await planOf(graph, '{ oldest { ... on Film { year } ... on Song { title seconds } } }'))
      .toMatchInlineSnapshot(`
     "in order
       query archive
         {
           oldest {
             __typename
             ... on Film {
               year
             }
             ... on Song {
               __typename
               title
               id
             }
           }
         }
       entities extras
         at oldest<Song> by { ... on Song { __typename id } }
         query ($representations: [_Any!]!) {
           _entities(representations: $representations) {
             ... on Song {
               seconds
             }
           }
         }"
    `));

  it('a member that the service does not have is no mistake', () =>
    everyWay(graph, '{ offer { ... on Song { seconds } } oldest { ... on Book { pages } } }', {
      data: { offer: {}, oldest: {} },
    }));

  it('aliases of the type name and nothing else', () =>
    everyWay(graph, '{ offers { t: __typename u: __typename } }', {
      data: { offers: [{ t: 'Book', u: 'Book' }, null, { t: 'Film', u: 'Film' }] },
    }));
});

describe('interfaces over several services', () => {
  const graph = federate({
    a: {
      sdl: `type Query { nodes: [Node!]! } interface Node { id: ID! } interface Named { name: String! }
        type User implements Node & Named @key(fields: "id") { id: ID! name: String! } type Team implements Node @key(fields: "id") { id: ID! }`,
      resolvers: {
        Query: {
          nodes: () => [
            { __typename: 'User', id: 'u1', name: 'Ada' },
            { __typename: 'Team', id: 't1' },
          ],
        },
        User: { __resolveReference: ({ id }: { id: string }) => ({ id, name: 'Ada' }) },
      },
    },
    b: {
      sdl: `interface Node { id: ID! } interface Named { name: String! } type Team implements Node & Named @key(fields: "id") { id: ID! name: String! members: [Named!]! }
        type Bot implements Named { name: String! version: Int } type User implements Named @key(fields: "id") { id: ID! name: String! @external }`,
      resolvers: {
        Team: {
          name: () => 'Core',
          members: () => [
            { __typename: 'User', id: 'u1' },
            { __typename: 'Bot', name: 'Robo', version: 2 },
          ],
        },
        User: {
          name: () => {
            throw new Error('external');
          },
        },
      },
    },
  });
  afterAll(() => graph.close());

  it('fragments on interfaces apply to whoever implements them', () =>
    everyWay(
      graph,
      '{ nodes { id ...N ... on Team { members { name ... on Bot { version } ... on Node { id } } } } } fragment N on Named { name }',
      {
        data: {
          nodes: [
            { id: 'u1', name: 'Ada' },
            {
              id: 't1',
              name: 'Core',
              members: [
                { name: 'Ada', id: 'u1' },
                { name: 'Robo', version: 2 },
              ],
            },
          ],
        },
      },
    ));

  it('are planned so', async () =>
    expect(await planOf(graph, '{ nodes { ... on Named { name } ... on Team { members { name } } } }'))
      .toMatchInlineSnapshot(`
     "in order
       query a
         {
           nodes {
             __typename
             ... on Team {
               __typename
               id
             }
             ... on User {
               name
             }
           }
         }
       entities b
         at nodes.*<Team> by { ... on Team { __typename id } }
         query ($representations: [_Any!]!) {
           _entities(representations: $representations) {
             ... on Team {
               name
               members {
                 __typename
                 ... on Bot {
                   name
                 }
                 ... on Team {
                   name
                 }
                 ... on User {
                   __typename
                   id
                 }
               }
             }
           }
         }
       entities a
         at nodes.*<Team>.members.*<User> by { ... on User { __typename id } }
         query ($representations: [_Any!]!) {
           _entities(representations: $representations) {
             ... on User {
               name
             }
           }
         }"
    `));
});

describe('child types that differ between services', () => {
  const graph = federate({
    a: {
      sdl: `type Query { users: [User!]! } type User @key(fields: "id") { id: ID @shareable name: String! @shareable }`,
      resolvers: {
        Query: { users: () => [{ id: 'u1', name: 'Ada' }] },
        User: { __resolveReference: ({ id }: { id: string }) => ({ id, name: 'Ada' }) },
      },
    },
    b: {
      sdl: `union Account = User | Admin type Query { accounts: [Account!]! } type User @key(fields: "id") { id: ID! @shareable name: String @shareable friends: [User!]! }
        type Admin { id: ID! name: String similar: [Account!]! }`,
      resolvers: {
        Query: {
          accounts: () => [
            { __typename: 'User', id: 'u1' },
            { __typename: 'Admin', id: 'a1', name: 'Root' },
          ],
        },
        User: {
          __resolveReference: ({ id }: { id: string }) => ({ id }),
          name: () => 'Ada',
          friends: () => [{ id: 'u1' }],
        },
        Admin: { similar: () => [{ __typename: 'Admin', id: 'a1', name: 'Root' }] },
      },
    },
  });
  afterAll(() => graph.close());

  it('nullable here and non-null there is nullable for clients, and both shapes go in one answer', () =>
    everyWay(
      graph,
      '{ users { id name } accounts { ... on User { userId: id name f: friends { id name } } ... on Admin { id name similar { __typename ... on Admin { id } } } } }',
      {
        data: {
          users: [{ id: 'u1', name: 'Ada' }],
          accounts: [
            { userId: 'u1', name: 'Ada', f: [{ id: 'u1', name: 'Ada' }] },
            { id: 'a1', name: 'Root', similar: [{ __typename: 'Admin', id: 'a1' }] },
          ],
        },
      },
    ));

  it('are planned so', async () =>
    expect(
      await planOf(
        graph,
        '{ users { id name } accounts { ... on User { userId: id name } ... on Admin { id name } } }',
      ),
    ).toMatchInlineSnapshot(`
     "at once
       query b
         {
           accounts {
             __typename
             ... on User {
               userId: id
               name
             }
             ... on Admin {
               id
               name
             }
           }
         }
       query a
         {
           users {
             id
             name
           }
         }"
    `));
});
