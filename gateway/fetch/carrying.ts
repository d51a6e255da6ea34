import { carriedOf, parseWrites, tellBody, withEvents, type Tell, type Write } from '#libs/consistency';
import type { RequestContext, SubgraphCall, SubgraphClient } from '../engine.js';
import { asOneWrite } from './attempt.js';

/** Beyond it no more are brought: whoever has heard the first is brought the next with the next read. */
const BYTES_MAX = 500_000;

interface Options {
  /** Where a subgraph is asked; undefined where there is none of this name. */
  readonly urlOf: (subgraph: string) => string | undefined;
  /** Told of each time: `heard` when the read was answered then, `refused` when it was not. */
  readonly observe?: ((subgraph: string, outcome: 'heard' | 'refused') => void) | undefined;
}

/**
 * What is refused because its subgraph has not heard what the client has written elsewhere is asked once more, with the events
 * that are missing: the subgraph that owns them tells them from its outbox, past relay and stream. So services that do not call each other
 * read from the source all the same, by their gateway. Nothing is brought beyond the client's own writes, whatever a subgraph says it lacks.
 * A mutation too, where the refusal says that nothing was done: it has no data. Both times it is the same write.
 */
export function carryingClient<Client extends SubgraphClient>(client: Client, options: Options): Client {
  return {
    ...client,
    async post(asked, context) {
      if (context.consistency === undefined || context.consistency.writes.length === 0)
        return client.post(asked, context);
      const call = asOneWrite(asked);
      // What a refused answer wants to be sent to the client is not sent.
      const responseHeaders: RequestContext['responseHeaders'] = [];
      const bytes = await client.post(call, { ...context, responseHeaders });
      const behind = client.behindOf?.(bytes);
      const again =
        behind && (call.type !== 'mutation' || hasDoneNothing(bytes))
          ? await askAgain(client, options, call, context, behind)
          : undefined;
      if (again === undefined) context.responseHeaders.push(...responseHeaders);
      return again ?? bytes;
    },
  };
}

/** Undefined: the refusal stands, and a client may try again. */
async function askAgain(
  client: SubgraphClient,
  { urlOf, observe }: Options,
  call: SubgraphCall,
  context: RequestContext,
  behind: string,
): Promise<Buffer | undefined> {
  let isHeard = false;
  let isAsked = false;
  try {
    const events = await toldOf(client, urlOf, missingOf(behind, context.consistency?.writes ?? []), context);
    if (events.length === 0) return undefined;
    isAsked = true;
    const bytes = await client.post({ ...call, body: withEvents(call.body, fitting(events)) }, context);
    isHeard = client.behindOf?.(bytes) === '';
    return bytes;
  } catch (error) {
    // Whether it was carried out is not known: that nothing was done would not be true any more.
    if (isAsked && call.type === 'mutation') throw error;
    return undefined;
  } finally {
    observe?.(call.subgraph, isHeard ? 'heard' : 'refused');
  }
}

/** A mutation whose subgraph says that it is behind has not begun one of its fields: else there would be data, if with nulls in it. */
function hasDoneNothing(bytes: Buffer): boolean {
  const { data } = (JSON.parse(bytes.toString()) ?? {}) as { data?: unknown };
  return data === undefined || data === null;
}

/** What the subgraph lacks of what the reader has written, by the service that owns it. */
function missingOf(behind: string, own: readonly Write[]): Map<string, Tell[]> {
  const first = new Map((parseWrites(behind) ?? []).map((one) => [`${one.source} ${one.aggregate}`, one.version]));
  const missing = new Map<string, Tell[]>();
  for (const { source, aggregate, version: to } of own) {
    const from = first.get(`${source} ${aggregate}`);
    if (from !== undefined && from <= to)
      missing.set(source, [...(missing.get(source) ?? []), { aggregate, from, to }]);
  }
  return missing;
}

/** What the owners say of it, each of its own; of one that does not know how nothing. */
async function toldOf(
  client: SubgraphClient,
  urlOf: Options['urlOf'],
  missing: ReadonlyMap<string, readonly Tell[]>,
  context: RequestContext,
): Promise<unknown[]> {
  const told = await Promise.all(
    [...missing].map(async ([subgraph, tell]) => {
      const url = urlOf(subgraph);
      if (url === undefined) return [];
      const bytes = await client.post(
        { subgraph, url, type: 'query', body: tellBody(tell) },
        // It is to tell what it has, and to wait for nothing.
        { ...context, consistency: undefined, cost: 0, responseHeaders: [] },
      );
      const answer: unknown = JSON.parse(bytes.toString());
      const { extensions } = (answer ?? {}) as { extensions?: unknown };
      const events = carriedOf(extensions).events ?? [];
      return events.filter((event) => (event as { source?: unknown } | null)?.source === subgraph);
    }),
  );
  return told.flat();
}

/** The first of them. */
function fitting(events: readonly unknown[]): string[] {
  const texts: string[] = [];
  let bytes = 0;
  for (const event of events) {
    const text = JSON.stringify(event);
    bytes += Buffer.byteLength(text);
    if (bytes > BYTES_MAX) break;
    texts.push(text);
  }
  return texts;
}
