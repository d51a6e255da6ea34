import {
  getNamedType,
  getNullableType,
  isCompositeType,
  isInputObjectType,
  isInterfaceType,
  isListType,
  isObjectType,
  Kind,
  valueFromASTUntyped,
  type ArgumentNode,
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  type GraphQLArgument,
  type GraphQLInputType,
  type GraphQLNamedType,
  type GraphQLSchema,
  type OperationDefinitionNode,
  type SelectionSetNode,
  type ValueNode,
} from 'graphql';
import type { Variables } from '../engine.js';
import { pageSize, slicesGiven, type ListSizes, type Size } from './page-sizes.js';
import { Refusal } from './refusal.js';

/** What `@cost` says, by coordinate: `User`, `User.posts`, `User.posts(first:)`, `SearchInput.text`. */
export type Weights = ReadonlyMap<string, number>;

export interface CostRules {
  readonly weights: Weights;
  readonly listSizes: ListSizes;
  /** How long a list is taken to be of which nothing says how long it is. */
  readonly listSize: number;
}

/** What an operation costs with these variables. */
export type CountCost = (variables: Variables) => number;

/** What Apollo Router takes for a mutation, besides its fields. */
const MUTATION = 10;
/**
 * A field of a mutation whose weight nothing says: a transaction that waits for a disk, an event, and what others do when they hear it.
 * By its object alone twenty writes in one request would cost 30.
 */
const WRITE = 50;
/** Beyond it a number no longer knows its neighbours. */
const COST_MAX = Number.MAX_SAFE_INTEGER;

/**
 * What an operation costs, before anything of it is run: the static cost of IBM's GraphQL cost directives (2021), as routers
 * take it. An object costs 1 and a leaf 0, or what `@cost` says of the field, its type, an argument or an input, and each field of a
 * mutation is dear unless `@cost` says otherwise of it; a list costs as many of what is in it as its page is long (`@listSize`, else `first`, `last`, `limit`, else `listSize`). Of a page that is no
 * list itself (a connection), the lists right below it are as long as it is, or those that `sizedFields` names.
 *
 * Compiled once per operation: what does not hang on variables is one number. Each fragment is one step, looked up wherever it
 * is spread, so the work is bounded by the text. `@skip` and `@include` excuse nothing and every type of a union counts, so it
 * is never too low for lists that are as long as they are said to be.
 */
export function costCounter(
  schema: GraphQLSchema,
  document: DocumentNode,
  definition: OperationDefinitionNode,
  rules: CostRules,
): CountCost {
  const { fixed, steps, below } = new Compilation(schema, document, rules).operation(definition);
  if (below.length === 0) return () => Math.min(COST_MAX, fixed);
  const values = new Float64Array(steps.length);
  return (variables) => {
    for (let index = 0; index < steps.length; index += 1) values[index] = valueOf(steps[index]!, values, variables);
    return Math.min(COST_MAX, fixed + sum(below, values));
  };
}

/** Throws when an operation costs more than `allowed`. */
export function requireAffordable(cost: number, allowed: number): void {
  if (cost <= allowed) return;
  const more = cost >= COST_MAX ? 'more than ' : '';
  throw Refusal.of(
    'GRAPHQL_VALIDATION_FAILED',
    `This operation costs an estimated ${more}${inWords(cost)}, and ${inWords(allowed)} are allowed; ask for fewer fields, or for smaller pages.`,
  );
}

/** What hangs on variables: `outside + size × (inside + below)`. Only earlier steps are below. */
interface Step {
  readonly outside: readonly ((variables: Variables) => number)[];
  readonly size: Size;
  readonly inside: number;
  readonly below: readonly number[];
}

/** What is known now, and the steps that have to be added to it. */
interface Sum {
  fixed: number;
  readonly below: number[];
}

function valueOf({ outside, size, inside, below }: Step, values: Float64Array, variables: Variables): number {
  const length = typeof size === 'number' ? size : size(variables);
  const arguments_ = outside.reduce((total, one) => total + one(variables), 0);
  return Math.min(COST_MAX, arguments_ + length * (inside + sum(below, values)));
}

function sum(below: readonly number[], values: Float64Array): number {
  let total = 0;
  for (const one of below) total += values[one]!;
  return total;
}

/** Where the fields of a selection stand: their type, and the page right above them. */
interface Place {
  readonly type: string;
  readonly page?: { readonly size: Size; readonly fields: readonly string[] | undefined; readonly id: number };
}

class Compilation {
  readonly steps: Step[] = [];
  readonly #schema: GraphQLSchema;
  readonly #rules: CostRules;
  readonly #fragments = new Map<string, FragmentDefinitionNode>();
  readonly #known = new Map<string, Sum>();
  #pages = 0;

  constructor(schema: GraphQLSchema, document: DocumentNode, rules: CostRules) {
    this.#schema = schema;
    this.#rules = rules;
    for (const one of document.definitions)
      if (one.kind === Kind.FRAGMENT_DEFINITION) this.#fragments.set(one.name.value, one);
  }

  operation(definition: OperationDefinitionNode): Sum & { readonly steps: readonly Step[] } {
    const total: Sum = { fixed: definition.operation === 'mutation' ? MUTATION : 0, below: [] };
    const root = this.#schema.getRootType(definition.operation);
    if (root) this.#collect(definition.selectionSet, { type: root.name }, total);
    return { ...total, steps: this.steps };
  }

  #collect(selectionSet: SelectionSetNode, place: Place, into: Sum): void {
    for (const selection of selectionSet.selections) {
      if (selection.kind === Kind.FIELD) this.#field(selection, place, into);
      else if (selection.kind === Kind.INLINE_FRAGMENT)
        this.#collect(
          selection.selectionSet,
          { ...place, type: selection.typeCondition?.name.value ?? place.type },
          into,
        );
      else add(into, this.#fragment(selection.name.value, place));
    }
  }

  /** The same fragment costs the same wherever it is spread, but for the page that it stands in. */
  #fragment(name: string, { page }: Place): Sum {
    const key = page ? `${name} ${page.id}` : name;
    const known = this.#known.get(key);
    if (known) return known;
    const none: Sum = { fixed: 0, below: [] };
    // While it is being looked at it is nothing: a circle ends here, and validation refuses it.
    this.#known.set(key, none);
    const fragment = this.#fragments.get(name);
    if (!fragment) return none;
    const total: Sum = { fixed: 0, below: [] };
    this.#collect(fragment.selectionSet, { type: fragment.typeCondition.name.value, ...(page ? { page } : {}) }, total);
    const whole =
      total.below.length > 1 ? this.#step({ outside: [], size: 1, inside: total.fixed, below: total.below }) : total;
    this.#known.set(key, whole);
    return whole;
  }

  #field(node: FieldNode, place: Place, into: Sum): void {
    const parent = this.#schema.getType(place.type);
    // A union has no fields of its own; what begins with __ is answered by the gateway itself, within limits of its own.
    if (!isObjectType(parent) && !isInterfaceType(parent)) return;
    const field = parent.getFields()[node.name.value];
    if (!field) return;
    const coordinate = `${place.type}.${field.name}`;
    const given = node.arguments ?? [];
    const said = this.#rules.listSizes.get(coordinate);
    if (said?.requiresOne && said.slicingArguments.length > 0) {
      const count = slicesGiven(field, given, said);
      if (count !== 1)
        throw Refusal.of(
          'GRAPHQL_VALIDATION_FAILED',
          `${coordinate} takes exactly one of ${said.slicingArguments.join(', ')}, which say how long its page is; came ${count}.`,
        );
    }
    const isList = isListType(getNullableType(field.type));
    const sized = said?.sizedFields && said.sizedFields.length > 0 ? said.sizedFields : undefined;
    const own = pageSize(field, given, said);
    const size = isList && !sized ? (own ?? this.#pageOf(field.name, place) ?? this.#rules.listSize) : 1;
    const page =
      own !== undefined && (sized || !isList) ? { size: own, fields: sized, id: (this.#pages += 1) } : undefined;

    const type = getNamedType(field.type);
    const writes = parent === this.#schema.getMutationType() && !this.#rules.weights.has(coordinate);
    // Once, however long a list it answers with.
    if (writes) into.fixed += WRITE;
    const inside: Sum = {
      fixed: writes ? (this.#rules.weights.get(type.name) ?? 0) : this.#weight(coordinate, type),
      below: [],
    };
    if (node.selectionSet && isCompositeType(type))
      this.#collect(node.selectionSet, { type: type.name, ...(page ? { page } : {}) }, inside);
    const outside = field.args.flatMap((argument) => this.#argument(coordinate, argument, given));
    for (const one of outside) if (typeof one === 'number') into.fixed += one;
    const open = outside.filter((one) => typeof one !== 'number');
    if (typeof size === 'number' && inside.below.length === 0 && open.length === 0)
      into.fixed = Math.min(COST_MAX, into.fixed + size * inside.fixed);
    else if (size === 1 && open.length === 0) add(into, inside);
    else add(into, this.#step({ outside: open, size, inside: inside.fixed, below: inside.below }));
  }

  #pageOf(field: string, { page }: Place): Size | undefined {
    return page && (page.fields === undefined || page.fields.includes(field)) ? page.size : undefined;
  }

  #weight(coordinate: string, type: GraphQLNamedType): number {
    const { weights } = this.#rules;
    return weights.get(coordinate) ?? weights.get(type.name) ?? (isCompositeType(type) ? 1 : 0);
  }

  /** What an argument costs when it is given: its own weight, and those of the inputs in it. */
  #argument(
    field: string,
    argument: GraphQLArgument,
    given: readonly ArgumentNode[],
  ): (number | ((variables: Variables) => number))[] {
    if (this.#rules.weights.size === 0) return [];
    const own = this.#rules.weights.get(`${field}(${argument.name}:)`) ?? 0;
    const inputs = this.#hasWeights(argument.type);
    if (own === 0 && !inputs) return [];
    const node = given.find(({ name }) => name.value === argument.name)?.value;
    const costOf = (value: unknown): number =>
      value === undefined || value === null ? 0 : own + (inputs ? this.#input(value, argument.type) : 0);
    if (node === undefined) return [costOf(argument.defaultValue)];
    if (!hasVariables(node)) return [costOf(valueFromASTUntyped(node))];
    return [(variables) => costOf(valueFromASTUntyped(node, variables as Record<string, unknown>))];
  }

  #input(value: unknown, type: GraphQLInputType): number {
    const named = getNamedType(type);
    if (Array.isArray(value)) return value.reduce<number>((total, one) => total + this.#input(one, named), 0);
    if (!isInputObjectType(named) || typeof value !== 'object' || value === null) return 0;
    return Object.values(named.getFields()).reduce((total, field) => {
      if (!Object.hasOwn(value, field.name)) return total;
      const inner = (value as Record<string, unknown>)[field.name];
      const weight = this.#rules.weights.get(`${named.name}.${field.name}`) ?? 0;
      return total + weight + this.#input(inner, field.type);
    }, 0);
  }

  #hasWeights(type: GraphQLInputType, seen = new Set<string>()): boolean {
    const named = getNamedType(type);
    if (!isInputObjectType(named) || seen.has(named.name)) return false;
    seen.add(named.name);
    return Object.values(named.getFields()).some(
      (field) => this.#rules.weights.has(`${named.name}.${field.name}`) || this.#hasWeights(field.type, seen),
    );
  }

  #step(step: Step): Sum {
    return { fixed: 0, below: [this.steps.push(step) - 1] };
  }
}

function add(into: Sum, more: Sum): void {
  into.fixed = Math.min(COST_MAX, into.fixed + more.fixed);
  into.below.push(...more.below);
}

function hasVariables(node: ValueNode): boolean {
  if (node.kind === Kind.VARIABLE) return true;
  if (node.kind === Kind.LIST) return node.values.some(hasVariables);
  return node.kind === Kind.OBJECT && node.fields.some(({ value }) => hasVariables(value));
}

function inWords(count: number): string {
  return count.toLocaleString('en-US');
}
