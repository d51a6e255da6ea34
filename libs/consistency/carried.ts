/**
 * What a gateway and its subgraphs say to each other in `extensions.tributary` (GraphQL over HTTP leaves `extensions` to who implements it)
 * when one of them is behind: the gateway has the subgraph that owns the facts tell their events, and brings them to the one that waits.
 */
export interface Carried {
  /** To the owner: of which aggregates, up to which versions (`writesText`). */
  readonly tell?: string;
  /** From the owner, and to whoever is behind: events as they travel, each aggregate's in its order. */
  readonly events?: readonly unknown[];
}

/** `extensions` of a request or an answer. What does not have the form says nothing. */
export function carriedOf(extensions: unknown): Carried {
  const { tributary } = isObject(extensions) ? extensions : {};
  if (!isObject(tributary)) return NOTHING;
  const { tell, events } = tributary;
  return {
    ...(typeof tell === 'string' ? { tell } : {}),
    ...(Array.isArray(events) ? { events } : {}),
  };
}

/** The body of a request (`{"query":…}`) that asks for these events. */
export function tellBody(writes: string): string {
  return JSON.stringify({ query: '{__typename}', extensions: { tributary: { tell: writes } satisfies Carried } });
}

/** The body of a request (`{"query":…}`, an object with something in it), with these events beside what it asks. */
export function withEvents(body: string | Buffer, events: readonly unknown[]): string {
  const extensions = JSON.stringify({ tributary: { events } satisfies Carried });
  return `${body.toString().trimEnd().slice(0, -1)},"extensions":${extensions}}`;
}

const NOTHING: Carried = {};

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
