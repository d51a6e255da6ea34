/**
 * What a planner decided, in one shape for both planners: which subgraph is asked what, with which inputs, and where in
 * the answer the outcome goes. `@skip` and `@include` were decided before planning, so there are no conditions in it.
 */
export interface Plan {
  /** Absent when nothing has to be fetched (`{ __typename }`). */
  readonly root: PlanNode | undefined;
}

export type PlanNode = Sequence | Parallel | RootFetch | EntityFetch;

export interface Sequence {
  readonly kind: 'sequence';
  readonly nodes: readonly PlanNode[];
}

export interface Parallel {
  readonly kind: 'parallel';
  readonly nodes: readonly PlanNode[];
}

/** An ordinary operation. `path` is empty except where a field leads back to the root type (`{ rename { query { me } } }`). */
export interface RootFetch {
  readonly kind: 'root';
  readonly subgraph: string;
  readonly operationKind: 'query' | 'mutation';
  readonly operation: string;
  /** Client variables that the operation uses. */
  readonly variables: readonly string[];
  readonly path: Path;
  readonly outputRewrites: readonly Rewrite[];
}

/** One or, when the planner batched siblings, several `_entities` fields in one operation. */
export interface EntityFetch {
  readonly kind: 'entities';
  readonly subgraph: string;
  readonly operation: string;
  readonly variables: readonly string[];
  readonly entities: readonly Entities[];
}

/** One `_entities(representations: $variable)` field of a fetch. */
export interface Entities {
  /** Its key in the subgraph's answer. */
  readonly alias: string;
  readonly variable: string;
  /** Where the entities are in the answer built so far. */
  readonly paths: readonly Path[];
  readonly requires: readonly Required[];
  readonly inputRewrites: readonly Rewrite[];
  readonly outputRewrites: readonly Rewrite[];
  /** Values from further up that become variables (@fromContext). */
  readonly contextRewrites: readonly ContextRewrite[];
}

export type Path = readonly PathStep[];
export type PathStep =
  | { readonly kind: 'key'; readonly key: string }
  | { readonly kind: 'list' }
  | { readonly kind: 'types'; readonly types: readonly string[] };

/** What a representation is made of: fields read from the entity under `read` and sent under `name`. */
export type Required = RequiredField | RequiredOnType;

export interface RequiredField {
  readonly kind: 'field';
  readonly read: string;
  readonly name: string;
  readonly selections: readonly Required[] | undefined;
}

export interface RequiredOnType {
  readonly kind: 'type';
  readonly type: string;
  readonly selections: readonly Required[];
}

/** A change to a representation before it is sent, or to an entity when it came. */
export type Rewrite = SetValue | RenameKey;

export interface SetValue {
  readonly kind: 'set';
  readonly path: readonly RewriteStep[];
  readonly value: unknown;
}

export interface RenameKey {
  readonly kind: 'rename';
  readonly path: readonly RewriteStep[];
  readonly to: string;
}

export type RewriteStep =
  { readonly kind: 'key'; readonly key: string } | { readonly kind: 'types'; readonly types: readonly string[] };

export interface ContextRewrite {
  /** How many objects up from the entity. */
  readonly up: number;
  readonly path: readonly RewriteStep[];
  readonly variable: string;
}

/** Every fetch of a plan, in the order it is written. */
export function fetchesOf(node: PlanNode | undefined): (RootFetch | EntityFetch)[] {
  if (!node) return [];
  switch (node.kind) {
    case 'sequence':
    case 'parallel':
      return node.nodes.flatMap(fetchesOf);
    default:
      return [node];
  }
}

/** A fetch as both planners have it: of entities where it requires something of them, otherwise an ordinary operation. */
export function fetchOf(
  fetch: Pick<RootFetch, 'subgraph' | 'operation' | 'variables' | 'outputRewrites'>,
  operationKind: string | undefined,
  entities: Pick<Entities, 'requires' | 'inputRewrites' | 'contextRewrites'> | undefined,
): RootFetch | EntityFetch {
  const { outputRewrites, ...asked } = fetch;
  if (!entities)
    return {
      kind: 'root',
      ...asked,
      operationKind: operationKind === 'mutation' ? 'mutation' : 'query',
      path: [],
      outputRewrites,
    };
  const one = { alias: '_entities', variable: 'representations', paths: [[]], ...entities, outputRewrites };
  return { kind: 'entities', ...asked, entities: [one] };
}

/** Both planners wrap a fetch in a node that says where; ours carries the path itself. */
export function withPath(node: PlanNode, path: Path): PlanNode {
  switch (node.kind) {
    case 'sequence':
    case 'parallel':
      return { ...node, nodes: node.nodes.map((child) => withPath(child, path)) };
    case 'root':
      return { ...node, path: [...path, ...node.path] };
    case 'entities':
      return {
        ...node,
        entities: node.entities.map((entities) => ({
          ...entities,
          paths: entities.paths.map((inner) => [...path, ...inner]),
        })),
      };
  }
}
