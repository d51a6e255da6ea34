import { afterAll, describe, expect, it } from '@jest/globals';
import { everyWay, planOf } from './every-way.js';
import { federate } from './harness.js';

describe('@override', () => {
  const graph = federate({
    old: {
      sdl: `type Query { feed: [Post] images: [Image!]! } interface Post { id: ID! createdAt: String! } type Image implements Post @key(fields: "id") { id: ID! createdAt: String! width: Int @shareable }
        type Text implements Post @key(fields: "id") { id: ID! createdAt: String! }`,
      resolvers: {
        Query: {
          feed: () => [
            { __typename: 'Image', id: 'i1' },
            { __typename: 'Text', id: 't1' },
          ],
          images: () => [{ id: 'i1' }],
        },
        Image: { __resolveReference: (image: unknown) => image, createdAt: () => 'old', width: () => 100 },
        Text: { __resolveReference: (text: unknown) => text, createdAt: () => 'old' },
      },
    },
    new: {
      sdl: `type Query { another: [Post] } interface Post { id: ID! createdAt: String! } type Image implements Post @key(fields: "id") { id: ID! createdAt: String! @override(from: "old") width: Int @override(from: "gone") @shareable }
        type Text implements Post @key(fields: "id") { id: ID! createdAt: String! @override(from: "old") body: String! }`,
      resolvers: {
        Query: { another: () => [{ __typename: 'Text', id: 't1' }] },
        Image: { createdAt: () => 'new', width: () => 200 },
        Text: { createdAt: () => 'new', body: () => 'Hi' },
      },
    },
  });
  afterAll(() => graph.close());

  it('is planned so', async () =>
    expect(await planOf(graph, '{ images { createdAt width } another { createdAt } }')).toMatchInlineSnapshot(`
     "in order
       at once
         query new
           {
             another {
               __typename
               createdAt
             }
           }
         query old
           {
             images {
               __typename
               id
               width
             }
           }
       entities new
         at images.* by { ... on Image { __typename id } }
         query ($representations: [_Any!]!) {
           _entities(representations: $representations) {
             ... on Image {
               createdAt
             }
           }
         }"
    `));

  it('a field is asked where it moved to, on interfaces too', () =>
    everyWay(graph, '{ images { createdAt } another { createdAt id } feed { createdAt id } }', {
      data: {
        images: [{ createdAt: 'new' }],
        another: [{ createdAt: 'new', id: 't1' }],
        feed: [
          { createdAt: 'new', id: 'i1' },
          { createdAt: 'new', id: 't1' },
        ],
      },
    }));
});

describe('progressive @override', () => {
  const graph = federate({
    old: {
      sdl: `type Query { items: [Item!]! } type Item @key(fields: "id") { id: ID! price: String stock: String }`,
      resolvers: {
        Query: { items: () => [{ id: '1' }] },
        Item: { __resolveReference: (item: unknown) => item, price: () => 'old', stock: () => 'old' },
      },
    },
    new: {
      sdl: `type Item @key(fields: "id") { id: ID! price: String @override(from: "old", label: "prices") stock: String @override(from: "old", label: "percent(25)") }`,
      resolvers: { Item: { price: () => 'new', stock: () => 'new' } },
    },
  });
  afterAll(() => graph.close());
  const query = '{ items { price stock } }';

  it.each(['native', 'apollo'] as const)('%s: a label decides, and a percentage throws', async (planner) => {
    const ask = async (overrideLabels: string[], thrown: number) =>
      (await graph.ask(query, { planner, overrideLabels, random: () => thrown })).data;
    expect(await ask([], 0.5)).toEqual({ items: [{ price: 'old', stock: 'old' }] });
    expect(await ask(['prices'], 0.5)).toEqual({ items: [{ price: 'new', stock: 'old' }] });
    expect(await ask([], 0.2)).toEqual({ items: [{ price: 'old', stock: 'new' }] });
    expect(await ask(['prices'], 0.2)).toEqual({ items: [{ price: 'new', stock: 'new' }] });
  });

  it('is planned so while neither is on', async () =>
    expect(await planOf(graph, query)).toMatchInlineSnapshot(`
     "query old
       {
         items {
           price
           stock
         }
       }"
    `));

  it('and so with the label', async () =>
    expect(await planOf(graph, query, { overrideLabels: ['prices'] })).toMatchInlineSnapshot(`
     "in order
       query old
         {
           items {
             __typename
             id
             stock
           }
         }
       entities new
         at items.* by { ... on Item { __typename id } }
         query ($representations: [_Any!]!) {
           _entities(representations: $representations) {
             ... on Item {
               price
             }
           }
         }"
    `));

  it('and so for the quarter', async () =>
    expect(await planOf(graph, query, { random: () => 0.2 })).toMatchInlineSnapshot(`
     "in order
       query old
         {
           items {
             __typename
             price
             id
           }
         }
       entities new
         at items.* by { ... on Item { __typename id } }
         query ($representations: [_Any!]!) {
           _entities(representations: $representations) {
             ... on Item {
               stock
             }
           }
         }"
    `));
});

describe('progressive @override behind an interface', () => {
  const things = federate({
    old: {
      sdl: `type Query { things: [Thing!]! } interface Thing { id: ID! price: String } type Item implements Thing @key(fields: "id") { id: ID! price: String } type Plain implements Thing { id: ID! price: String }`,
      resolvers: {
        Query: {
          things: () => [
            { __typename: 'Item', id: '1', price: 'old' },
            { __typename: 'Plain', id: '2', price: 'plain' },
          ],
        },
        Item: { __resolveReference: (item: unknown) => item },
      },
    },
    new: {
      sdl: `type Item @key(fields: "id") { id: ID! price: String @override(from: "old", label: "prices") }`,
      resolvers: { Item: { price: () => 'new' } },
    },
  });
  afterAll(() => things.close());

  it.each(['native', 'apollo'] as const)('%s: each type is asked where its field is', async (planner) => {
    const query = '{ things { price id } }';
    const ask = async (overrideLabels: string[]) => (await things.ask(query, { planner, overrideLabels })).data;
    const plain = { id: '2', price: 'plain' };
    expect(await ask([])).toEqual({ things: [{ id: '1', price: 'old' }, plain] });
    expect(await ask(['prices'])).toEqual({ things: [{ id: '1', price: 'new' }, plain] });
  });
});
