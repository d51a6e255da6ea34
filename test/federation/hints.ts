/** What a subgraph says before it may write `@cacheControl`, which composition then carries to the gateway. */
export const HINTS = `
  enum CacheControlScope { PUBLIC PRIVATE }
  directive @cacheControl(maxAge: Int, scope: CacheControlScope, inheritMaxAge: Boolean) on FIELD_DEFINITION | OBJECT | INTERFACE | UNION
  extend schema @link(url: "https://tributary.dev/cacheControl/v1.0", import: ["@cacheControl"]) @composeDirective(name: "@cacheControl")
`;
