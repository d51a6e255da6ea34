import { describe, expect, it } from '@jest/globals';
import { parse } from 'graphql';
import type { Required, Rewrite } from '../plan/plan.js';
import { Asking } from './asking.js';
import type { CompiledEntities, Unit } from './compile.js';
import type { Json, JsonObject } from './json.js';
import { Representer } from './representation.js';
import { TypeFamilies } from './types.js';

const families = new TypeFamilies(
  parse('interface Media { id: ID! } type Book implements Media { id: ID! } type Film implements Media { id: ID! }'),
);
const field = (name: string, selections?: readonly Required[]): Required => ({
  kind: 'field',
  read: name,
  name,
  selections,
});

/** What is sent for the entities, and which of them wait for each. */
function ask(entities: readonly JsonObject[], fields: readonly string[], rewrites: readonly Rewrite[] = []) {
  const represent = new Representer(
    ['__typename', ...fields].map((name) => field(name)),
    rewrites,
    families,
  );
  const asking = new Asking({} as CompiledEntities, { represent, shared: true } as Unit, undefined, new Map());
  for (const entity of entities) asking.add(entity, 0);
  const { representations, targets } = asking.part;
  return {
    starved: asking.starved,
    sent: representations.map((text) => JSON.parse(text) as Json),
    waiting: targets.map((list) => list.map((entity) => entities.indexOf(entity))),
  };
}
const book = (more: JsonObject): JsonObject => ({ __typename: 'Book', ...more });

describe('what is asked about', () => {
  it('is asked once, however many places wait for it', () => {
    const { sent, waiting } = ask([book({ id: '1' }), book({ id: '2' }), book({ id: '1' }), book({ id: '1' })], ['id']);
    expect(sent).toEqual([
      { __typename: 'Book', id: '1' },
      { __typename: 'Book', id: '2' },
    ]);
    expect(waiting).toEqual([[0, 2, 3], [1]]);
  });

  it('is another thing when anything in it differs, with the same first key as well; control: by that key alone it is not', () => {
    const entities = [
      book({ id: '1', price: 5 }),
      book({ id: '1', price: 6 }),
      book({ id: '1', price: 5 }),
      book({ id: '1', price: 6 }),
      book({ id: '1', price: null }),
      book({ id: '1', price: '5' }),
    ];
    expect(ask(entities, ['id', 'price']).waiting).toEqual([[0, 2], [1, 3], [4], [5]]);
    expect(new Set(entities.map(({ id }) => id)).size).toBe(1);
  });

  it.each<[string, Json, Json]>([
    ['a number and its text', 1, '1'],
    ['true and its text', true, 'true'],
    ['two objects', { a: 1 }, { a: 2 }],
    ['two lists', [1, 2], [1, 3]],
    ['texts that only escaping tells apart', 'a"', 'a\\"'],
  ])('%s are two keys', (_name, one, other) => {
    expect(ask([book({ id: one }), book({ id: other })], ['id']).sent.length).toBe(2);
  });

  it.each<[string, Json]>([
    ['an object', { a: [1, 'é'] }],
    ['a list', ['x']],
    ['null', null],
    ['a fraction', 1.5],
    ['a large number', 1e21],
    ['a negative one', -7],
    ['a text of any language', 'žluťoučký 🐴 "\n\u2028'],
    ['half a surrogate', '\ud800'],
    ['a long text', 'long '.repeat(100)],
  ])('%s is a key like others: sent as it came, and once', (_name, id) => {
    const copy = JSON.parse(JSON.stringify(id)) as Json;
    expect(ask([book({ id, n: 1 }), book({ id: copy, n: 1 })], ['id', 'n'])).toMatchObject({
      sent: [{ id, n: 1 }],
      waiting: [[0, 1]],
    });
  });

  it('objects beside a plain key are compared whole', () => {
    const size = (n: number): Json => ({ n });
    const entities = [size(1), size(1), size(2), size(1)].map((it) => book({ id: '1', size: it }));
    expect(ask(entities, ['id', 'size']).waiting).toEqual([[0, 1, 3], [2]]);
  });

  it('types that are represented alike are one (an @interfaceObject knows only the interface)', () => {
    const rewrite: Rewrite = { kind: 'set', path: [{ kind: 'key', key: '__typename' }], value: 'Media' };
    const entities = [book({ id: '1' }), { __typename: 'Film', id: '1' }];
    expect(ask(entities, ['id'], [rewrite]).waiting).toEqual([[0, 1]]);
    expect(ask(entities, ['id']).waiting).toEqual([[0], [1]]);
  });

  it('is not asked about without what its representation needs', () => {
    expect(ask([book({ id: '1' }), book({}), book({ id: '1' })], ['id'])).toMatchObject({
      starved: true,
      waiting: [[0, 2]],
    });
  });
});
