import {
  Kind,
  getDirectiveValues,
  GraphQLIncludeDirective,
  GraphQLSkipDirective,
  isAbstractType,
  isLeafType,
  isListType,
  isNonNullType,
  isObjectType,
  type FieldNode,
  type FragmentDefinitionNode,
  type GraphQLCompositeType,
  type GraphQLInterfaceType,
  type GraphQLObjectType,
  type GraphQLOutputType,
  type GraphQLSchema,
  type GraphQLUnionType,
  type SelectionNode,
  type SelectionSetNode,
} from 'graphql';
import type { NormalOperation } from '../plan/normalise.js';
import { isObject, reader, type Json, type JsonObject } from './json.js';
import { leafWriter } from './leaf.js';

/**
 * The walk that turns what subgraphs answered into the text that the client gets: fields in the order of the operation,
 * leaves completed, nulls propagated as the GraphQL specification says (§6.4.4). Compiled per operation, schema and
 * values of the variables in `@skip`/`@include`, so nothing is looked up in the schema while writing.
 */
export interface Projection {
  write(data: JsonObject, introspected: ReadonlyMap<string, string>, troubles: Troubles): string;
}

/** What went wrong while writing. Empty for nearly every answer, so paths are put together only on the way back up. */
export class Troubles {
  readonly list: Trouble[] = [];

  /** `failed`: some fetch failed, so a field that never came is to be told even where null is allowed. */
  constructor(readonly failed: boolean) {}

  add(kind: Trouble['kind'], message: string): void {
    this.list.push({ kind, message, reversedPath: [] });
  }

  /** All troubles since `before` happened below this key. */
  below(before: number, key: string | number): void {
    for (let i = before; i < this.list.length; i += 1) this.list[i]!.reversedPath.push(key);
  }
}

export interface Trouble {
  /** missing: it never came. null: null where none may be. invalid: not a value of its type. */
  readonly kind: 'missing' | 'null' | 'invalid';
  readonly message: string;
  readonly reversedPath: (string | number)[];
}

/** Text, or null for a null that nobody has been told of yet, or undefined for a null that comes with a trouble. */
export type Write = (value: Json | undefined, troubles: Troubles) => string | null | undefined;

interface FieldPlan {
  readonly key: string;
  readonly clientKey: string;
  /** `{"name":` for the first field, `,"name":` for the others. */
  readonly text: string;
  readonly read: ((object: JsonObject) => Json | undefined) | undefined;
  /** The whole value, when it does not depend on the data. */
  readonly constant: string | undefined;
  readonly introspection: boolean;
  readonly write: Write;
}

export function compileProjection(
  operation: NormalOperation,
  schema: GraphQLSchema,
  conditions: Readonly<Record<string, boolean>>,
): Projection {
  const compiler = new Compiler(operation, schema, conditions);
  const rootType = schema.getRootType(operation.definition.operation)!;
  const fields = compiler.fieldsOf(rootType, [operation.definition.selectionSet]);
  return {
    write(data, introspected, troubles) {
      const before = troubles.list.length;
      const text = writeFields(fields, data, troubles, introspected);
      if (troubles.list.length > before) for (const trouble of troubles.list) trouble.reversedPath.reverse();
      return text ?? 'null';
    },
  };
}

function writeFields(
  fields: readonly FieldPlan[],
  object: JsonObject,
  troubles: Troubles,
  introspected?: ReadonlyMap<string, string>,
): string | undefined {
  let text = '';
  for (let i = 0; i < fields.length; i += 1) {
    const field = fields[i]!;
    if (field.constant !== undefined) {
      text += field.text + field.constant;
      continue;
    }
    if (field.introspection) {
      text += field.text + (introspected?.get(field.clientKey) ?? 'null');
      continue;
    }
    const before = troubles.list.length;
    const written = field.write(field.read ? field.read(object) : object[field.key], troubles);
    if (troubles.list.length !== before) troubles.below(before, field.clientKey);
    if (typeof written !== 'string') return undefined;
    text += field.text + written;
  }
  return text === '' ? '{}' : `${text}}`;
}

class Compiler {
  readonly #operation: NormalOperation;
  readonly #schema: GraphQLSchema;
  readonly #conditions: Readonly<Record<string, boolean>>;

  constructor(operation: NormalOperation, schema: GraphQLSchema, conditions: Readonly<Record<string, boolean>>) {
    this.#operation = operation;
    this.#schema = schema;
    this.#conditions = conditions;
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
      if (!this.#included(selection)) continue;
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

  #included(node: SelectionNode): boolean {
    if (!node.directives?.length) return true;
    if (getDirectiveValues(GraphQLSkipDirective, node, this.#conditions)?.['if'] === true) return false;
    return getDirectiveValues(GraphQLIncludeDirective, node, this.#conditions)?.['if'] !== false;
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
    const introspection = name === '__schema' || name === '__type';
    const plan = {
      key,
      clientKey,
      text: `${index === 0 ? '{' : ','}${JSON.stringify(clientKey)}:`,
      read: key in Object.prototype ? reader(key) : undefined,
      introspection,
    };
    if (introspection) return { ...plan, constant: undefined, write: () => null };
    if (name === '__typename') {
      const constant = isObjectType(type) ? JSON.stringify(type.name) : undefined;
      return { ...plan, constant, write: nonNull(() => null, `${type.name}.__typename`) };
    }
    const definition = 'getFields' in type ? type.getFields()[name] : undefined;
    if (!definition)
      throw new Error(`${type.name} has no field ${name}: the operation was not validated against this schema.`);
    const sets = nodes.flatMap((one) => (one.selectionSet ? [one.selectionSet] : []));
    return { ...plan, constant: undefined, write: this.#value(definition.type, sets, `${type.name}.${name}`) };
  }

  #value(type: GraphQLOutputType, sets: readonly SelectionSetNode[], what: string): Write {
    return isNonNullType(type)
      ? nonNull(this.#nullable(type.ofType, sets, what), what)
      : nullable(this.#nullable(type, sets, what), what);
  }

  #nullable(type: GraphQLOutputType, sets: readonly SelectionSetNode[], what: string): Write {
    if (isListType(type)) return list(this.#value(type.ofType as GraphQLOutputType, sets, what), what);
    if (isLeafType(type)) return leafWriter(type, what);
    if (isObjectType(type)) return this.#object(type, sets, what);
    if (isAbstractType(type)) return this.#abstract(type, sets, what);
    throw new Error(`${what} has the type ${String(type)}, which is no output type.`);
  }

  #object(type: GraphQLObjectType, sets: readonly SelectionSetNode[], what: string): Write {
    let fields: FieldPlan[] | undefined;
    return (value, troubles) => {
      if (value === null || value === undefined) return null;
      if (!isObject(value)) return invalid(troubles, what, 'an object', value);
      fields ??= this.fieldsOf(type, sets);
      return writeFields(fields, value, troubles);
    };
  }

  #abstract(type: GraphQLInterfaceType | GraphQLUnionType, sets: readonly SelectionSetNode[], what: string): Write {
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
    return (value, troubles) => {
      if (value === null || value === undefined) return null;
      if (!isObject(value)) return invalid(troubles, what, 'an object', value);
      const typename = value['__typename'] ?? type.name;
      const fields = typeof typename === 'string' ? fieldsOf(typename) : undefined;
      if (!fields) return invalid(troubles, what, `a type that is a ${type.name}`, typename);
      return writeFields(fields, value, troubles);
    };
  }

  #isPossible(type: GraphQLCompositeType, runtime: unknown): boolean {
    return isAbstractType(type) && isComposite(runtime) && this.#schema.isSubType(type, runtime);
  }
}

function isComposite(type: unknown): type is GraphQLObjectType {
  return isObjectType(type) || (isAbstractType(type) && 'getFields' in type);
}

function nullable(write: Write, what: string): Write {
  return (value, troubles) => {
    if (value === null) return 'null';
    if (value === undefined) {
      if (troubles.failed) troubles.add('missing', `${what} could not be fetched.`);
      return 'null';
    }
    return write(value, troubles) ?? 'null';
  };
}

function nonNull(write: Write, what: string): Write {
  return (value, troubles) => {
    const written = write(value, troubles);
    if (written === null) {
      if (value === undefined) troubles.add('missing', `${what} could not be fetched.`);
      else troubles.add('null', `Cannot return null for non-nullable field ${what}.`);
      return undefined;
    }
    return written;
  };
}

function list(write: Write, what: string): Write {
  return (value, troubles) => {
    if (value === null || value === undefined) return null;
    if (!Array.isArray(value)) return invalid(troubles, what, 'a list', value);
    let text = '';
    for (let i = 0; i < value.length; i += 1) {
      const before = troubles.list.length;
      const written = write(value[i] ?? null, troubles);
      if (troubles.list.length !== before) troubles.below(before, i);
      if (typeof written !== 'string') return undefined;
      text += i === 0 ? `[${written}` : `,${written}`;
    }
    return text === '' ? '[]' : `${text}]`;
  };
}

export function invalid(troubles: Troubles, what: string, expected: string, came: unknown): undefined {
  troubles.add('invalid', `${what} should be ${expected}, and ${JSON.stringify(came)?.slice(0, 60)} came.`);
  return undefined;
}
