import { isVersion, WRITES_MAX } from './writes.js';

/**
 * What a gateway and its subgraphs say to each other in `extensions.tributary` (GraphQL over HTTP leaves `extensions` to who implements it)
 * when one of them is behind: the gateway has the subgraph that owns the facts tell their events, and brings them to the one that waits.
 */
export interface Carried {
  /** To the owner: what it is to tell, both versions among it. */
  readonly tell?: readonly Tell[];
  /** From the owner, and to whoever is behind: events as they travel, each aggregate's in its order. */
  readonly events?: readonly unknown[];
}

export interface Tell {
  readonly aggregate: string;
  readonly from: number;
  readonly to: number;
}

/** `extensions` of a request or an answer. What does not have the form says nothing. */
export function carriedOf(extensions: unknown): Carried {
  const { tributary } = isObject(extensions) ? extensions : {};
  if (!isObject(tributary)) return NOTHING;
  const { tell, events } = tributary;
  return {
    ...(Array.isArray(tell) ? { tell: tell.filter(isTell).slice(0, WRITES_MAX) } : {}),
    ...(Array.isArray(events) ? { events } : {}),
  };
}

/** The body of a request (`{"query":…}`) that asks for these events. */
export function tellBody(tell: readonly Tell[]): string {
  return JSON.stringify({ query: '{__typename}', extensions: { tributary: { tell } satisfies Carried } });
}

/** The body of a request (`{"query":…}`, an object with something in it), with these events, each a JSON text, beside what it asks. */
export function withEvents(body: string | Buffer, events: readonly string[]): string {
  const asked = body.toString().trimEnd().slice(0, -1);
  return `${asked},"extensions":{"tributary":{"events":[${events.join(',')}]}}}`;
}

const NOTHING: Carried = {};

function isTell(value: unknown): value is Tell {
  if (!isObject(value)) return false;
  const { aggregate, from, to } = value;
  return typeof aggregate === 'string' && isVersion(from) && isVersion(to);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
