import { getVariableValues, GraphQLError, type GraphQLSchema } from 'graphql';
import type { Operation, Variables } from '../engine.js';
import { Refusal } from './refusal.js';

const DEPTH_MAX = 20;
const BYTES_MAX = 64 * 1024;
const ERRORS_MAX = 10;

/** What came → what the operation takes, by its schema: defaults filled in, unknown names dropped. Throws BAD_USER_INPUT. */
export function coerceVariables(
  schema: GraphQLSchema,
  operation: Operation,
  given: Readonly<Record<string, unknown>>,
  suggestions: boolean,
): Variables {
  requireBounded(given);
  const definitions = operation.definition.variableDefinitions ?? [];
  if (definitions.length === 0) return {};
  const result = getVariableValues(schema, definitions, given, {
    maxErrors: ERRORS_MAX,
    hideSuggestions: !suggestions,
  });
  if (result.errors) throw refused(result.errors);
  return result.coerced;
}

function refused(errors: readonly GraphQLError[]): Refusal {
  return Refusal.of('BAD_USER_INPUT', 'The variables do not fit the operation.', { errors });
}

/** Deeper values overflow the stack of whoever walks them next; without recursion, so not here. */
function requireBounded(given: Readonly<Record<string, unknown>>): void {
  let level: unknown[] = Object.values(given);
  if (level.length === 0) return;
  for (let depth = 1; level.length > 0; depth += 1) {
    if (depth > DEPTH_MAX) throw Refusal.of('BAD_USER_INPUT', `variables may be at most ${DEPTH_MAX} levels deep.`);
    const next: unknown[] = [];
    for (const value of level) {
      if (typeof value === 'object' && value !== null) for (const one of Object.values(value)) next.push(one);
    }
    level = next;
  }
  if (Buffer.byteLength(JSON.stringify(given)) > BYTES_MAX) {
    throw Refusal.of('BAD_USER_INPUT', `variables may be at most ${BYTES_MAX} bytes of JSON.`);
  }
}
