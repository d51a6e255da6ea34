import { buildSubgraphSchema } from '@apollo/subgraph';
import { describe, expect, it } from '@jest/globals';
import { execute, getOperationAST, parse, type DocumentNode, type OperationDefinitionNode } from 'graphql';
import type { RequestContext } from './context.js';
import { CopiesInSchema, type Copies } from './copies.js';
import { guardEntities } from './entities.js';

const SDL = parse(`
  extend schema @link(url: "https://specs.apollo.dev/federation/v2.9", import: ["@key"])
  type Query { post(id: ID!): Post  trending: [Post]  me: User }
  type Mutation { like(id: ID!): Post  edit(id: ID!): Post }
  type Post @key(fields: "id") { id: ID! body: String! replies: [Post] author: User }
  type User @key(fields: "id") { id: ID! name: String }`);

const COPIES: Copies = {
  'Query.post': ['relation'],
  'Query.trending': ['relation', 'user'],
  'Query.me': [],
  'Mutation.like': ['relation'],
  'Mutation.edit': [],
  Post: ['relation'],
  'Post.replies': ['relation'],
  User: ['user'],
};

const schemaWith = (copies: Copies) => {
  const own = new CopiesInSchema(copies);
  const post = { __typename: 'Post', id: '1', body: 'hello' };
  const schema = buildSubgraphSchema({
    typeDefs: SDL,
    resolvers: {
      Query: { post: () => post, trending: () => [post], me: () => ({ id: 'a', name: 'Ann' }) },
      Mutation: { like: () => post, edit: () => post },
      Post: { __resolveReference: () => post, replies: () => [], author: () => ({ id: 'a', name: 'Ann' }) },
      User: { __resolveReference: ({ id }: { id: string }) => ({ id, name: 'Ann' }) },
    },
  });
  return { own, schema: guardEntities(own.guard(schema)) };
};

describe('of what others own, an operation needs', () => {
  const { own, schema } = schemaWith(COPIES);
  const needs = (query: string) => {
    const document: DocumentNode = parse(query);
    const { all, toMutate } = own.of(schema, document, getOperationAST(document) as OperationDefinitionNode);
    return { all: [...all].sort(), toMutate: [...toMutate].sort() };
  };

  it.each<[string, string[], string[]?]>([
    ['{ me { id name } }', []],
    ['{ me { id } post(id: "1") { body } }', ['relation']],
    ['{ x: trending { id } }', ['relation', 'user']],
    ['mutation { edit(id: "1") { body author { name } } }', []],
    ['mutation { edit(id: "1") { replies { id } } }', ['relation']],
    ['mutation { edit(id: "1") { ...more } } fragment more on Post { replies { id } }', ['relation']],
    ['mutation { like(id: "1") { id } }', ['relation'], ['relation']],
    ['mutation { edit(id: "1") { id } ...more } fragment more on Mutation { like(id: "1") { id } }', ['relation'], ['relation']], // prettier-ignore
    ['{ _entities(representations: []) { ... on Post { body } } }', ['relation']],
    ['{ _entities(representations: []) { ...more } } fragment more on User { name }', ['user']],
    ['{ __typename _service { sdl } }', []],
  ])('%s: %j', (query, all, toMutate = []) => {
    expect(needs(query)).toEqual({ all, toMutate });
    // Asked again, it is the same.
    expect(needs(query)).toEqual({ all, toMutate });
  });
});

describe('where a copy is behind', () => {
  const { schema } = schemaWith(COPIES);
  const ask = async (query: string, behind?: readonly string[]) => {
    const contextValue = { behind: behind && new Set(behind) } as unknown as RequestContext;
    const { data, errors = [] } = await execute({ schema, document: parse(query), contextValue });
    // Without the prototypes that graphql leaves away.
    return { data: JSON.parse(JSON.stringify(data)) as unknown, refused: errors.map(({ path }) => path?.join('.')) };
  };
  const QUERY = '{ me { name } post(id: "1") { body } }';
  const ENTITIES = `{ _entities(representations: [{ __typename: "Post", id: "1" }, { __typename: "User", id: "a" }]) {
    ... on Post { body } ... on User { name } } }`;

  it('the fields that need it are refused, and no others; control: where none is, all are answered', async () => {
    const answered = { me: { name: 'Ann' }, post: { body: 'hello' } };
    expect(await ask(QUERY, ['relation'])).toEqual({ data: { ...answered, post: null }, refused: ['post'] });
    expect(await ask(QUERY, ['like'])).toEqual({ data: answered, refused: [] });
    expect(await ask(QUERY)).toEqual({ data: answered, refused: [] });
  });

  it('so are those of what a mutation answers, which is done; control: where none is, all are answered', async () => {
    const edit = 'mutation { edit(id: "1") { body replies { id } } }';
    const edited = { edit: { body: 'hello', replies: [] } };
    expect(await ask(edit, ['relation'])).toEqual({
      data: { edit: { ...edited.edit, replies: null } },
      refused: ['edit.replies'],
    });
    expect(await ask(edit)).toEqual({ data: edited, refused: [] });
  });

  it('so are entities that are asked for by their keys, each alone', async () => {
    expect(await ask(ENTITIES, ['user'])).toEqual({
      data: { _entities: [{ body: 'hello' }, null] },
      refused: ['_entities.1'],
    });
  });
});

describe('what is declared', () => {
  it.each<[string, Copies, string]>([
    ['a root field that says nothing', omit('Query.me'), 'Query.me does not say'],
    ['a mutation that says nothing', omit('Mutation.edit'), 'Mutation.edit does not say'],
    ['an entity that says nothing', omit('User'), 'User does not say'],
    ['a field that does not exist', { ...COPIES, 'Post.reply': [] }, 'there is no Post.reply'],
  ])('is complete: %s is told when the service starts', (_, copies, why) => {
    expect(() => schemaWith(copies)).toThrow(why);
  });
});

function omit(name: string): Copies {
  return Object.fromEntries(Object.entries(COPIES).filter(([one]) => one !== name));
}
