import { isObjectType, responsePathAsArray, type GraphQLField, type GraphQLSchema } from 'graphql';
import { Failure } from '#libs/failure';
import { Once } from '#libs/idempotency';
import type { RequestContext } from './context.js';

/**
 * Each root field of a mutation that came with a key is done once under it: its transaction (`writingFor`) asks `context.once`. The
 * fields of a mutation run one after another, so there is one at a time. Without a key all of this is one comparison.
 */
export function oncePerKey(schema: GraphQLSchema): GraphQLSchema {
  const mutation = schema.getMutationType();
  if (!isObjectType(mutation)) return schema;
  // Also what an operation does before and after its transaction is under way, and an embedded database has one session only.
  const underWay = new Set<string>();
  for (const field of Object.values(mutation.getFields())) guard(field, underWay);
  return schema;
}

function guard(field: GraphQLField<unknown, RequestContext>, underWay: Set<string>): void {
  const { resolve } = field;
  if (!resolve) return;
  field.resolve = (source, args, context, info): unknown => {
    const { key } = context;
    if (key === undefined) return resolve(source, args, context, info);
    if (underWay.has(key.name)) throw new Failure('IDEMPOTENCY_KEY_IN_USE');
    underWay.add(key.name);
    context.once = new Once(key, responsePathAsArray(info.path).join('.'), context.viewer);
    return (async (): Promise<unknown> => {
      try {
        return await (resolve(source, args, context, info) as Promise<unknown>);
      } finally {
        context.once = undefined;
        underWay.delete(key.name);
      }
    })();
  };
}
