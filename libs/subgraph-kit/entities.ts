import { isObjectType, isUnionType, type GraphQLNamedType, type GraphQLSchema } from 'graphql';
import { badInput } from '#libs/failure';

/** The most representations that one `_entities` may name; the gateway sends no more. */
export const REPRESENTATIONS_MAX = 1_000;

/**
 * `_entities` as @apollo/subgraph makes it resolves one reference after another and lets the first one that throws at once throw for
 * all; whatever else is under way then rejects with nobody listening, which ends a Node process. So what is wrong with the list is
 * refused before anything is resolved, and what is wrong with one reference is that one's error.
 */
export function guardEntities(schema: GraphQLSchema): GraphQLSchema {
  const union = schema.getType('_Entity');
  const entities = new Set(isUnionType(union) ? union.getTypes().map(({ name }) => name) : []);
  for (const type of Object.values(schema.getTypeMap())) rejectInsteadOfThrow(type);
  const query = schema.getQueryType();
  const field = isObjectType(query) ? query.getFields()['_entities'] : undefined;
  const resolve = field?.resolve;
  if (!field || !resolve) return schema;
  field.resolve = (source, args: { representations: readonly unknown[] }, context, info): unknown => {
    const { representations } = args;
    if (representations.length > REPRESENTATIONS_MAX) {
      throw badInput(`_entities takes at most ${REPRESENTATIONS_MAX} representations`, representations.length);
    }
    for (const representation of representations) {
      const name = typenameOf(representation);
      if (typeof name !== 'string' || !entities.has(name))
        throw badInput('a representation names an entity of this subgraph', name);
    }
    return resolve(source, args, context, info) as unknown;
  };
  return schema;
}

type Resolve = (...args: unknown[]) => unknown;

function rejectInsteadOfThrow(type: GraphQLNamedType): void {
  const { subgraph } = (type.extensions['apollo'] ?? {}) as { subgraph?: { resolveReference?: Resolve } };
  const resolve = subgraph?.resolveReference;
  if (!subgraph || !resolve) return;
  subgraph.resolveReference = async (...args) => resolve(...args);
}

function typenameOf(representation: unknown): unknown {
  if (typeof representation !== 'object' || representation === null) return undefined;
  return '__typename' in representation ? representation.__typename : undefined;
}
