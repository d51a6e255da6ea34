import type { Required, RequiredField, Rewrite } from '../plan/plan.js';
import { quote, reader, type Json, type JsonObject } from './json.js';
import type { TypeFamilies } from './types.js';

/**
 * Writes the representation of an entity straight as JSON text.
 * - `undefined`: this entity is not of a type that the fetch is about.
 * - `missing`: a field that it needs never came, so the subgraph cannot be asked.
 */
export type Representer = (entity: JsonObject) => string | typeof missing | undefined;

export const missing: unique symbol = Symbol('missing');

type FieldWriter = {
  readonly text: string;
  readonly read: (object: JsonObject) => Json | undefined;
  readonly constant: string | undefined;
  readonly inner: Fields | undefined;
};

export function representer(
  requires: readonly Required[],
  rewrites: readonly Rewrite[],
  families: TypeFamilies,
): Representer {
  const fields = new Fields(requires, rewrites, families);
  return (entity) => {
    const writers = fields.of(entity);
    // A representation without a type is none: the entity matched none of the types that are asked about.
    return writers.some((writer) => writer.text.endsWith('"__typename":')) ? writeFields(writers, entity) : undefined;
  };
}

/** What to write depends on the type of the object, so it is decided once per type. */
class Fields {
  readonly #requires: readonly Required[];
  readonly #rewrites: readonly Rewrite[];
  readonly #families: TypeFamilies;
  readonly #byType = new Map<Json | undefined, readonly FieldWriter[]>();

  constructor(requires: readonly Required[], rewrites: readonly Rewrite[], families: TypeFamilies) {
    this.#requires = requires;
    this.#rewrites = rewrites;
    this.#families = families;
  }

  of(object: JsonObject): readonly FieldWriter[] {
    const typename = object['__typename'];
    let writers = this.#byType.get(typename);
    if (!writers) {
      writers = this.#compile(typeof typename === 'string' ? typename : undefined);
      // Typenames come from subgraphs: their number is not ours to trust.
      if (this.#byType.size < 1000) this.#byType.set(typename, writers);
    }
    return writers;
  }

  #compile(typename: string | undefined): FieldWriter[] {
    const rewrites = this.#rewrites.flatMap((rewrite): Rewrite[] => {
      const [first, ...rest] = rewrite.path;
      if (first?.kind !== 'types') return [rewrite];
      const applies = typename === undefined || this.#families.ofAny(first.types).has(typename);
      return applies ? [{ ...rewrite, path: rest }] : [];
    });
    const merged = new Map<string, RequiredField & { selections: Required[] | undefined }>();
    for (const field of fieldsOn(this.#requires, typename, this.#families)) {
      const earlier = merged.get(field.name);
      if (earlier?.selections && field.selections) earlier.selections.push(...field.selections);
      else if (!earlier) merged.set(field.name, { ...field, selections: field.selections && [...field.selections] });
    }
    return [...merged.values()].map((field, index) => this.#writer(field, rewrites, index));
  }

  #writer(field: RequiredField, rewrites: readonly Rewrite[], index: number): FieldWriter {
    let { name } = field;
    let constant: string | undefined;
    const deeper: Rewrite[] = [];
    for (const rewrite of rewrites) {
      const [first, ...rest] = rewrite.path;
      if (first?.kind !== 'key' || first.key !== field.name) continue;
      if (rest.length > 0) deeper.push({ ...rewrite, path: rest });
      else if (rewrite.kind === 'set') constant = JSON.stringify(rewrite.value);
      else name = rewrite.to;
    }
    return {
      text: `${index === 0 ? '{' : ','}${JSON.stringify(name)}:`,
      read: reader(field.read),
      constant,
      inner: field.selections && new Fields(field.selections, deeper, this.#families),
    };
  }
}

function fieldsOn(
  selections: readonly Required[],
  typename: string | undefined,
  families: TypeFamilies,
): RequiredField[] {
  return selections.flatMap((selection) => {
    if (selection.kind === 'field') return [selection];
    const applies = selection.type === '' || typename === undefined || families.of(selection.type).has(typename);
    return applies ? fieldsOn(selection.selections, typename, families) : [];
  });
}

function writeFields(writers: readonly FieldWriter[], object: JsonObject): string | typeof missing {
  let text = '';
  for (const writer of writers) {
    const value = writer.read(object);
    if (value === undefined) return missing;
    const written = writer.constant ?? writeValue(value, writer.inner);
    if (written === missing) return missing;
    text += writer.text + written;
  }
  return text === '' ? '{}' : `${text}}`;
}

function writeValue(value: Json, inner: Fields | undefined): string | typeof missing {
  if (typeof value === 'string') return quote(value);
  if (typeof value !== 'object' || value === null || !inner) return JSON.stringify(value);
  if (!Array.isArray(value)) return writeFields(inner.of(value), value);
  let text = '';
  for (const item of value) {
    const written = writeValue(item, inner);
    if (written === missing) return missing;
    text += text === '' ? `[${written}` : `,${written}`;
  }
  return text === '' ? '[]' : `${text}]`;
}
