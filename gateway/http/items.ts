import {
  getNamedType,
  getNullableType,
  GraphQLInt,
  isCompositeType,
  isInterfaceType,
  isListType,
  isObjectType,
  Kind,
  valueFromAST,
  type ArgumentNode,
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  type GraphQLField,
  type GraphQLSchema,
  type OperationDefinitionNode,
  type SelectionSetNode,
} from 'graphql';
import type { Variables } from '../engine.js';
import { Refusal } from './refusal.js';

/** What `@listSize` says of a field: the arguments that size its page, and how long it is taken to be without them. */
export interface ListSize {
  readonly slicingArguments: readonly string[];
  readonly assumedSize: number | undefined;
}

/** By coordinate: `User.posts`. */
export type ListSizes = ReadonlyMap<string, ListSize>;

/** How many items an operation may bring at most, with these variables. */
export type CountItems = (variables: Variables) => number;

/**
 * A hundred people, a hundred posts of each, and a hundred posts of each one's author are a million posts in 100
 * characters: inside every limit of the text, and more than any process holds. So pages multiply: a page of `n` brings `n`
 * items and `n` times what is below it, and siblings add up. The operation's pages are found once; a request only multiplies.
 *
 * Each fragment is one step, looked up wherever it is spread, so counting costs as much as the text is long. `@skip` and
 * `@include` excuse nothing, and the same page asked for in two fragments counts twice: the estimate is never too low for
 * lists that are as long as they are asked to be.
 */
export function itemCounter(
  schema: GraphQLSchema,
  document: DocumentNode,
  definition: OperationDefinitionNode,
  listSizes: ListSizes = new Map(),
): CountItems {
  const steps = stepsOf(schema, document, definition, listSizes);
  if (steps.length === 0) return () => 0;
  const counts = new Float64Array(steps.length);
  return (variables) => {
    for (let index = 0; index < steps.length; index += 1) {
      const { below, size } = steps[index]!;
      let sum = 0;
      for (const one of below) sum += counts[one]!;
      counts[index] = Math.min(ITEMS_MAX, size === undefined ? sum : size(variables) * (1 + sum));
    }
    return counts[steps.length - 1]!;
  };
}

/** Throws when the pages of an operation multiply to more than `allowed`. */
export function requireItems(estimated: number, allowed: number): void {
  if (estimated <= allowed) return;
  const more = estimated >= ITEMS_MAX ? 'more than ' : '';
  throw Refusal.of(
    'GRAPHQL_VALIDATION_FAILED',
    `The pages of this operation multiply to an estimated ${more}${inWords(estimated)} items, and ${inWords(allowed)} are allowed; ask for smaller pages, or for fewer pages within pages.`,
  );
}

/** Beyond it a number no longer knows its neighbours; nothing is allowed that many. */
const ITEMS_MAX = Number.MAX_SAFE_INTEGER;
/** What a page is taken to be when nothing says how long it is. */
const UNKNOWN = 100;
const PAGE_ARGUMENTS = ['first', 'last', 'limit'];

type SizeOf = (variables: Variables) => number;

/** A fragment, an operation (no size: the sum of what is below), or a page. Only earlier steps are below; the last is all. */
interface Step {
  readonly below: readonly number[];
  readonly size: SizeOf | undefined;
}

function stepsOf(
  schema: GraphQLSchema,
  document: DocumentNode,
  definition: OperationDefinitionNode,
  listSizes: ListSizes,
): Step[] {
  const fragments = new Map<string, FragmentDefinitionNode>();
  for (const one of document.definitions) if (one.kind === Kind.FRAGMENT_DEFINITION) fragments.set(one.name.value, one);
  const steps: Step[] = [];
  const known = new Map<string, number | undefined>();

  function add(below: readonly number[], size: SizeOf | undefined): number | undefined {
    if (below.length === 0 && size === undefined) return undefined;
    return steps.push({ below, size }) - 1;
  }

  function collect(selectionSet: SelectionSetNode, typeName: string, into: number[]): void {
    for (const selection of selectionSet.selections) {
      if (selection.kind === Kind.INLINE_FRAGMENT) {
        collect(selection.selectionSet, selection.typeCondition?.name.value ?? typeName, into);
        continue;
      }
      if (selection.kind === Kind.FIELD) {
        collectField(selection, typeName, into);
        continue;
      }
      const step = ofFragment(selection.name.value);
      if (step !== undefined) into.push(step);
    }
  }

  function collectField(node: FieldNode, typeName: string, into: number[]): void {
    const type = schema.getType(typeName);
    // A union has no fields of its own; what begins with __ has no pages.
    if (!isObjectType(type) && !isInterfaceType(type)) return;
    const field = type.getFields()[node.name.value];
    if (!field) return;
    const below: number[] = [];
    const inner = getNamedType(field.type);
    if (node.selectionSet && isCompositeType(inner)) collect(node.selectionSet, inner.name, below);
    const size = sizeOf(field, node.arguments ?? [], listSizes.get(`${typeName}.${field.name}`));
    if (size === undefined) into.push(...below);
    else into.push(add(below, size)!);
  }

  function ofFragment(name: string): number | undefined {
    if (known.has(name)) return known.get(name);
    known.set(name, undefined);
    const fragment = fragments.get(name);
    if (!fragment) return undefined;
    const below: number[] = [];
    collect(fragment.selectionSet, fragment.typeCondition.name.value, below);
    const step = add(below, undefined);
    known.set(name, step);
    return step;
  }

  const root = schema.getRootType(definition.operation);
  const below: number[] = [];
  if (root) collect(definition.selectionSet, root.name, below);
  add(below, undefined);
  return steps;
}

/** Undefined: the field is no page. */
function sizeOf(
  field: GraphQLField<unknown, unknown>,
  given: readonly ArgumentNode[],
  said: ListSize | undefined,
): SizeOf | undefined {
  const assumed = Math.max(0, said?.assumedSize ?? UNKNOWN);
  const sizing = field.args.filter(
    ({ name, type }) =>
      getNullableType(type) === GraphQLInt && (said?.slicingArguments ?? PAGE_ARGUMENTS).includes(name),
  );
  const values = sizing.map((argument) =>
    intOf(
      given.find(({ name }) => name.value === argument.name),
      argument.defaultValue,
    ),
  );
  if (values.length > 0 || said) return (variables) => longest(values, variables) ?? assumed;
  // nodes(ids: […]): as long as the list that it is given.
  if (!isListType(getNullableType(field.type))) return undefined;
  const listed = field.args.flatMap((argument) => {
    if (!isListType(getNullableType(argument.type))) return [];
    return given.filter(({ name }) => name.value === argument.name).map(lengthOf);
  });
  return listed.length === 0 ? undefined : (variables) => longest(listed, variables) ?? UNKNOWN;
}

type Value = (variables: Variables) => number | undefined;

/** Less than nothing may mean everything, so a negative number says nothing of the length. */
function intOf(given: ArgumentNode | undefined, unless: unknown): Value {
  const number = (value: unknown): number | undefined => (typeof value === 'number' && value >= 0 ? value : undefined);
  const otherwise = number(unless);
  if (given === undefined) return () => otherwise;
  const { value } = given;
  if (value.kind !== Kind.VARIABLE) {
    const literal = number(valueFromAST(value, GraphQLInt));
    return () => literal;
  }
  const name = value.name.value;
  return (variables) => (Object.hasOwn(variables, name) ? number(variables[name]) : otherwise);
}

function lengthOf({ value }: ArgumentNode): Value {
  if (value.kind === Kind.LIST) return () => value.values.length;
  if (value.kind !== Kind.VARIABLE) return () => 1;
  const name = value.name.value;
  return (variables) => {
    const list = variables[name];
    return Array.isArray(list) ? list.length : undefined;
  };
}

/** `first` and `last` are seldom given both; where they are, the longer one counts. */
function longest(values: readonly Value[], variables: Variables): number | undefined {
  let most: number | undefined;
  for (const value of values) {
    const one = value(variables);
    if (one !== undefined && (most === undefined || one > most)) most = one;
  }
  return most;
}

function inWords(count: number): string {
  return count.toLocaleString('en-US');
}
