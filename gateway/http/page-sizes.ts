import {
  getNullableType,
  GraphQLInt,
  isListType,
  Kind,
  valueFromAST,
  type ArgumentNode,
  type GraphQLField,
  type ValueNode,
} from 'graphql';
import type { Variables } from '../engine.js';

/** What `@listSize` says of a field: the arguments that size its page, and how long it is taken to be without them. */
export interface ListSize {
  /** `first`, or inside of an input: `page.first`. */
  readonly slicingArguments: readonly string[];
  /** Fields below that are as long as this page: `edges`. None: the field itself is the list. */
  readonly sizedFields?: readonly string[];
  readonly assumedSize: number | undefined;
  /** Exactly one of the slicing arguments has to be given. */
  readonly requiresOne?: boolean;
}

/** By coordinate: `User.posts`. */
export type ListSizes = ReadonlyMap<string, ListSize>;

/** How long a page is with these variables. A number: always. */
export type Size = number | ((variables: Variables) => number);

/** What a page is taken to be when nothing says how long it is. */
const UNKNOWN = 100;
const PAGE_ARGUMENTS = ['first', 'last', 'limit'];

/**
 * How long the page of a field is: by `@listSize` where it is said, else by `first`, `last` or `limit`, else by the list
 * that it is given (`nodes(ids:)`). Undefined: the field is no page.
 */
export function pageSize(
  field: GraphQLField<unknown, unknown>,
  given: readonly ArgumentNode[],
  said: ListSize | undefined,
): Size | undefined {
  const assumed = Math.max(0, said?.assumedSize ?? UNKNOWN);
  const values = (said?.slicingArguments ?? PAGE_ARGUMENTS).flatMap((path): Value[] => {
    const [name, ...rest] = path.split('.');
    const argument = field.args.find((one) => one.name === name);
    if (!argument || (rest.length === 0 && getNullableType(argument.type) !== GraphQLInt)) return [];
    const node = given.find((one) => one.name.value === name)?.value;
    return [intAt(node, rest, argument.defaultValue)];
  });
  if (values.length > 0 || said) return sizeOf(values, assumed);
  if (!isListType(getNullableType(field.type))) return undefined;
  const listed = field.args.flatMap((argument) => {
    if (!isListType(getNullableType(argument.type))) return [];
    return given.filter(({ name }) => name.value === argument.name).map(lengthOf);
  });
  return listed.length === 0 ? undefined : sizeOf(listed, UNKNOWN);
}

/** How many of a field's slicing arguments are given, or have a default. */
export function slicesGiven(
  field: GraphQLField<unknown, unknown>,
  given: readonly ArgumentNode[],
  { slicingArguments }: ListSize,
): number {
  return slicingArguments.filter((path) => {
    const [name, ...rest] = path.split('.');
    const node = given.find((one) => one.name.value === name)?.value;
    if (node === undefined) return field.args.find((one) => one.name === name)?.defaultValue !== undefined;
    return rest.length === 0 ? node.kind !== Kind.NULL : node.kind === Kind.VARIABLE || at(node, rest) !== undefined;
  }).length;
}

type Value = number | undefined | ((variables: Variables) => number | undefined);

/** `first` and `last` are seldom given both; where they are, the longer one counts. */
function sizeOf(values: readonly Value[], otherwise: number): Size {
  const longest = (found: readonly (number | undefined)[]): number => {
    const known = found.filter((one) => one !== undefined);
    return known.length === 0 ? otherwise : Math.max(...known);
  };
  const isFixed = (value: Value): value is number | undefined => typeof value !== 'function';
  if (values.every(isFixed)) return longest(values);
  return (variables) => longest(values.map((value) => (isFixed(value) ? value : value(variables))));
}

/** Less than nothing may mean everything, so a negative number says nothing of the length. */
function numberOf(value: unknown): number | undefined {
  return typeof value === 'number' && value >= 0 ? value : undefined;
}

function intAt(given: ValueNode | undefined, path: readonly string[], unless: unknown): Value {
  const otherwise = numberOf(inside(unless, path));
  if (given === undefined) return otherwise;
  if (given.kind === Kind.VARIABLE) return byVariable(given.name.value, path, otherwise);
  const node = at(given, path);
  if (node === undefined) return otherwise;
  if (node.kind === Kind.VARIABLE) return byVariable(node.name.value, [], otherwise);
  return numberOf(valueFromAST(node, GraphQLInt));
}

function byVariable(name: string, path: readonly string[], otherwise: number | undefined): Value {
  return (variables) => (Object.hasOwn(variables, name) ? numberOf(inside(variables[name], path)) : otherwise);
}

/** The value that stands at `path` of an input as it is written. */
function at(node: ValueNode, path: readonly string[]): ValueNode | undefined {
  let found: ValueNode | undefined = node;
  for (const name of path) {
    if (found?.kind !== Kind.OBJECT) return undefined;
    found = found.fields.find((field) => field.name.value === name)?.value;
  }
  return found;
}

function inside(value: unknown, path: readonly string[]): unknown {
  let found = value;
  for (const name of path) {
    if (typeof found !== 'object' || found === null || !Object.hasOwn(found, name)) return undefined;
    found = (found as Record<string, unknown>)[name];
  }
  return found;
}

function lengthOf({ value }: ArgumentNode): Value {
  if (value.kind === Kind.LIST) return value.values.length;
  if (value.kind !== Kind.VARIABLE) return 1;
  const name = value.name.value;
  return (variables) => {
    const list = variables[name];
    return Array.isArray(list) ? list.length : undefined;
  };
}
