import { afterAll, describe, expect, it } from '@jest/globals';
import { everyWay, planOf } from './every-way.js';
import { federate } from './harness.js';

describe('@provides', () => {
  const graph = federate({
    store: {
      sdl: `type Query { featured: [Product!]! @provides(fields: "name category { label }") all: [Product!]! media: [Media!]! @provides(fields: "... on Book { title }") shelf: [Animal!]! @provides(fields: "... on Dog { name } ... on Cat { name }") }
        type Product @key(fields: "id") { id: ID! name: String! @external category: Category @external } type Category @key(fields: "id") { id: ID! label: String! @external }
        union Media = Book | Film type Book @key(fields: "id") { id: ID! title: String! @external } type Film @key(fields: "id") { id: ID! }
        interface Animal { id: ID! name: String } type Dog implements Animal @key(fields: "id") { id: ID! name: String @external } type Cat implements Animal @key(fields: "id") { id: ID! name: String @external }`,
      resolvers: {
        Query: {
          featured: () => [{ id: '1', name: 'from the store', category: { id: 'c', label: 'from the store' } }],
          all: () => [{ id: '1' }],
          media: () => [
            { __typename: 'Book', id: 'b', title: 'from the store' },
            { __typename: 'Film', id: 'f' },
          ],
          shelf: () => [
            { __typename: 'Dog', id: 'd', name: 'from the store' },
            { __typename: 'Cat', id: 'k', name: 'from the store' },
          ],
        },
      },
    },
    names: {
      sdl: `type Product @key(fields: "id") { id: ID! name: String! @shareable category: Category @shareable } type Category @key(fields: "id") { id: ID! label: String! @shareable }
        type Book @key(fields: "id") { id: ID! title: String! @shareable } type Film @key(fields: "id") { id: ID! title: String! @shareable }
        type Dog @key(fields: "id") { id: ID! name: String @shareable age: Int } type Cat @key(fields: "id") { id: ID! name: String @shareable age: Int }`,
      resolvers: {
        Product: { name: () => 'from names', category: () => ({ id: 'c', label: 'from names' }) },
        Category: { label: () => 'from names' },
        Book: { title: () => 'from names' },
        Film: { title: () => 'from names' },
        Dog: { name: () => 'from names', age: () => 3 },
        Cat: { name: () => 'from names', age: () => 9 },
      },
    },
  });
  afterAll(() => graph.close());

  it('what a field provides is taken from it, on objects', async () => {
    await everyWay(graph, '{ featured { name category { label } } }', {
      data: { featured: [{ name: 'from the store', category: { label: 'from the store' } }] },
    });
    const { calls } = await graph.ask('{ featured { name category { label } } }');
    expect(calls).toHaveLength(1);
  });

  it('is planned so', async () =>
    expect(await planOf(graph, '{ featured { name } all { name } }')).toMatchInlineSnapshot(`
     "in order
       query store
         {
           featured {
             name
           }
           all {
             __typename
             id
           }
         }
       entities names
         at all.* by { ... on Product { __typename id } }
         query ($representations: [_Any!]!) {
           _entities(representations: $representations) {
             ... on Product {
               name
             }
           }
         }"
    `));

  it('elsewhere it is asked of its owner', () =>
    everyWay(graph, '{ all { name category { label } } }', {
      data: { all: [{ name: 'from names', category: { label: 'from names' } }] },
    }));

  it('on members of a union', async () => {
    await everyWay(graph, '{ media { ... on Book { title } ... on Film { title } } }', {
      data: { media: [{ title: 'from the store' }, { title: 'from names' }] },
    });
    expect(await planOf(graph, '{ media { ... on Book { title } ... on Film { title } } }')).toMatchInlineSnapshot(`
     "in order
       query store
         {
           media {
             __typename
             ... on Book {
               title
             }
             ... on Film {
               __typename
               id
             }
           }
         }
       entities names
         at media.*<Film> by { ... on Film { __typename id } }
         query ($representations: [_Any!]!) {
           _entities(representations: $representations) {
             ... on Film {
               title
             }
           }
         }"
    `);
  });

  it('on implementations of an interface', async () => {
    await everyWay(graph, '{ shelf { id ... on Dog { name age } ... on Cat { name } } }', {
      data: {
        shelf: [
          { id: 'd', name: 'from the store', age: 3 },
          { id: 'k', name: 'from the store' },
        ],
      },
    });
    expect(await planOf(graph, '{ shelf { id ... on Dog { name age } ... on Cat { name } } }')).toMatchInlineSnapshot(`
     "in order
       query store
         {
           shelf {
             id
             __typename
             ... on Dog {
               __typename
               id
               name
             }
             ... on Cat {
               name
             }
           }
         }
       entities names
         at shelf.*<Dog> by { ... on Dog { __typename id } }
         query ($representations: [_Any!]!) {
           _entities(representations: $representations) {
             ... on Dog {
               age
             }
           }
         }"
    `);
  });
});
