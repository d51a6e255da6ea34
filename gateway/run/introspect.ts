import { executeSync, type GraphQLSchema } from 'graphql';
import type { Variables } from '../engine.js';
import type { NormalOperation } from '../plan/normalise.js';

const none: ReadonlyMap<string, string> = new Map();

/** `__schema` and `__type` as JSON text by response key, answered by graphql-js from what clients may see. */
export function introspect(
  operation: NormalOperation,
  schema: GraphQLSchema,
  variables: Variables,
): ReadonlyMap<string, string> {
  if (!operation.introspection) return none;
  const literals = Object.fromEntries(
    [...operation.literals].map(([name, json]) => [name, JSON.parse(json) as unknown]),
  );
  const renamed = Object.fromEntries(
    [...operation.clientVariables].flatMap(([name, client]) =>
      Object.hasOwn(variables, client) ? [[name, variables[client]]] : [],
    ),
  );
  const result = executeSync({
    schema,
    document: operation.introspection,
    variableValues: { ...variables, ...renamed, ...literals },
  });
  if (result.errors) throw result.errors[0]!;
  return new Map(
    Object.entries(result.data ?? {}).map(([key, value]) => [
      operation.clientKeys.get(key) ?? key,
      JSON.stringify(value),
    ]),
  );
}
