import type { GraphQLSchema } from 'graphql';

/** A subgraph of a test: its SDL without the `@link` line (all of Federation 2 is imported) and its resolvers. */
export interface SubgraphFixture {
  readonly sdl: string;
  readonly resolvers?: Resolvers;
  /** Use the SDL as it stands: Federation 1, or a `@link` of its own. */
  readonly raw?: boolean;
}

export type Resolvers = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

/** What a fixture's SDL begins with, unless it is raw. */
export const LINK = `extend schema @link(url: "https://specs.apollo.dev/federation/v2.12", import: ["@key", "@requires", "@provides", "@external",
  "@extends", "@shareable", "@inaccessible", "@override", "@interfaceObject", "@tag", "@composeDirective", "@context", "@fromContext",
  "@authenticated", "@requiresScopes", "@policy", "@cacheTag", "@cost", "@listSize", "FieldSet"])\n`;

/** `__resolveReference` and `__resolveType` are understood; a scalar takes `serialize`. */
export function withResolvers(schema: GraphQLSchema, resolvers: Resolvers): GraphQLSchema {
  for (const [typeName, fields] of Object.entries(resolvers)) {
    const type = schema.getType(typeName);
    if (!type) throw new Error(`The test resolves ${typeName}, which its SDL does not have.`);
    for (const [name, resolve] of Object.entries(fields)) {
      if (name === '__resolveReference')
        Object.assign(type, {
          resolveReference: resolve,
          extensions: { ...type.extensions, apollo: { subgraph: { resolveReference: resolve } } },
        });
      else if (name === '__resolveType') Object.assign(type, { resolveType: resolve });
      else if (name === 'serialize') Object.assign(type, { serialize: resolve });
      else if ('getFields' in type && type.getFields()[name]) Object.assign(type.getFields()[name]!, { resolve });
      else throw new Error(`The test resolves ${typeName}.${name}, which its SDL does not have.`);
    }
  }
  return schema;
}
