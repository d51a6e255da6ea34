/** The names by which entities, and what ends them, are known to gateways and to whoever makes them stale. */
export const entityNames = {
  /** `key` is JSON, its fields in the order of their names: `{"id":"user_1"}`. */
  entity: (subgraph: string, type: string, key: string): string => `${subgraph}.${type}|${key}`,
  /** Every entity of a type that one subgraph told. */
  type: (subgraph: string, type: string): string => `type ${subgraph}.${type}`,
  /** Everything that one subgraph told. */
  subgraph: (subgraph: string): string => `subgraph ${subgraph}`,
  /** All that is kept for one viewer alone; by the global id. */
  viewer: (subject: string): string => `viewer ${subject}`,
  /** Answers of root fields that led to an entity. */
  leadsTo: (entity: string): string => `to ${entity}`,
  /** Answers of a subgraph's root fields that there is none. */
  nothing: (subgraph: string): string => `nothing ${subgraph}`,
  /** A write, as one service has taken note of it: for what that service told gateways before. */
  write: (service: string, aggregate: string): string => `${service} ${aggregate}`,
  tag: (tag: string): string => `tag ${tag}`,
};

/** All that ends with an entity: its records, and what was found to lead to it. */
export function staleEntity(subgraph: string, type: string, key: object): { entities: string[]; epochs: string[] } {
  const name = entityNames.entity(subgraph, type, JSON.stringify(key));
  return { entities: [name], epochs: [entityNames.leadsTo(name)] };
}

interface Stale {
  readonly entities?: readonly string[];
  readonly epochs?: readonly string[];
}

/** Several as one. */
export function allStale(parts: readonly Stale[]): { entities: string[]; epochs: string[] } {
  return {
    entities: [...new Set(parts.flatMap(({ entities = [] }) => entities))],
    epochs: [...new Set(parts.flatMap(({ epochs = [] }) => epochs))],
  };
}
