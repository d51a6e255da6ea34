import { Kind, type SelectionSetNode, type ValueNode } from 'graphql';
import { digitsOf, hasMarked } from '../run/exact-numbers.js';
import { isObject, type Json, type JsonObject } from '../run/json.js';
import type { FieldShape, Fields, Shape } from './shape.js';

type Variable = (name: string) => string | undefined;

/**
 * Kept values do not know the operation that brought them: fields stand under their own name and arguments, and an entity within is
 * `{ $ref: [type, key] }`, its fields in a record of their own. No field of GraphQL begins with `$`.
 */
export interface Ref {
  readonly $ref: readonly [type: string, key: JsonObject];
}

export const missing: unique symbol = Symbol('missing');

/** `posts({"first":20})`: a field with its arguments as they came; one that was left out stays out. */
export function fieldText(field: FieldShape, variable: Variable): string {
  if (field.arguments.length === 0) return field.name;
  const given = field.arguments.flatMap(([name, value]) => {
    const text = valueText(value, variable);
    return text === undefined ? [] : [`${JSON.stringify(name)}:${text}`];
  });
  return `${field.name}({${given.join(',')}})`;
}

export function valueText(value: ValueNode, variable: Variable): string | undefined {
  switch (value.kind) {
    case Kind.VARIABLE:
      return variable(value.name.value);
    case Kind.STRING:
      return JSON.stringify(value.value);
    // Not to be mistaken for the string of the same name.
    case Kind.ENUM:
      return value.value;
    case Kind.INT:
    case Kind.FLOAT:
      return value.value;
    case Kind.BOOLEAN:
      return String(value.value);
    case Kind.NULL:
      return 'null';
    case Kind.LIST:
      return `[${value.values.map((item) => valueText(item, variable) ?? 'null').join(',')}]`;
    case Kind.OBJECT:
      return `{${value.fields
        .flatMap((field) => {
          const text = valueText(field.value, variable);
          return text === undefined ? [] : [`${JSON.stringify(field.name.value)}:${text}`];
        })
        .sort()
        .join(',')}}`;
  }
}

/** The key of an object, in one spelling; undefined when some of it is not there. */
export function keyOf(set: SelectionSetNode, object: JsonObject): JsonObject | undefined {
  const key: JsonObject = {};
  const names = set.selections.flatMap((one) => (one.kind === Kind.FIELD ? [one] : []));
  for (const { name, selectionSet } of names.sort((one, other) => (one.name.value < other.name.value ? -1 : 1))) {
    const value = Object.hasOwn(object, name.value) ? object[name.value] : undefined;
    if (value === undefined || value === null) return undefined;
    if (!selectionSet) key[name.value] = value;
    else {
      const inner = isObject(value) ? keyOf(selectionSet, value) : undefined;
      if (!inner) return undefined;
      key[name.value] = inner;
    }
  }
  return key;
}

/** Every entity in an answer, by each of its keys that it tells. */
export function entitiesIn(
  shape: Shape,
  value: Json | undefined,
  tell: (fields: Fields, key: JsonObject) => void,
): void {
  if (typeof value !== 'object' || value === null) return;
  if (Array.isArray(value)) {
    for (const item of value) entitiesIn(shape, item, tell);
    return;
  }
  const typename = typeof value['__typename'] === 'string' ? value['__typename'] : shape.only;
  if (typename === undefined) return;
  const fields = shape.of(typename);
  for (const { set } of fields.keys) {
    const key = keyOf(set, value);
    if (key) tell(fields, key);
  }
  for (const field of fields.list) {
    const below = Object.hasOwn(value, field.key) ? value[field.key] : undefined;
    if (field.below) entitiesIn(field.below, below, tell);
  }
}

/** What a subgraph answered → what is kept of it. `entity` is told of each that has an identity. */
export class Learning {
  constructor(
    private readonly textsOf: (fields: Fields) => readonly string[],
    private readonly entity: (fields: Fields, key: JsonObject, object: JsonObject) => void,
  ) {}

  value(shape: Shape | undefined, value: Json): Json | typeof missing {
    // A number that is kept to the digit is a text that only this process understands.
    if (typeof value === 'string') return digitsOf(value) === undefined ? value : missing;
    if (value === null || typeof value !== 'object') return value;
    if (shape === undefined) {
      const json = JSON.stringify(value);
      // A scalar that is an object goes into the answer as well, where it is not ours alone.
      return hasMarked(json) ? missing : (JSON.parse(json) as Json);
    }
    if (Array.isArray(value)) {
      const items: Json[] = [];
      for (const item of value) {
        const kept = this.value(shape, item);
        if (kept === missing) return missing;
        items.push(kept);
      }
      return items;
    }
    const typename = typeof value['__typename'] === 'string' ? value['__typename'] : shape.only;
    if (typename === undefined) return missing;
    const fields = shape.of(typename);
    const key = fields.key && keyOf(fields.key.set, value);
    if (key) {
      if (!fields.keyOnly) this.entity(fields, key, value);
      return { $ref: [typename, key] };
    }
    if (fields.keyed) return missing;
    const kept: JsonObject = { $type: typename };
    const texts = this.textsOf(fields);
    for (const [index, field] of fields.list.entries()) {
      if (field.name === '__typename') continue;
      const there = value[field.key];
      if (there === undefined || typeof there === 'function') return missing;
      const inner = this.value(field.below, there);
      if (inner === missing) return missing;
      kept[texts[index]!] = inner;
    }
    return kept;
  }
}

/** What is kept → as the subgraph would have answered it. `entity` is told of each whose own fields have still to be put in. */
export class Recalling {
  constructor(
    private readonly textsOf: (fields: Fields) => readonly string[],
    private readonly entity: (fields: Fields, key: JsonObject, object: JsonObject) => void,
  ) {}

  value(shape: Shape | undefined, value: Json): Json | typeof missing {
    if (value === null || typeof value !== 'object') return shape === undefined || value === null ? value : missing;
    // A scalar that is an object is shared with whoever else reads the record.
    if (shape === undefined) return structuredClone(value);
    if (Array.isArray(value)) {
      const items: Json[] = [];
      for (const item of value) {
        const recalled = this.value(shape, item);
        if (recalled === missing) return missing;
        items.push(recalled);
      }
      return items;
    }
    const ref = (value as unknown as Ref).$ref as unknown;
    return ref === undefined ? this.#inline(shape, value) : this.#entity(shape, ref);
  }

  #entity(shape: Shape, ref: unknown): JsonObject | typeof missing {
    if (!Array.isArray(ref) || typeof ref[0] !== 'string' || !isObject(ref[1])) return missing;
    const fields = shape.of(ref[0]);
    const object: JsonObject = {};
    for (const field of fields.list) {
      if (field.name === '__typename') object[field.key] = ref[0];
      else if (field.told) object[field.key] = ofKey(field.below, ref[1][field.name]!);
    }
    if (!fields.keyOnly) this.entity(fields, ref[1] as JsonObject, object);
    return object;
  }

  #inline(shape: Shape, value: JsonObject): JsonObject | typeof missing {
    const typename = value['$type'];
    if (typeof typename !== 'string') return missing;
    const fields = shape.of(typename);
    const texts = this.textsOf(fields);
    const object: JsonObject = {};
    for (const [index, field] of fields.list.entries()) {
      if (field.name === '__typename') {
        object[field.key] = typename;
        continue;
      }
      const kept = value[texts[index]!];
      if (kept === undefined || typeof kept === 'function') return missing;
      const recalled = this.value(field.below, kept);
      if (recalled === missing) return missing;
      object[field.key] = recalled;
    }
    return object;
  }
}

/** What the key says of an object that is asked for no more than that (`told`), in the shape in which it is asked for. */
function ofKey(shape: Shape | undefined, value: Json): Json {
  if (shape?.only === undefined || !isObject(value)) return value;
  const object: JsonObject = {};
  for (const { key, name, below } of shape.of(shape.only).list)
    object[key] = name === '__typename' ? shape.only : ofKey(below, value[name]!);
  return object;
}
