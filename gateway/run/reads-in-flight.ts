import type { RequestContext, SubgraphClient } from '../engine.js';
import type { Supergraph } from '../supergraph/supergraph.js';
import type { Send } from './run.js';

/**
 * Equal reads that are under way at the same moment share one call: same subgraph, same body, same person, same forwarded
 * headers. Only bytes are shared; every request makes its own answer of them. A write that this process has completed
 * starts a new generation, so nobody joins a read that began before it.
 */
export class ReadsInFlight {
  readonly #supergraph: Supergraph;
  readonly #client: SubgraphClient;
  readonly #join: boolean;
  readonly #flights = new Map<string, Flight>();
  #generation = 0;
  /** Calls that needed no request of their own: for tests and metrics. */
  joined = 0;

  constructor(supergraph: Supergraph, client: SubgraphClient, join: boolean) {
    this.#supergraph = supergraph;
    this.#client = client;
    this.#join = join;
  }

  written(): void {
    this.#generation += 1;
  }

  sender(context: RequestContext): Send {
    let identity: string | undefined;
    return (subgraph, type, body) => {
      const url = this.#supergraph.subgraphs.get(subgraph)!.url;
      const call = (as: RequestContext) => this.#client.post({ subgraph, url, type, body }, as);
      if (!this.#join || type === 'mutation') return call(context);
      identity ??= JSON.stringify([context.subject, [...context.headers].sort()]);
      return this.#fly(`${this.#generation} ${subgraph} ${identity} ${body}`, context, call);
    };
  }

  async #fly(key: string, context: RequestContext, call: (as: RequestContext) => Promise<Buffer>): Promise<Buffer> {
    let flight = this.#flights.get(key);
    if (flight) {
      this.joined += 1;
    } else {
      const leader: RequestContext = { ...context, responseHeaders: [] };
      flight = { leader, bytes: call(leader) };
      const own = flight;
      this.#flights.set(key, own);
      const over = () => void (this.#flights.get(key) === own && this.#flights.delete(key));
      own.bytes.then(over, over);
    }
    try {
      return await flight.bytes;
    } catch (error) {
      // Whoever began it went away, which is no reason for the others to fail.
      if (flight.leader.signal.aborted && !context.signal.aborted) return await call(context);
      throw error;
    } finally {
      context.responseHeaders.push(...flight.leader.responseHeaders);
    }
  }
}

interface Flight {
  readonly leader: RequestContext;
  readonly bytes: Promise<Buffer>;
}
