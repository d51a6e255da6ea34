import {
  Kind,
  type DirectiveNode,
  type DocumentNode,
  type OperationDefinitionNode,
  type SelectionSetNode,
  type ValueNode,
} from 'graphql';
import { fragmentsOf, rootFieldsOf } from '../plan/root-fields.js';
import { Refusal } from './refusal.js';
import { VARIABLE_LIMITS } from './variables.js';

/** What an operation may be at most. Counted with fragments expanded, before validation and planning look at it. */
export interface Limits {
  /** Lexical tokens of the document; the parser stops there. */
  readonly tokens: number;
  /** Fields between a field and its root field. */
  readonly depth: number;
  readonly aliases: number;
  /** Characters of one: it stands in the answer wherever its field does, and in every path to an error. */
  readonly aliasLength: number;
  /** Different root fields. */
  readonly rootFields: number;
  readonly directives: number;
  /** Fields, after every fragment was put where it is spread. */
  readonly selections: number;
  /** What its pages multiply to, with the variables of a request (items.ts). */
  readonly items: number;
  /** Levels of lists and objects of a value: in the document, and in the variables of a request (variables.ts). */
  readonly valueDepth: number;
}

/** Where nobody sets others. */
export const DOCUMENT_LIMITS: Limits = {
  tokens: 2_000,
  depth: 10,
  aliases: 30,
  aliasLength: 100,
  rootFields: 20,
  directives: 50,
  selections: 1_000,
  items: 20_000,
  valueDepth: VARIABLE_LIMITS.depth,
};

/**
 * Throws when any operation or fragment is over a limit. Twenty-five fragments that each spread the next twice are 33
 * million selections in 1,400 bytes (they stopped the stock gateway for 9 s); each fragment is measured once here and its
 * numbers are added where it is spread, so the counting costs as much as the text is long. Names decide nothing, and
 * what is under `__schema` is excused from depth only: the introspection query is 13 deep, and bounded by its own rule.
 *
 * Returns how many fields the largest of them has.
 */
export function checkLimits(document: DocumentNode, limits: Limits): number {
  const measure = measurerOf(document);
  let largest = 0;
  for (const definition of document.definitions) {
    if (definition.kind !== Kind.OPERATION_DEFINITION && definition.kind !== Kind.FRAGMENT_DEFINITION) continue;
    const size = measure(definition.selectionSet);
    largest = Math.max(largest, size.fields);
    const variables = definition.kind === Kind.OPERATION_DEFINITION ? (definition.variableDefinitions ?? []) : [];
    const directives = variables.reduce(
      (sum, variable) => sum + lengthOf(variable.directives),
      lengthOf(definition.directives),
    );
    // A fragment has no root field; how deep it comes to lie is counted where it is spread.
    const isOperation = definition.kind === Kind.OPERATION_DEFINITION;
    if (isOperation && size.depth - 2 > limits.depth)
      refuse(`Fields may be at most ${limits.depth} fields below their root field.`);
    if (size.aliasLength > limits.aliasLength) refuse(`An alias may have at most ${limits.aliasLength} characters.`);
    if (size.aliases > limits.aliases) refuse(`An operation may have at most ${limits.aliases} aliases.`);
    if (size.directives + directives > limits.directives)
      refuse(`An operation may have at most ${limits.directives} directives.`);
    if (size.fields > limits.selections)
      refuse(`An operation may select at most ${limits.selections} fields, fragments included.`);
    if (isOperation && rootFields(document, definition) > limits.rootFields) {
      refuse(`An operation may have at most ${limits.rootFields} different root fields.`);
    }
    if (
      size.values > limits.valueDepth ||
      variables.some((variable) => variable.defaultValue && valueDepth(variable.defaultValue) > limits.valueDepth)
    ) {
      refuse(`A value may be at most ${limits.valueDepth} levels deep.`);
    }
    // A variable of this name would become the prototype of the object that holds the variables.
    if (variables.some((variable) => variable.variable.name.value === '__proto__'))
      refuse('A variable cannot be named __proto__.');
  }
  return largest;
}

interface Size {
  /** Levels of fields, leaves included. */
  depth: number;
  fields: number;
  aliases: number;
  /** Of the longest. */
  aliasLength: number;
  directives: number;
  /** Levels of lists and objects in arguments. */
  values: number;
}

function measurerOf(document: DocumentNode): (selectionSet: SelectionSetNode) => Size {
  const fragments = fragmentsOf(document);
  const sizes = new Map<string, Size>();

  function measure(selectionSet: SelectionSetNode): Size {
    const size = nothing();
    for (const selection of selectionSet.selections) {
      size.directives += lengthOf(selection.directives);
      if (selection.kind === Kind.FIELD) {
        size.fields += 1;
        for (const argument of selection.arguments ?? [])
          size.values = Math.max(size.values, valueDepth(argument.value));
        if (selection.alias) {
          size.aliases += 1;
          size.aliasLength = Math.max(size.aliasLength, selection.alias.value.length);
        }
        const below = selection.selectionSet ? measure(selection.selectionSet) : undefined;
        if (below) add(size, below);
        const excused = selection.name.value === '__schema' || selection.name.value === '__type';
        size.depth = Math.max(size.depth, excused ? 1 : 1 + (below?.depth ?? 0));
      } else {
        const inside =
          selection.kind === Kind.INLINE_FRAGMENT ? measure(selection.selectionSet) : ofFragment(selection.name.value);
        add(size, inside);
        size.depth = Math.max(size.depth, inside.depth);
      }
    }
    return size;
  }

  function ofFragment(name: string): Size {
    const known = sizes.get(name);
    if (known) return known;
    const none = nothing();
    // While it is being measured it is nothing: a circle ends here, and validation refuses it.
    sizes.set(name, none);
    const fragment = fragments.get(name);
    if (!fragment) return none;
    const size = measure(fragment.selectionSet);
    size.directives += lengthOf(fragment.directives);
    sizes.set(name, size);
    return size;
  }

  return measure;
}

function nothing(): Size {
  return { depth: 0, fields: 0, aliases: 0, aliasLength: 0, directives: 0, values: 0 };
}

function add(size: Size, more: Size): void {
  size.fields += more.fields;
  size.aliases += more.aliases;
  size.aliasLength = Math.max(size.aliasLength, more.aliasLength);
  size.directives += more.directives;
  size.values = Math.max(size.values, more.values);
}

function valueDepth(value: ValueNode): number {
  if (value.kind === Kind.LIST) return 1 + value.values.reduce((deepest, one) => Math.max(deepest, valueDepth(one)), 0);
  if (value.kind === Kind.OBJECT)
    return 1 + value.fields.reduce((deepest, one) => Math.max(deepest, valueDepth(one.value)), 0);
  return 0;
}

/** Thirty aliases of one root field are one root field; the aliases have a limit of their own. */
function rootFields(document: DocumentNode, operation: OperationDefinitionNode): number {
  return new Set(rootFieldsOf(document, operation).map(({ name }) => name.value)).size;
}

function lengthOf(directives: readonly DirectiveNode[] | undefined): number {
  return directives?.length ?? 0;
}

function refuse(message: string): never {
  throw Refusal.of('GRAPHQL_VALIDATION_FAILED', message);
}
