import { afterAll, describe, expect, it } from '@jest/globals';
import { planOf } from './every-way.js';
import { federate } from './harness.js';

const people = new Map([
  ['1', { id: '1', name: 'Ada' }],
  ['2', { id: '2', name: 'Bob' }],
]);

const graph = federate({
  users: {
    sdl: `type Query { me: User users: [User!]! } type User @key(fields: "id") { id: ID! name: String! }`,
    resolvers: {
      Query: { me: () => people.get('1'), users: () => [...people.values()] },
      User: { __resolveReference: ({ id }: { id: string }) => people.get(id) },
    },
  },
  posts: {
    sdl: `type Query { feed(first: Int = 3): [Post!]! } type Post @key(fields: "id") { id: ID! body: String! author: User } type User @key(fields: "id") { id: ID! posts: [Post!]! }`,
    resolvers: {
      Query: {
        feed: (_: unknown, { first }: { first: number }) =>
          [1, 2, 3, 4, 5]
            .slice(0, first)
            .map((n) => ({ id: `p${n}`, body: `post ${n}`, author: { id: String((n % 2) + 1) } })),
      },
      User: { posts: ({ id }: { id: string }) => [{ id: `p-${id}`, body: `by ${id}`, author: { id } }] },
    },
  },
  likes: {
    sdl: `type Post @key(fields: "id") { id: ID! likes: Int! } type User @key(fields: "id") { id: ID! likesGiven: Int! }`,
    resolvers: { Post: { likes: ({ id }: { id: string }) => id.length }, User: { likesGiven: () => 7 } },
  },
});
afterAll(() => graph.close());

describe('entities', () => {
  it('a page over three services comes as one answer', async () => {
    const { data, errors } = await graph.ask('{ me { name posts { body likes author { name } } } }');
    expect(errors).toBeUndefined();
    expect(data).toEqual({ me: { name: 'Ada', posts: [{ body: 'by 1', likes: 3, author: { name: 'Ada' } }] } });
  });

  it('is planned so', async () =>
    expect(await planOf(graph, '{ feed { likes author { name } } }')).toMatchInlineSnapshot(`
     "in order
       query posts
         {
           feed {
             __typename
             id
             author {
               __typename
               id
             }
           }
         }
       at once
         entities users
           at feed.*.author by { ... on User { __typename id } }
           query ($representations: [_Any!]!) {
             _entities(representations: $representations) {
               ... on User {
                 name
               }
             }
           }
         entities likes
           at feed.* by { ... on Post { __typename id } }
           query ($representations: [_Any!]!) {
             _entities(representations: $representations) {
               ... on Post {
                 likes
               }
             }
           }"
    `));

  it('equal representations are asked about once', async () => {
    const { data, calls } = await graph.ask('{ feed(first: 5) { author { name } } }');
    expect(data).toEqual({ feed: ['Bob', 'Ada', 'Bob', 'Ada', 'Bob'].map((name) => ({ author: { name } })) });
    expect(calls.map(({ subgraph }) => subgraph)).toEqual(['posts', 'users']);
    expect(calls[1]!.variables['representations']).toEqual([
      { __typename: 'User', id: '2' },
      { __typename: 'User', id: '1' },
    ]);
  });

  it('entity sets for one subgraph that are ready together travel together', async () => {
    const { data, calls } = await graph.ask('{ feed(first: 1) { likes author { likesGiven } } }');
    expect(data).toEqual({ feed: [{ likes: 2, author: { likesGiven: 7 } }] });
    expect(calls.map(({ subgraph }) => subgraph)).toEqual(['posts', 'likes']);
  });
});
