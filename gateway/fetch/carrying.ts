import { carriedOf, parseWrites, tellBody, withEvents, writesText, type Write } from '#libs/consistency';
import type { RequestContext, SubgraphCall, SubgraphClient } from '../engine.js';

/** More than that is not brought: who is that far behind is refused, as without it. */
const BYTES_MAX = 500_000;

interface Options {
  /** Where a subgraph is asked; undefined where there is none of this name. */
  readonly urlOf: (subgraph: string) => string | undefined;
  /** Told of each time: `heard` when the read was answered then, `refused` when it was not. */
  readonly observe?: ((subgraph: string, outcome: 'heard' | 'refused') => void) | undefined;
}

/**
 * A read that is refused because its subgraph has not heard what the reader has written elsewhere is asked once more, with the events
 * that are missing: the subgraph that owns them tells them from its outbox, past relay and stream. So services that do not call each other
 * read from the source all the same, by their gateway. Only the reader's own writes are brought, whatever a subgraph says it lacks.
 */
export function carryingClient<Client extends SubgraphClient>(client: Client, options: Options): Client {
  return {
    ...client,
    post(call, context) {
      const asked = client.post(call, context);
      if (context.consistency === undefined || call.type === 'mutation') return asked;
      return asked.then((bytes) => {
        const behind = client.behindOf?.(bytes);
        return behind === undefined ? bytes : askAgain(client, options, call, context, { bytes, behind });
      });
    },
  };
}

async function askAgain(
  client: SubgraphClient,
  { urlOf, observe }: Options,
  call: SubgraphCall,
  context: RequestContext,
  refused: { readonly bytes: Buffer; readonly behind: string },
): Promise<Buffer> {
  try {
    const own = context.consistency?.writes ?? [];
    const missing = (parseWrites(refused.behind) ?? []).filter((one) =>
      own.some((write) => write.source === one.source && write.aggregate === one.aggregate),
    );
    const events = await toldOf(client, urlOf, missing, context);
    if (events.length === 0) return refused.bytes;
    const body = withEvents(call.body, events);
    if (body.length - call.body.length > BYTES_MAX) return refused.bytes;
    const bytes = await client.post({ ...call, body }, context);
    observe?.(call.subgraph, client.behindOf?.(bytes) === undefined ? 'heard' : 'refused');
    return bytes;
  } catch {
    // The owner, or who waits, could not be asked: the refusal stands, and a client may try again.
    observe?.(call.subgraph, 'refused');
    return refused.bytes;
  }
}

/** What the owners say of it, each of its own; of one that does not know how, or is not there, the read stays refused. */
async function toldOf(
  client: SubgraphClient,
  urlOf: Options['urlOf'],
  missing: readonly Write[],
  context: RequestContext,
): Promise<unknown[]> {
  const sources = [...new Set(missing.map(({ source }) => source))];
  const told = await Promise.all(
    sources.map(async (source) => {
      const url = urlOf(source);
      if (url === undefined) return [];
      const body = tellBody(writesText(missing.filter((write) => write.source === source)));
      const bytes = await client.post({ subgraph: source, url, type: 'query', body }, context);
      const answer: unknown = JSON.parse(bytes.toString());
      const { extensions } = (answer ?? {}) as { extensions?: unknown };
      return (carriedOf(extensions).events ?? []).filter(
        (event) => (event as { source?: unknown } | null)?.source === source,
      );
    }),
  );
  return told.flat();
}
