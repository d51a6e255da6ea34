import {
  Kind,
  isAbstractType,
  isLeafType,
  isListType,
  isNonNullType,
  isObjectType,
  isScalarType,
  getNullableType,
  type FieldNode,
  type FragmentDefinitionNode,
  type GraphQLCompositeType,
  type GraphQLInterfaceType,
  type GraphQLObjectType,
  type GraphQLOutputType,
  type GraphQLSchema,
  type GraphQLUnionType,
  type SelectionSetNode,
} from 'graphql';
import { isDenied } from '../authorization/authorization.js';
import type { NormalOperation } from '../plan/normalise.js';
import { isObject, reader, type Json, type JsonObject } from './json.js';
import { leafWriter } from './leaf.js';
import { BROKEN, invalid, NULL, WRITTEN, type Output, type Write } from './output.js';

/**
 * The walk that turns what subgraphs answered into the text that the client gets: fields in the order of the operation,
 * leaves completed, nulls propagated as the GraphQL specification says (§6.4.4). Compiled per operation and schema, so
 * nothing is looked up in the schema while writing.
 */
export interface Projection {
  write(data: JsonObject, introspected: ReadonlyMap<string, string>, output: Output): void;
}

interface FieldPlan {
  readonly key: string;
  readonly clientKey: string;
  /** `{"name":` for the first field, `,"name":` for the others; with the value, when it does not depend on the data. */
  readonly text: Buffer;
  readonly read: ((object: JsonObject) => Json | undefined) | undefined;
  readonly kind: 'value' | 'constant' | 'introspection';
  readonly leaf: Leaf;
  readonly write: Write;
}

/**
 * What a value usually is where the type is a leaf. `writeFields` writes it without a call; everything else, null included,
 * goes through `write`, which is three calls into functions that differ from leaf to leaf.
 */
type Leaf = 'none' | 'string' | 'int' | 'boolean';

export function compileProjection(operation: NormalOperation, schema: GraphQLSchema): Projection {
  const compiler = new Compiler(operation, schema);
  const rootType = schema.getRootType(operation.definition.operation)!;
  const fields = compiler.fieldsOf(rootType, [operation.definition.selectionSet]);
  return {
    write(data, introspected, output) {
      const start = output.at;
      if (writeFields(fields, data, output, introspected) !== WRITTEN) {
        output.at = start;
        output.piece(NULL_TEXT);
      }
      for (const trouble of output.troubles) trouble.reversedPath.reverse();
    },
  };
}

const NULL_TEXT = Buffer.from('null');
const TRUE = Buffer.from('true');
const FALSE = Buffer.from('false');
const OPEN = 0x5b;
const CLOSE = 0x5d;
const COMMA = 0x2c;
const BRACE_OPEN = 0x7b;
const BRACE_CLOSE = 0x7d;

function writeFields(
  fields: readonly FieldPlan[],
  object: JsonObject,
  output: Output,
  introspected?: ReadonlyMap<string, string>,
): ReturnType<Write> {
  for (let i = 0; i < fields.length; i += 1) {
    const field = fields[i]!;
    output.piece(field.text);
    if (field.kind === 'value') {
      const value = field.read ? field.read(object) : object[field.key];
      if (typeof value === 'string') {
        // What begins so may be a number that is kept to the digit (exact-numbers.ts).
        if (field.leaf === 'string' && value.charCodeAt(0) !== 1) {
          output.string(value);
          continue;
        }
      } else if (typeof value === 'number') {
        if (field.leaf === 'int' && (value | 0) === value) {
          output.integer(value | 0);
          continue;
        }
      } else if (typeof value === 'boolean' && field.leaf === 'boolean') {
        output.piece(value ? TRUE : FALSE);
        continue;
      }
      const before = output.troubles.length;
      const result = field.write(value, output);
      // Looked up only where a field takes its object with it, so what is whole pays nothing for it.
      if (result !== WRITTEN && output.isGone(object, field.key, value, before)) return NULL;
      if (output.troubles.length !== before) output.below(before, field.clientKey);
      if (result !== WRITTEN) return BROKEN;
    } else if (field.kind === 'introspection') {
      output.json(introspected?.get(field.clientKey) ?? 'null');
    }
  }
  if (fields.length === 0) output.byte(BRACE_OPEN);
  output.byte(BRACE_CLOSE);
  return WRITTEN;
}

class Compiler {
  readonly #operation: NormalOperation;
  readonly #schema: GraphQLSchema;

  constructor(operation: NormalOperation, schema: GraphQLSchema) {
    this.#operation = operation;
    this.#schema = schema;
  }

  fieldsOf(type: GraphQLCompositeType, sets: readonly SelectionSetNode[]): FieldPlan[] {
    const groups = new Map<string, FieldNode[]>();
    const seen = new Set<string>();
    for (const set of sets) this.#collect(type, set, groups, seen);
    const plans: FieldPlan[] = [];
    for (const [key, nodes] of groups) plans.push(this.#field(type, key, nodes, plans.length));
    return plans;
  }

  #collect(
    type: GraphQLCompositeType,
    set: SelectionSetNode,
    groups: Map<string, FieldNode[]>,
    seen: Set<string>,
  ): void {
    for (const selection of set.selections) {
      if (selection.kind === Kind.FIELD) {
        const key = selection.alias?.value ?? selection.name.value;
        const group = groups.get(key);
        if (group) group.push(selection);
        else groups.set(key, [selection]);
        continue;
      }
      let fragment: {
        typeCondition?: FragmentDefinitionNode['typeCondition'] | undefined;
        selectionSet: SelectionSetNode;
      };
      if (selection.kind === Kind.FRAGMENT_SPREAD) {
        if (seen.has(selection.name.value)) continue;
        seen.add(selection.name.value);
        fragment = this.#operation.fragments.get(selection.name.value)!;
      } else {
        fragment = selection;
      }
      if (this.#applies(fragment.typeCondition?.name.value, type))
        this.#collect(type, fragment.selectionSet, groups, seen);
    }
  }

  #applies(condition: string | undefined, type: GraphQLCompositeType): boolean {
    if (condition === undefined || condition === type.name) return true;
    const wanted = this.#schema.getType(condition);
    return isAbstractType(wanted) && 'getFields' in type && this.#schema.isSubType(wanted, type);
  }

  #field(type: GraphQLCompositeType, key: string, nodes: readonly FieldNode[], index: number): FieldPlan {
    const node = nodes[0]!;
    const name = node.name.value;
    const clientKey = this.#operation.clientKeys.get(key) ?? key;
    const label = `${index === 0 ? '{' : ','}${JSON.stringify(clientKey)}:`;
    const plan = {
      key,
      clientKey,
      text: Buffer.from(label),
      read: key in Object.prototype ? reader(key) : undefined,
      leaf: 'none' as const,
    };
    if (name === '__schema' || name === '__type') return { ...plan, kind: 'introspection', write: () => NULL };
    if (name === '__typename') {
      if (isObjectType(type)) {
        return { ...plan, kind: 'constant', text: Buffer.from(label + JSON.stringify(type.name)), write: () => NULL };
      }
      return { ...plan, kind: 'value', write: nonNull(() => NULL, `${type.name}.__typename`) };
    }
    const definition = 'getFields' in type ? type.getFields()[name] : undefined;
    if (!definition)
      throw new Error(`${type.name} has no field ${name}: the operation was not validated against this schema.`);
    const what = `${type.name}.${name}`;
    if (nodes.some(isDenied)) return { ...plan, kind: 'value', write: denied(isNonNullType(definition.type), what) };
    const sets = nodes.flatMap((one) => (one.selectionSet ? [one.selectionSet] : []));
    const write = this.#value(definition.type, sets, what, type === this.#schema.getMutationType());
    return { ...plan, kind: 'value', leaf: leafOf(definition.type), write };
  }

  /** `isDone`: what a mutation answers of what it did, and each of those where it answers several. */
  #value(type: GraphQLOutputType, sets: readonly SelectionSetNode[], what: string, isDone = false): Write {
    return isNonNullType(type)
      ? nonNull(this.#nullable(type.ofType, sets, what, isDone), what, isDone)
      : nullable(this.#nullable(type, sets, what, isDone), what, isDone);
  }

  #nullable(type: GraphQLOutputType, sets: readonly SelectionSetNode[], what: string, isDone: boolean): Write {
    if (isListType(type)) return list(this.#value(type.ofType as GraphQLOutputType, sets, what, isDone), what);
    if (isLeafType(type)) return leafWriter(type, what);
    if (isObjectType(type)) return this.#object(type, sets, what);
    if (isAbstractType(type)) return this.#abstract(type, sets, what, isDone);
    throw new Error(`${what} has the type ${String(type)}, which is no output type.`);
  }

  #object(type: GraphQLObjectType, sets: readonly SelectionSetNode[], what: string): Write {
    let fields: FieldPlan[] | undefined;
    return (value, output) => {
      if (value === null || value === undefined) return NULL;
      if (!isObject(value)) return invalid(output, what, 'an object', value);
      fields ??= this.fieldsOf(type, sets);
      return writeFields(fields, value, output);
    };
  }

  #abstract(
    type: GraphQLInterfaceType | GraphQLUnionType,
    sets: readonly SelectionSetNode[],
    what: string,
    isDone: boolean,
  ): Write {
    const byTypename = new Map<string, FieldPlan[] | undefined>();
    const fieldsOf = (typename: string): FieldPlan[] | undefined => {
      const known = byTypename.get(typename);
      if (known) return known;
      const runtime = this.#schema.getType(typename);
      // An interface may be all that is known: an @interfaceObject answered, and the operation did not ask what it is.
      const fits =
        typename === type.name || (runtime !== undefined && 'getFields' in runtime && this.#isPossible(type, runtime));
      const fields = fits ? this.fieldsOf(runtime as GraphQLCompositeType, sets) : undefined;
      if (fields) byTypename.set(typename, fields);
      return fields;
    };
    const typeMatters = sets.some((set) => this.#asksForType(set, type));
    return (value, output) => {
      if (value === null || value === undefined) return NULL;
      if (!isObject(value)) return invalid(output, what, 'an object', value);
      const typename = value['__typename'] ?? type.name;
      if (typename === type.name && typeMatters && output.troubled) {
        // Whoever knows what it is did not answer, so what to show of it cannot be told.
        output.trouble(isDone ? 'done' : 'missing', `${what} could not be fetched.`);
        return BROKEN;
      }
      const fields = typeof typename === 'string' ? fieldsOf(typename) : undefined;
      if (!fields) return invalid(output, what, `a type that is a ${type.name}`, typename);
      return writeFields(fields, value, output);
    };
  }

  /** Does the selection depend on which type the object has? */
  #asksForType(set: SelectionSetNode, type: GraphQLCompositeType): boolean {
    return set.selections.some((selection) => {
      if (selection.kind === Kind.FIELD) return selection.name.value === '__typename';
      const fragment =
        selection.kind === Kind.INLINE_FRAGMENT ? selection : this.#operation.fragments.get(selection.name.value)!;
      return !this.#applies(fragment.typeCondition?.name.value, type) || this.#asksForType(fragment.selectionSet, type);
    });
  }

  #isPossible(type: GraphQLCompositeType, runtime: unknown): boolean {
    return isAbstractType(type) && isComposite(runtime) && this.#schema.isSubType(type, runtime);
  }
}

function leafOf(type: GraphQLOutputType): Leaf {
  const inner = getNullableType(type);
  if (!isScalarType(inner)) return 'none';
  const { name } = inner;
  if (name === 'Int' || name === 'Boolean') return name === 'Int' ? 'int' : 'boolean';
  return name === 'Float' ? 'none' : 'string';
}

function isComposite(type: unknown): type is GraphQLObjectType {
  return isObjectType(type) || (isAbstractType(type) && 'getFields' in type);
}

function nullable(write: Write, what: string, isDone = false): Write {
  return (value, output) => {
    const start = output.at;
    const result = write(value, output);
    if (result !== WRITTEN) {
      if (value === undefined && output.failed) output.trouble('missing', `${what} could not be fetched.`);
      // Told nothing, its client would not know that it was done.
      else if (isDone && result === NULL && isThere(value)) output.trouble('done', doneToNothing(what));
      output.at = start;
      output.piece(NULL_TEXT);
    }
    return WRITTEN;
  };
}

function nonNull(write: Write, what: string, isDone = false): Write {
  return (value, output) => {
    const result = write(value, output);
    if (result !== NULL) return result;
    if (value === undefined) output.trouble('missing', `${what} could not be fetched.`);
    // Told that this may not be null, its client would do it again.
    else if (isDone && isThere(value)) output.trouble('done', doneToNothing(what));
    else output.trouble('null', `Cannot return null for non-nullable field ${what}.`);
    return BROKEN;
  };
}

/** There is an answer, to something that is not there (any more). */
function isThere(value: Json | undefined): boolean {
  return value !== undefined && value !== null;
}

function doneToNothing(what: string): string {
  return `${what} is done, and what it is about is not there.`;
}

/** Null, whatever is there: a planner may have needed the field as a key. */
function denied(required: boolean, what: string): Write {
  const write: Write = (_value, output) => {
    output.trouble('denied', `Unauthorized field or type: ${what}.`);
    return BROKEN;
  };
  return required ? write : nullable(write, what);
}

function list(write: Write, what: string): Write {
  return (value, output) => {
    if (value === null || value === undefined) return NULL;
    if (!Array.isArray(value)) return invalid(output, what, 'a list', value);
    output.byte(OPEN);
    for (let i = 0; i < value.length; i += 1) {
      if (i > 0) output.byte(COMMA);
      const before = output.troubles.length;
      const result = write(value[i] ?? null, output);
      if (output.troubles.length !== before) output.below(before, i);
      if (result !== WRITTEN) return BROKEN;
    }
    output.byte(CLOSE);
    return WRITTEN;
  };
}
