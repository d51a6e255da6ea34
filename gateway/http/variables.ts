import {
  getNamedType,
  getNullableType,
  getVariableValues,
  GraphQLError,
  isInputObjectType,
  isListType,
  isScalarType,
  isSpecifiedScalarType,
  typeFromAST,
  type GraphQLInputType,
  type GraphQLSchema,
  type NamedTypeNode,
  type VariableDefinitionNode,
} from 'graphql';
import type { Operation, Variables } from '../engine.js';
import { conditionVariables } from '../plan/conditions.js';
import { jsonOf } from '../plan/literals.js';
import { asBuiltIn, digitsOf, hasMarked, parseExactly, withoutMarks } from '../run/exact-numbers.js';
import { Refusal } from './refusal.js';

/** What the variables of a request may be at most. */
export interface VariableLimits {
  /** Levels of lists and objects. */
  readonly depth: number;
  /** Of JSON; a number that is kept to the digit is 33 more. */
  readonly bytes: number;
}

export const VARIABLE_LIMITS: VariableLimits = { depth: 20, bytes: 64 * 1024 };

const ERRORS_MAX = 10;

/** What came → what the operation takes, by its schema: defaults filled in, unknown names dropped. Throws BAD_USER_INPUT. */
export function coerceVariables(
  schema: GraphQLSchema,
  operation: Operation,
  given: Readonly<Record<string, unknown>>,
  suggestions: boolean,
  limits = VARIABLE_LIMITS,
): Variables {
  const marked = requireBounded(given, limits);
  const definitions = operation.definition.variableDefinitions ?? [];
  if (definitions.length === 0) return {};
  const values = withExactDefaults(schema, definitions, marked ? builtIn(schema, definitions, given) : given);
  const result = getVariableValues(schema, definitions, values, {
    maxErrors: ERRORS_MAX,
    hideSuggestions: !suggestions,
  });
  if (result.errors) throw refused(result.errors.map(withoutValue));
  requireConditions(operation, result.coerced);
  return result.coerced;
}

/** With a default a nullable variable may stand in @skip and @include; null is neither yes nor no all the same (GraphQL, “CoerceArgumentValues”). */
function requireConditions({ definition, document }: Operation, values: Variables): void {
  const nulls = (definition.variableDefinitions ?? []).filter(({ variable }) => values[variable.name.value] === null);
  if (nulls.length === 0) return;
  const conditions = new Set(conditionVariables(document, definition));
  const errors = nulls
    .filter(({ variable }) => conditions.has(variable.name.value))
    .map((node) => {
      const message = `Variable "$${node.variable.name.value}" decides a @skip or an @include and must not be null.`;
      return new GraphQLError(message, { nodes: [node] });
    });
  if (errors.length > 0) throw refused(errors);
}

/**
 * graphql-js repeats the whole of an input in which one field is wrong, before the reason and sometimes in it: a password is none of a
 * message's business, nor is our mark of a number. What the client wrote is not searched: it may look like anything.
 */
function withoutValue(error: GraphQLError): GraphQLError {
  const reason = error.originalError?.message ?? '';
  const value = error.message.indexOf(REPEATS) + REPEATS.length;
  const isWhole = value > REPEATS.length && (error.message[value] === '{' || error.message[value] === '[');
  const message = isWhole
    ? `${error.message.slice(0, value - REPEATS.length)} got a value that does not fit; ${reason.replace(/ value: [[{][^]*$/, ' value.')}`
    : withoutMarks(error.message);
  return message === error.message ? error : new GraphQLError(message, { nodes: error.nodes ?? null });
}

/** Behind the name of a variable, in which it cannot be. */
const REPEATS = ' got invalid value ';

function refused(errors: readonly GraphQLError[]): Refusal {
  return Refusal.of('BAD_USER_INPUT', 'The variables do not fit the operation.', { errors });
}

/** Are there marked numbers in it? Throws BAD_USER_INPUT beyond the limits. Deeper values overflow the stack of whoever walks them next; without recursion, so not here. */
export function requireBounded(given: Readonly<Record<string, unknown>>, limits: VariableLimits): boolean {
  let level: unknown[] = Object.values(given);
  if (level.length === 0) return false;
  for (let depth = 1; level.length > 0; depth += 1) {
    if (depth > limits.depth)
      throw Refusal.of('BAD_USER_INPUT', `variables may be at most ${limits.depth} levels deep.`);
    const next: unknown[] = [];
    for (const value of level) {
      if (typeof value === 'object' && value !== null) for (const one of Object.values(value)) next.push(one);
    }
    level = next;
  }
  const json = JSON.stringify(given);
  const marked = hasMarked(json);
  if (Buffer.byteLength(json) > limits.bytes) {
    const why = marked
      ? ' A number that is kept to the digit (1.50, 1e3, more than 15 digits) counts as 33 bytes more.'
      : '';
    throw Refusal.of('BAD_USER_INPUT', `variables may be at most ${limits.bytes} bytes of JSON.${why}`);
  }
  return marked;
}

type Given = Readonly<Record<string, unknown>>;

/** Only a custom scalar takes a number to the digit; whatever else takes one takes a JavaScript number, and an ID a text. */
function builtIn(schema: GraphQLSchema, definitions: readonly VariableDefinitionNode[], given: Given): Given {
  const values: Record<string, unknown> = Object.create(null) as Record<string, unknown>;
  for (const name of Object.keys(given)) values[name] = given[name];
  for (const { variable, type } of definitions) {
    const { value: name } = variable.name;
    const inputType = typeFromAST(schema, type as NamedTypeNode);
    if (Object.hasOwn(values, name) && inputType) values[name] = forType(values[name], inputType as GraphQLInputType);
  }
  return values;
}

function forType(value: unknown, type: GraphQLInputType): unknown {
  if (Array.isArray(value)) {
    const item = getNullableType(type);
    return value.map((one) => forType(one, isListType(item) ? (item.ofType as GraphQLInputType) : type));
  }
  const named = getNamedType(type);
  if (typeof value === 'string') {
    const digits = digitsOf(value);
    if (digits === undefined || (isScalarType(named) && !isSpecifiedScalarType(named))) return value;
    return asBuiltIn(digits, named.name);
  }
  if (typeof value !== 'object' || value === null || !isInputObjectType(named)) return value;
  const fields = named.getFields();
  return Object.fromEntries(
    Object.entries(value).map(([key, one]) => [key, fields[key] ? forType(one, fields[key].type) : one]),
  );
}

/** graphql-js would read the default of a custom scalar as a JavaScript number. */
function withExactDefaults(schema: GraphQLSchema, definitions: readonly VariableDefinitionNode[], given: Given): Given {
  let values = given;
  for (const { variable, type, defaultValue } of definitions) {
    const { value: name } = variable.name;
    if (!defaultValue || Object.hasOwn(values, name)) continue;
    const inputType = typeFromAST(schema, type as NamedTypeNode) as GraphQLInputType | undefined;
    const json = inputType && jsonOf(defaultValue, inputType);
    if (json === undefined) continue;
    const value = parseExactly(`[${json}]`) as [unknown];
    if (hasMarked(JSON.stringify(value))) values = { ...values, [name]: forType(value[0], inputType!) };
  }
  return values;
}
