import type { RequestContext } from '../engine.js';

/**
 * Equal work that is under way at the same moment is done once. What makes two reads equal is the caller's key: what is
 * asked, who asks, and every header that subgraphs get. Nobody joins work that began before a write which this process has
 * completed since, so who has written reads the writing.
 */
export class InFlight<Result> {
  /** Who asks → what is asked. Two steps, since one text of both would be a second copy of each request body. */
  readonly #flights = new Map<string, Map<string, Flight<Result>>>();
  #generation = 0;
  /** Those that needed no work of their own: for tests and metrics. */
  joined = 0;

  written(): void {
    this.#generation += 1;
  }

  async share(
    who: string,
    what: string,
    context: RequestContext,
    work: (as: RequestContext) => Promise<Result>,
  ): Promise<Result> {
    const asker = `${this.#generation} ${who}`;
    for (;;) {
      let flight = this.#flights.get(asker)?.get(what);
      if (flight) this.joined += 1;
      else flight = this.#start(asker, what, { ...context, responseHeaders: [] }, work);
      const { leader, result } = flight;
      try {
        const came = await result;
        context.responseHeaders.push(...leader.responseHeaders);
        return came;
      } catch (error) {
        // Whoever began it went away, which is no reason for the others to fail: one of them begins it again.
        if (leader.signal.aborted && !context.signal.aborted) continue;
        context.responseHeaders.push(...leader.responseHeaders);
        throw error;
      }
    }
  }

  #start(
    asker: string,
    what: string,
    leader: RequestContext,
    work: (as: RequestContext) => Promise<Result>,
  ): Flight<Result> {
    const flight = { leader, result: work(leader) };
    let flights = this.#flights.get(asker);
    if (!flights) this.#flights.set(asker, (flights = new Map()));
    flights.set(what, flight);
    const over = () => {
      flights.delete(what);
      if (flights.size === 0) this.#flights.delete(asker);
    };
    flight.result.then(over, over);
    return flight;
  }
}

interface Flight<Result> {
  readonly leader: RequestContext;
  readonly result: Promise<Result>;
}

/** Who asks: equal for two requests when every subgraph would be told the same of both. */
export function identityOf({ subject, headers, consistency }: RequestContext): string {
  if (consistency !== undefined)
    return JSON.stringify([consistency.upTo, subject, [...headers].sort(([one], [other]) => (one < other ? -1 : 1))]);
  if (headers.size === 0) return JSON.stringify(subject);
  if (headers.size === 1) return JSON.stringify([subject, ...headers]);
  return JSON.stringify([subject, ...[...headers].sort(([one], [other]) => (one < other ? -1 : 1))]);
}
