import { afterAll, describe, expect, it } from '@jest/globals';
import { everyWay, planOf } from './every-way.js';
import { federate } from './harness.js';

const graph = federate({
  a: {
    sdl: `type Query { users: [User] usersByType(type: UserType): [User] find(filter: Filter): String } enum UserType { ADMIN MEMBER @inaccessible REGULAR } enum Color { RED GREEN } input Filter { first: Int type: UserType a: String deep: Deep } input Deep { n: Int! = 1 only: String }
      type User @key(fields: "id") { id: ID! type: UserType color: Color }`,
    resolvers: {
      Query: {
        users: () => [
          { id: 'u1', type: 'ADMIN', color: 'RED' },
          { id: 'u2', type: 'MEMBER', color: 'GREEN' },
        ],
        usersByType: (_: unknown, { type }: { type: string }) => [{ id: 'u1', type }],
        find: (_: unknown, { filter }: { filter: object }) => JSON.stringify(filter),
      },
      User: { __resolveReference: ({ id }: { id: string }) => ({ id, type: 'ADMIN' }) },
    },
  },
  b: {
    sdl: `enum UserType { ADMIN MEMBER REGULAR } enum Color { RED GREEN BLUE } input Filter { first: Int type: UserType } type Query { blue: Color other(filter: Filter): String } type User @key(fields: "id") { id: ID! typeInB: UserType }`,
    resolvers: {
      Query: { blue: () => 'BLUE', other: (_: unknown, { filter }: { filter: object }) => JSON.stringify(filter) },
      User: { typeInB: ({ id }: { id: string }) => (id === 'u2' ? 'MEMBER' : 'ADMIN') },
    },
  },
});
afterAll(() => graph.close());

describe('enums', () => {
  it('a value that only some services have comes through; one that is inaccessible is null with an error', async () => {
    await everyWay(graph, '{ blue users { id color } }', {
      data: {
        blue: 'BLUE',
        users: [
          { id: 'u1', color: 'RED' },
          { id: 'u2', color: 'GREEN' },
        ],
      },
    });
    await everyWay(graph, '{ users { id type typeInB } }', {
      data: {
        users: [
          { id: 'u1', type: 'ADMIN', typeInB: 'ADMIN' },
          { id: 'u2', type: null, typeInB: null },
        ],
      },
      errors: ['users.1.type', 'users.1.typeInB'],
    });
  });

  it('is planned so', async () =>
    expect(await planOf(graph, '{ users { color typeInB } }')).toMatchInlineSnapshot(`
     "in order
       query a
         {
           users {
             __typename
             color
             id
           }
         }
       entities b
         at users.* by { ... on User { __typename id } }
         query ($representations: [_Any!]!) {
           _entities(representations: $representations) {
             ... on User {
               typeInB
             }
           }
         }"
    `));

  it('as an input, only what every service has is taken', async () => {
    await everyWay(graph, '{ usersByType(type: ADMIN) { id type } }', {
      data: { usersByType: [{ id: 'u1', type: 'ADMIN' }] },
    });
    await everyWay(graph, 'query ($type: UserType) { usersByType(type: $type) { type } }', {
      variables: { type: 'REGULAR' },
      data: { usersByType: [{ type: 'REGULAR' }] },
    });
    await expect(graph.ask('{ usersByType(type: MEMBER) { id } }')).rejects.toThrow('MEMBER');
  });
});

describe('input objects', () => {
  it('are the intersection of what the services take', async () => {
    await everyWay(graph, '{ find(filter: { first: 1, type: ADMIN }) other(filter: { first: 2 }) }', {
      data: { find: '{"first":1,"type":"ADMIN"}', other: '{"first":2}' },
    });
    await expect(graph.ask('{ find(filter: { a: "x" }) }')).rejects.toThrow('"a"');
  });

  it('are planned so', async () =>
    expect(await planOf(graph, '{ find(filter: { first: 1, type: ADMIN }) other(filter: { first: 2 }) }'))
      .toMatchInlineSnapshot(`
     "at once
       query b
         query ($_lit1: Filter) {
           other(filter: $_lit1)
         }
       query a
         query ($_lit0: Filter) {
           find(filter: $_lit0)
         }"
    `));
});

describe('variables', () => {
  const texts = federate({
    a: {
      sdl: `type Query { text: Text } type Text @key(fields: "id") { id: ID! next: Text }`,
      resolvers: { Query: { text: () => ({ id: '1' }) }, Text: { next: () => ({ id: '2' }) } },
    },
    b: {
      sdl: `type Text @key(fields: "id") { id: ID! line(n: Int = 1): String }`,
      resolvers: { Text: { line: ({ id }: { id: string }, { n }: { n: number }) => `${id}:${n}` } },
    },
  });
  afterAll(() => texts.close());

  it('may have the names that the gateway uses towards subgraphs', () =>
    everyWay(
      texts,
      'query ($representations: Int, $_r0: Int, $_r1: Int = 6, $__batch_reps_0: Int) { text { line(n: $representations) a: line(n: $__batch_reps_0) next { line(n: $_r0) b: line(n: $_r1) } } }',
      {
        variables: { representations: 4, _r0: 5, __batch_reps_0: 7 },
        data: { text: { line: '1:4', a: '1:7', next: { line: '2:5', b: '2:6' } } },
        stock: 'wrong',
      },
    ));

  it('null is no answer to @include, also where a default lets the variable be nullable', async () => {
    const query = 'query ($more: Boolean = true) { text { id line @include(if: $more) } }';
    expect((await texts.ask(query)).data).toEqual({ text: { id: '1', line: '1:1' } });
    await expect(texts.ask(query, { variables: { more: null } })).rejects.toMatchObject({
      code: 'BAD_USER_INPUT',
      more: { errors: [{ message: expect.stringContaining('"$more"') as unknown }] },
    });
  });
});
