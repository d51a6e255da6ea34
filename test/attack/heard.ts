import type { TinySubgraph } from '../tiny/tiny-graph.js';

/** What a gateway says to a service: who asks, what, until when; nothing else that its client has said. */
const SAID =
  /^(host|connection|content-type|content-length|accept|accept-encoding|user-agent|x-request-id|tributary-(assertion|timeout-ms|client|session|trace))$/;
/** So clients call what they make up. */
const FORGED = /forged|guess|evil/;

/** Asked: what of clients' headers has reached these services since this was asked last. */
export function hearing(subgraphs: readonly TinySubgraph[]): () => string[] {
  const looked = new Map<TinySubgraph, number>();
  return () => {
    const found = new Set<string>();
    for (const subgraph of subgraphs) {
      const { calls } = subgraph;
      for (const { headers } of calls.slice(looked.get(subgraph) ?? 0))
        for (const [name, value] of Object.entries(headers))
          if (!SAID.test(name) || FORGED.test(String(value))) found.add(`a service heard ${name}: ${String(value)}`);
      looked.set(subgraph, calls.length);
    }
    return [...found];
  };
}
