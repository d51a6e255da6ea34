import { afterAll, describe, expect, it } from '@jest/globals';
import { Failure } from '#libs/failure';
import { planOf } from './every-way.js';
import { federate, refuse, type AskOptions } from './harness.js';

const graph = federate({
  users: {
    sdl: `type Query { me: User users: [User!]! strict: User! }
      type Mutation { rename(name: String!): User drop: User! }
      type User @key(fields: "id") { id: ID! name: String! secret: String kind: Kind age: Int } enum Kind { HUMAN ROBOT GHOST @inaccessible }`,
    resolvers: {
      Query: {
        me: () => ({ id: '1' }),
        users: () => [{ id: '1' }, { id: '2' }, { id: '1' }],
        strict: () => ({ id: '1' }),
      },
      Mutation: {
        rename: (_: unknown, { name }: { name: string }) => ({ id: '1', name }),
        drop: () => {
          throw refuse('CONFLICT', 'already gone');
        },
      },
      User: {
        name: ({ name }: { name?: string }) => name ?? 'Ada',
        secret: () => {
          throw refuse('FORBIDDEN', 'not yours');
        },
        kind: () => 'HUMAN',
        __resolveReference: (user: unknown) => user,
      },
    },
  },
  posts: {
    sdl: `type Query { feed: [Post!] } type User @key(fields: "id") { id: ID! posts: [Post!] count: Int! } type Post { body: String! author: User draft: String }`,
    resolvers: {
      Query: {
        feed: () => [
          { body: 'a', author: { id: '1' } },
          { body: 'b', author: { id: '2' } },
        ],
      },
      User: {
        count: () => 1,
        posts: ({ id }: { id: string }) => [{ body: `of ${id}`, author: { id } }],
        __resolveReference: ({ id }: { id: string }) => ({ id }),
      },
      Post: {
        draft: () => {
          throw new Error('select * from drafts');
        },
      },
    },
  },
});
afterAll(() => graph.close());

const paths = (errors: readonly { path: unknown[] }[] | undefined) => errors?.map(({ path }) => path.join('.'));
const codes = (errors: readonly { extensions: { code: string } }[] | undefined) => [
  ...new Set(errors?.map(({ extensions }) => extensions.code)),
];

describe('a subgraph that cannot be reached', () => {
  const down: AskOptions = {
    instead: { posts: () => new Failure('SUBGRAPH_UNAVAILABLE', 'posts cannot be reached at 10.0.0.3') },
  };

  it('nulls what it alone knows, each place with its error, and nothing else', async () => {
    const { data, errors, body } = await graph.ask('{ users { name posts { body } } me { name } feed { body } }', down);
    expect(data).toEqual({
      users: [1, 2, 3].map(() => ({ name: 'Ada', posts: null })),
      me: { name: 'Ada' },
      feed: null,
    });
    expect(paths(errors)).toEqual(['users.0.posts', 'users.1.posts', 'users.2.posts', 'feed']);
    expect(codes(errors)).toEqual(['SUBGRAPH_UNAVAILABLE']);
    expect(body).not.toContain('10.0.0.3');
  });

  it('a non-null field takes its parent with it, with one error where it began', async () => {
    const { data, errors } = await graph.ask('{ me { name count } }', down);
    expect(data).toEqual({ me: null });
    expect(paths(errors)).toEqual(['me.count']);
  });

  it('what would have been asked with its answer is lost for the same reason', async () => {
    const { data, errors } = await graph.ask('{ feed { author { name } } }', down);
    expect(await planOf(graph, '{ feed { author { name } } }')).toMatchInlineSnapshot(`
     "in order
       query posts
         {
           feed {
             author {
               __typename
               id
             }
           }
         }
       entities users
         at feed.*.author by { ... on User { __typename id } }
         query ($representations: [_Any!]!) {
           _entities(representations: $representations) {
             ... on User {
               name
             }
           }
         }"
    `);
    expect(data).toEqual({ feed: null });
    expect(paths(errors)).toEqual(['feed']);
    expect(codes(errors)).toEqual(['SUBGRAPH_UNAVAILABLE']);
  });
});

describe('errors that a subgraph tells', () => {
  it('keep their place through lists, equal entities and entity fetches', async () => {
    const { data, errors } = await graph.ask('{ feed { author { secret } } users { secret } }');
    expect(data).toEqual({
      feed: [{ author: { secret: null } }, { author: { secret: null } }],
      users: [1, 2, 3].map(() => ({ secret: null })),
    });
    expect(paths(errors)?.sort()).toEqual([
      'feed.0.author.secret',
      'feed.1.author.secret',
      'users.0.secret',
      'users.1.secret',
      'users.2.secret',
    ]);
    expect(errors?.[0]).toMatchObject({
      message: 'not yours',
      extensions: { code: 'FORBIDDEN', requestId: 'request-1' },
    });
  });

  it('speak in the client’s aliases', async () => {
    const { data, errors } = await graph.ask('{ u: me { id: secret __proto__: secret posts { constructor: draft } } }');
    expect(JSON.stringify(data)).toBe('{"u":{"id":null,"__proto__":null,"posts":[{"constructor":null}]}}');
    expect(paths(errors)?.sort()).toEqual(['u.__proto__', 'u.id', 'u.posts.0.constructor']);
  });

  it('stay inside when they are not meant for clients', async () => {
    const { body, errors } = await graph.ask('{ feed { draft } }');
    expect(body).not.toContain('select');
    expect(codes(errors)).toEqual(['INTERNAL_SERVER_ERROR']);
  });

  it('a failing mutation field leaves the others alone where it may be null', async () => {
    const { data, errors } = await graph.ask('mutation { rename(name: "Eve") { name } }');
    expect({ data, errors }).toEqual({ data: { rename: { name: 'Eve' } }, errors: undefined });
    const failed = await graph.ask('mutation { drop { name } }');
    expect(failed.data).toBeNull();
    expect(paths(failed.errors)).toEqual(['drop']);
    expect(failed.errors?.[0]).toMatchObject({ message: 'already gone', extensions: { code: 'CONFLICT' } });
  });
});

describe('answers that are wrong', () => {
  const query = '{ me { name posts { body } } }';
  const withPosts = (text: string | Buffer) => graph.ask(query, { instead: { posts: () => text } });

  it.each([
    ['no JSON', 'Bad gateway'],
    ['cut', '{"data":{"_entities":[{"posts":[{"bo'],
    ['empty', ''],
    ['null', 'null'],
    ['a list', '[]'],
    ['without data', '{}'],
    ['data: null and no errors', '{"data":null}'],
    ['data is a list', '{"data":[]}'],
    ['errors is a text', '{"data":{"_entities":[{}]},"errors":"oops"}'],
    ['_entities missing', '{"data":{}}'],
    ['_entities null', '{"data":{"_entities":null}}'],
    ['_entities an object', '{"data":{"_entities":{"posts":[]}}}'],
    ['_entities short', '{"data":{"_entities":[]}}'],
    ['_entities long', '{"data":{"_entities":[{"posts":[]},{"posts":[]}]}}'],
    ['an entity that is a list', '{"data":{"_entities":[[]]}}'],
    ['an entity that is a text', '{"data":{"_entities":["User"]}}'],
    ['a list that is an object', '{"data":{"_entities":[{"posts":{"body":"x"}}]}}'],
    ['a list that is a text', '{"data":{"_entities":[{"posts":"none"}]}}'],
    ['objects that are numbers', '{"data":{"_entities":[{"posts":[1]}]}}'],
    ['text that is an object', '{"data":{"_entities":[{"posts":[{"body":{"a":1}}]}]}}'],
    ['null where none may be', '{"data":{"_entities":[{"posts":[{"body":null}]}]}}'],
    ['a field left out where null may not be', '{"data":{"_entities":[{"posts":[{}]}]}}'],
    ['errors without anything', '{"data":null,"errors":[null,1,{"path":{}}]}'],
  ])('%s: the rest of the answer comes, and an error says where', async (_what, text) => {
    const { data, errors } = await withPosts(text);
    expect(data).toEqual({ me: { name: 'Ada', posts: null } });
    expect(errors!.length).toBeGreaterThan(0);
    for (const error of errors!) expect(error.path.slice(0, 2)).toEqual(['me', 'posts']);
  });

  it('keys that would change every object change none', async () => {
    const { data } = await withPosts(
      '{"data":{"_entities":[{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},"posts":[{"__proto__":{"polluted":1},"body":"x"}]}]},"extensions":{"__proto__":{"polluted":1}}}',
    );
    expect(data).toEqual({ me: { name: 'Ada', posts: [{ body: 'x' }] } });
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
    expect(Object.hasOwn(Object.prototype, 'polluted')).toBe(false);
  });

  it('values that are none of their type are null with an error; a value that clients may not know is none', async () => {
    const root = (user: string) =>
      graph.ask('{ me { kind age } }', { instead: { users: () => `{"data":{"me":${user}}}` } });
    const asked = await root('{"kind":"GHOST","age":2147483648}');
    expect(asked.data).toEqual({ me: { kind: null, age: null } });
    expect(paths(asked.errors)).toEqual(['me.kind', 'me.age']);
    expect((await root('{"kind":"ROBOT","age":2147483647}')).data).toEqual({
      me: { kind: 'ROBOT', age: 2_147_483_647 },
    });
  });

  it('ten thousand errors are counted, not passed on', async () => {
    const errors = Array.from({ length: 10_000 }, (_, i) => ({ message: `e${i}`, path: ['_entities', 0, 'posts'] }));
    const asked = await withPosts(JSON.stringify({ data: { _entities: [{ posts: null }] }, errors }));
    expect(asked.errors!.length).toBeLessThanOrEqual(50);
    expect(asked.body.length).toBeLessThan(20_000);
  });
});

describe('a client that goes away', () => {
  it('ends the run: nothing more is asked', async () => {
    const gone = new AbortController();
    const asked = graph.ask('{ feed { author { name } } }', {
      signal: gone.signal,
      before: () => Promise.resolve(gone.abort(new Error('client went away'))),
    });
    await expect(asked).rejects.toThrow('client went away');
  });
});
