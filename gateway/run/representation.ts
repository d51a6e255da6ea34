import type { Required, RequiredField, Rewrite } from '../plan/plan.js';
import { writeExactly } from './exact-numbers.js';
import { numberText, quote, reader, type Json, type JsonObject } from './json.js';
import { Output } from './output.js';
import type { TypeFamilies } from './types.js';

export const missing: unique symbol = Symbol('missing');

type FieldWriter = {
  /** `{"name":` for the first, `,"name":` for the others. */
  readonly text: string;
  readonly bytes: Buffer;
  readonly key: string;
  /** For the few keys that must not be read plainly. */
  readonly read: ((object: JsonObject) => Json | undefined) | undefined;
  readonly constant: string | undefined;
  readonly inner: Fields | undefined;
};

/** How entities of one type are represented. */
export interface TypeRepresenter {
  /** Nothing is asked about this type. */
  readonly none: boolean;
  /**
   * The fields besides the type, when all of them are plain: as long as their values are scalars, comparing those tells
   * equal entities far cheaper than writing and comparing whole representations.
   */
  readonly plainKeys: readonly string[] | undefined;
  /** JSON text, or `missing` when a field that it needs never came, so that the subgraph cannot be asked. */
  write(entity: JsonObject): string | typeof missing;
}

export class Representer {
  readonly requires: readonly Required[];
  readonly #fields: Fields;
  readonly #byType = new Map<Json | undefined, TypeRepresenter>();

  constructor(requires: readonly Required[], rewrites: readonly Rewrite[], families: TypeFamilies) {
    this.requires = requires;
    this.#fields = new Fields(requires, rewrites, families);
  }

  of(entity: JsonObject): TypeRepresenter {
    const typename = entity['__typename'];
    let representer = this.#byType.get(typename);
    if (!representer) {
      representer = this.#make(this.#fields.of(entity), typename);
      // Typenames come from subgraphs: their number is not ours to trust.
      if (this.#byType.size < TYPES_KEPT) this.#byType.set(typename, representer);
    }
    return representer;
  }

  #make(writers: readonly FieldWriter[], typename: Json | undefined): TypeRepresenter {
    const isTypename = (writer: FieldWriter) => writer.text.endsWith('"__typename":');
    const others = writers.filter((writer) => !isTypename(writer));
    // A constant typename counts as not plain: entities of other types may then have the same representation.
    const plain =
      typeof typename === 'string' &&
      writers.every((writer) => !writer.read && !writer.inner && writer.constant === undefined);
    return {
      none: others.length === writers.length,
      plainKeys: plain && others.length > 0 ? others.map(({ key }) => key) : undefined,
      write: plain ? (entity) => writePlain(writers, entity) : (entity) => writeFields(writers, entity),
    };
  }
}

const TYPES_KEPT = 1_000;

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
      if (this.#byType.size < TYPES_KEPT) this.#byType.set(typename, writers);
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
    const text = `${index === 0 ? '{' : ','}${JSON.stringify(name)}:`;
    return {
      text,
      bytes: Buffer.from(text),
      key: field.read,
      read: field.read in Object.prototype ? reader(field.read) : undefined,
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

const scratch = new Output();

/**
 * The usual representation: an object of scalars. Written as bytes and read as one string: joining strings makes a rope of
 * each piece, which with ten thousand entities was a third of all memory that an answer used.
 */
function writePlain(writers: readonly FieldWriter[], entity: JsonObject): string | typeof missing {
  scratch.start(false, false);
  for (let i = 0; i < writers.length; i += 1) {
    const { key, bytes } = writers[i]!;
    const value = entity[key];
    if (value === undefined) return missing;
    scratch.piece(bytes);
    if (typeof value === 'string' && value.charCodeAt(0) === MARKED) scratch.json(writeExactly(value));
    else if (typeof value === 'string') scratch.string(value);
    else if (typeof value !== 'number') scratch.json(writeExactly(value));
    else if ((value | 0) === value) scratch.integer(value | 0);
    else scratch.json(numberText(value));
  }
  scratch.byte(BRACE_CLOSE);
  return scratch.text();
}

const BRACE_CLOSE = 0x7d;
/** What a number that is kept to the digit begins with, as few other texts do. */
const MARKED = 1;

function writeFields(writers: readonly FieldWriter[], object: JsonObject): string | typeof missing {
  let text = '';
  for (const writer of writers) {
    const value = writer.read ? writer.read(object) : object[writer.key];
    if (value === undefined) return missing;
    const written = writer.constant ?? writeValue(value, writer.inner);
    if (written === missing) return missing;
    text = `${text}${writer.text}${written}`;
  }
  return text === '' ? '{}' : `${text}}`;
}

function writeValue(value: Json, inner: Fields | undefined): string | typeof missing {
  if (typeof value === 'string') return quote(value);
  if (typeof value === 'number') return numberText(value);
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  if (!inner) return writeExactly(value);
  if (!Array.isArray(value)) return writeFields(inner.of(value), value);
  let text = '';
  for (const item of value) {
    const written = writeValue(item, inner);
    if (written === missing) return missing;
    text += text === '' ? `[${written}` : `,${written}`;
  }
  return text === '' ? '[]' : `${text}]`;
}
