import { ApolloGateway, LocalGraphQLDataSource } from '@apollo/gateway';
import { buildSubgraphSchema } from '@apollo/subgraph';
import { afterAll, describe, expect, it } from '@jest/globals';
import { Kind, parse } from 'graphql';
import { openRecordCache } from '#libs/cache';
import { Failure } from '#libs/failure';
import { EntityCache } from '../../gateway/cache/entity-cache.js';
import { everyWay } from './every-way.js';
import { federate, LINK, withResolvers, type AskOptions, type SubgraphFixture } from './harness.js';
import { HINTS } from './hints.js';

/**
 * A reference to somebody whom their own service does not know (any more): it answers null in `_entities`. Whoever gave the
 * reference could not know. The reference is then null, as if they had, and where that may be nobody needs to be told.
 */
const fixtures: Record<string, SubgraphFixture> = {
  users: {
    sdl: `type Query { me: User } type User @key(fields: "id") { id: ID! handle: String! bio: String badge: Badge! } type Badge { name: String! }`,
    resolvers: {
      Query: { me: () => ({ id: '1' }) },
      User: {
        handle: ({ id }: { id: string }) => `user${id}`,
        badge: () => ({ name: 'early' }),
        // Null in the sense of a service that answered; a fault is an error, and told.
        __resolveReference: ({ id }: { id: string }) => {
          if (id === '13') throw new Error('select * from users');
          return id === '1' ? { id } : null;
        },
      },
    },
  },
  posts: {
    sdl: `type Query { feed: [Post!] strict: Strict people: [User] all: [User!] thing: Thing things: [Thing] troubled: Post }
      type Mutation { poke(id: ID!): User pokeHard(id: ID!): User! poked(id: ID!): Post pokeAll(ids: [ID!]!): [User] pokeEach(ids: [ID!]!): [User!] }
      type Post { body: String! author: User } type Strict { body: String! author: User! }
      type User @key(fields: "id") { id: ID! } interface Thing { id: ID! } type Bot implements Thing { id: ID! }
      extend type User implements Thing`,
    resolvers: {
      Query: {
        feed: () => ['1', '2', '1'].map((id) => ({ body: `of ${id}`, author: { id } })),
        strict: () => ({ body: 'of 2', author: { id: '2' } }),
        people: () => [{ id: '1' }, { id: '2' }, null],
        all: () => [{ id: '1' }, { id: '2' }],
        thing: () => ({ __typename: 'User', id: '2' }),
        things: () => [
          { __typename: 'User', id: '2' },
          { __typename: 'Bot', id: 'b' },
        ],
        troubled: () => ({ body: 'of 13', author: { id: '13' } }),
      },
      Mutation: {
        poke: (_: unknown, { id }: { id: string }) => (id === '0' ? null : { id }),
        pokeHard: (_: unknown, { id }: { id: string }) => ({ id }),
        pokeAll: (_: unknown, { ids }: { ids: string[] }) => ids.map((id) => (id === '0' ? null : { id })),
        pokeEach: (_: unknown, { ids }: { ids: string[] }) => ids.map((id) => ({ id })),
        poked: (_: unknown, { id }: { id: string }) => ({ body: 'poked', author: { id } }),
      },
    },
  },
  follows: {
    sdl: `type User @key(fields: "id") { id: ID! bio: String @external followers: Int! rank: Int! @requires(fields: "bio") near: User }`,
    resolvers: {
      User: { followers: () => 3, rank: () => 1, near: ({ id }: { id: string }) => ({ id: id === '1' ? '2' : '1' }) },
    },
  },
};
const graph = federate(fixtures);
afterAll(() => graph.close());

/** The stock engine answers the same data. What it says of it besides it hides in `extensions`; see below. */
const stock = 'tells';

describe('a reference to who is not there', () => {
  it('is null without an error where it may be', () =>
    everyWay(graph, '{ feed { body author { handle } } }', {
      data: {
        feed: [
          { body: 'of 1', author: { handle: 'user1' } },
          { body: 'of 2', author: null },
          { body: 'of 1', author: { handle: 'user1' } },
        ],
      },
      stock,
    }));

  it('is there where nothing was asked that has to be: what is known of it, and null', () =>
    everyWay(graph, '{ feed { author { id bio } } }', {
      data: { feed: ['1', '2', '1'].map((id) => ({ author: { id, bio: null } })) },
    }));

  it('is null in a list, and takes nobody else with it', () =>
    everyWay(graph, '{ people { id badge { name } } }', {
      data: { people: [{ id: '1', badge: { name: 'early' } }, null, null] },
      stock,
    }));

  it('of a type that an interface hides is null as well', () =>
    everyWay(graph, '{ thing { ... on User { handle } } things { id ... on User { handle } } }', {
      data: { thing: null, things: [null, { id: 'b' }] },
      stock,
    }));

  it('is null also where only what another service makes of it has to be there', () =>
    everyWay(graph, '{ feed { author { rank } } }', {
      // `rank` requires `bio`, which nobody has; for `author` 1 it is null, and so told by users.
      data: { feed: [{ author: { rank: 1 } }, { author: null }, { author: { rank: 1 } }] },
      stock,
    }));

  it('is null beside what others know of it', () =>
    everyWay(graph, '{ me { near { followers handle } } }', { data: { me: { near: null } }, stock }));
});

describe('an error there is', () => {
  it('where the reference may not be null, and what is null because of it', async () => {
    await everyWay(graph, '{ strict { body author { handle } } }', {
      data: { strict: null },
      errors: ['strict.author'],
      stock: 'elsewhere',
    });
    await everyWay(graph, '{ all { handle } }', { data: { all: null }, errors: ['all.1'], stock: 'elsewhere' });
  });

  it('where a mutation was done to it: that it was, at its field; and none below, nor where the service said null', async () => {
    const { data, errors } = await graph.ask(
      'mutation { one: poke(id: "2") { handle } two: poke(id: "1") { handle } none: poke(id: "0") { handle } three: poked(id: "2") { body author { handle } } }',
    );
    const three = { body: 'poked', author: null };
    expect(data).toEqual({ one: null, two: { handle: 'user1' }, none: null, three });
    expect(errors).toMatchObject([{ path: ['one'], extensions: { code: 'DONE_NOT_SHOWN' } }]);
    expect(errors).toHaveLength(1);
    const hard = await graph.ask('mutation { pokeHard(id: "2") { handle } }');
    expect(hard.data).toBeNull();
    expect(hard.errors).toMatchObject([{ path: ['pokeHard'], extensions: { code: 'DONE_NOT_SHOWN' } }]);
  });

  it('where a mutation was done to one of several, at that one', async () => {
    const { data, errors } = await graph.ask(
      'mutation { all: pokeAll(ids: ["2", "1", "0"]) { handle } each: pokeEach(ids: ["1", "2"]) { handle } }',
    );
    expect(data).toEqual({ all: [null, { handle: 'user1' }, null], each: null });
    expect(errors?.map(({ path, extensions }) => [path, extensions.code])).toEqual([
      [['all', 0], 'DONE_NOT_SHOWN'],
      [['each', 1], 'DONE_NOT_SHOWN'],
    ]);
  });

  it('which sends nobody to do a mutation again that is done, where who is asked below it is away or talks of nothing', async () => {
    const codes = async (of: typeof graph, query: string, instead: AskOptions['instead'] = {}) =>
      (await of.ask(query, { instead })).errors?.map(({ path, extensions }) => [path, extensions.code]);
    const down = () => new Failure('SUBGRAPH_UNAVAILABLE');
    const gone = await codes(graph, 'mutation { poke(id: "2") { handle followers } }', { follows: down });
    expect(gone).toEqual([
      [['poke'], 'DONE_NOT_SHOWN'],
      [['poke'], 'DONE_NOT_SHOWN'],
    ]);
    const errors = [{ message: 'no', path: ['_entities'], extensions: { code: 'SUBGRAPH_UNAVAILABLE' } }];
    const vague = () => JSON.stringify({ data: { _entities: [null] }, errors });
    expect(await codes(graph, 'mutation { poke(id: "1") { handle } }', { users: vague })).toEqual([
      [['poke', 'handle'], 'SUBGRAPH_UNAVAILABLE'],
    ]);
    const rated = federate({
      books: {
        sdl: `interface Media @key(fields: "id") { id: ID! } type Book implements Media @key(fields: "id") { id: ID! } type Query { book: Book }`,
      },
      ratings: {
        sdl: `type Media @key(fields: "id") @interfaceObject { id: ID! rating: Int } type Mutation { rate(id: ID!): Media }`,
        resolvers: { Mutation: { rate: (_: unknown, { id }: { id: string }) => ({ id, rating: 5 }) } },
      },
    });
    const unknown = await codes(rated, 'mutation { rate(id: "1") { __typename rating } }', { books: down });
    await rated.close();
    expect(unknown?.filter(([path]) => path!.length < 2).map(([, code]) => code)).toEqual(
      unknown?.map(() => 'DONE_NOT_SHOWN'),
    );
    expect(unknown).not.toHaveLength(0);
  });

  it('which sends nobody to do a mutation again, where who is asked only what it is talks of nothing, or of something that is there', async () => {
    const rated = federate({
      books: {
        sdl: `interface Media @key(fields: "id") { id: ID! } type Book implements Media @key(fields: "id") { id: ID! } type Query { book: Book }`,
      },
      ratings: {
        sdl: `type Media @key(fields: "id") @interfaceObject { id: ID! rating: Int } type Mutation { rate(id: ID!): Media } type Query { rated: Media }`,
        resolvers: {
          Mutation: { rate: (_: unknown, { id }: { id: string }) => ({ id, rating: 5 }) },
          Query: { rated: () => ({ id: '1', rating: 5 }) },
        },
      },
    });
    const book = { __typename: 'Book' };
    const told = async (query: string, path: (string | number)[] | undefined, entity: object | null) => {
      const errors = [{ message: 'no', ...(path && { path }), extensions: { code: 'SUBGRAPH_UNAVAILABLE' } }];
      const answer = JSON.stringify({ data: { _entities: [entity] }, errors });
      const { errors: shown = [] } = await rated.ask(query, { instead: { books: () => answer } });
      return shown.map(({ path: at, extensions }) => [at, extensions.code]);
    };
    const [mutation, query] = ['mutation { rate(id: "1") { __typename } }', '{ rated { __typename } }'];
    for (const [path, entity] of [
      [undefined, book],
      [['_entities'], book],
      [['_entities', 0], book],
      [['_entities'], null],
    ] as const) {
      const at = path && [...path];
      const shown = await told(mutation, at, entity);
      expect(shown).not.toHaveLength(0);
      expect(shown).toEqual(shown.map(() => [['rate'], 'DONE_NOT_SHOWN']));
      const control = await told(query, at, entity);
      expect(control).toContainEqual([['rated'], 'SUBGRAPH_UNAVAILABLE']);
    }
    await rated.close();
  });

  it('where the service failed over it', async () => {
    const { data, errors } = await graph.ask('{ troubled { author { handle } } }');
    expect(data).toEqual({ troubled: { author: null } });
    expect(errors).toMatchObject([
      { path: ['troubled', 'author', 'handle'], extensions: { code: 'INTERNAL_SERVER_ERROR' } },
    ]);
  });

  it('where the service is away, and where another one is that had to say something', async () => {
    const down = () => new Failure('SUBGRAPH_UNAVAILABLE');
    const one = await graph.ask('{ feed { author { handle } } }', { instead: { users: down } });
    expect(one.data).toEqual({ feed: [1, 2, 3].map(() => ({ author: null })) });
    expect(one.errors).toHaveLength(3);
    const other = await graph.ask('{ feed { author { handle followers } } }', { instead: { follows: down } });
    expect(other.data).toEqual({ feed: [1, 2, 3].map(() => ({ author: null })) });
    expect(other.errors?.map(({ path }) => path.slice(0, 2))).toEqual([
      ['feed', 0],
      ['feed', 2],
    ]);
  });

  it('where the service knows them and has no value, or one of another type', async () => {
    const answering = (handle: unknown) => ({
      instead: { users: () => JSON.stringify({ data: { _entities: [{ handle }, null] } }) },
    });
    for (const wrong of [null, { a: 1 }]) {
      const { data, errors } = await graph.ask('{ all { handle } }', answering(wrong));
      expect(data).toEqual({ all: null });
      expect(errors).toMatchObject([{ path: ['all', 0, 'handle'], extensions: { code: 'SUBGRAPH_BAD_RESPONSE' } }]);
    }
  });
});

describe('what the entity cache keeps', () => {
  it('of who is not there answers as the service does: null, no error, and nobody is asked again', async () => {
    const kept = federate({
      users: {
        sdl: `${HINTS} type User @key(fields: "id") { id: ID! handle: String! @cacheControl(maxAge: 60) }`,
        resolvers: { User: { __resolveReference: () => null } },
      },
      posts: {
        sdl: `${HINTS} type Query { post: Post @cacheControl(maxAge: 60) } type Post { author: User @cacheControl(maxAge: 60) }
          type User @key(fields: "id") { id: ID! }`,
        resolvers: { Query: { post: () => ({ author: { id: '2' } }) } },
      },
    });
    const entities = new EntityCache({ records: openRecordCache({ clock: () => 1_000_000 }), random: () => 0.5 });
    const asked = [];
    for (let times = 0; times < 3; times += 1) {
      const { data, errors, calls } = await kept.ask('{ post { author { handle } } }', { entities });
      await entities.settled();
      asked.push({ data, errors, calls: calls.map(({ subgraph }) => subgraph) });
    }
    await kept.close();
    const data = { post: { author: null } };
    expect(asked).toEqual([['posts', 'users'], [], []].map((calls) => ({ data, errors: undefined, calls })));
  });
});

describe('ApolloGateway itself', () => {
  it('answers the same data and no errors; why it is null it says in extensions.valueCompletion', async () => {
    process.env['APOLLO_TELEMETRY_DISABLED'] = '1';
    const gateway = new ApolloGateway({
      supergraphSdl: graph.supergraph.sdl,
      buildService: ({ name }) => {
        const { sdl, resolvers = {} } = fixtures[name!]!;
        return new LocalGraphQLDataSource(
          withResolvers(buildSubgraphSchema({ typeDefs: parse(LINK + sdl) }), resolvers),
        );
      },
    });
    const { executor } = await gateway.load();
    const query = '{ feed { author { handle } } }';
    const document = parse(query);
    const [operation] = document.definitions;
    if (operation?.kind !== Kind.OPERATION_DEFINITION) throw new Error('no operation');
    const request = {
      request: { query, variables: {} },
      document,
      operation,
      operationName: null,
      queryHash: query,
      source: query,
      schema: graph.supergraph.schema,
      context: {},
      metrics: {},
      cache: undefined,
      logger: console,
    };
    const result = (await executor(request as never)) as unknown;
    await gateway.stop();
    expect(JSON.parse(JSON.stringify(result))).toEqual({
      data: { feed: [{ author: { handle: 'user1' } }, { author: null }, { author: { handle: 'user1' } }] },
      extensions: {
        valueCompletion: [
          {
            message: 'Cannot return null for non-nullable field User.handle.',
            path: ['feed', 1, 'author', 'handle'],
            extensions: { code: 'INVALID_GRAPHQL' },
          },
        ],
      },
    });
  });
});
