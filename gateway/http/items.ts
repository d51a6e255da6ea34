import {
  getNamedType,
  isCompositeType,
  isInterfaceType,
  isObjectType,
  Kind,
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  type GraphQLSchema,
  type OperationDefinitionNode,
  type SelectionSetNode,
} from 'graphql';
import type { Variables } from '../engine.js';
import { pageSize, type ListSizes, type Size } from './page-sizes.js';
import { Refusal } from './refusal.js';

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
      counts[index] = Math.min(ITEMS_MAX, size === undefined ? sum : lengthOf(size, variables) * (1 + sum));
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
/** A fragment, an operation (no size: the sum of what is below), or a page. Only earlier steps are below; the last is all. */
interface Step {
  readonly below: readonly number[];
  readonly size: Size | undefined;
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

  function add(below: readonly number[], size: Size | undefined): number | undefined {
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
    const size = pageSize(field, node.arguments ?? [], listSizes.get(`${typeName}.${field.name}`));
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

function lengthOf(size: Size, variables: Variables): number {
  return typeof size === 'number' ? size : size(variables);
}

function inWords(count: number): string {
  return count.toLocaleString('en-US');
}
