import type { RequestContext } from '../engine.js';

/**
 * Equal work that is under way at the same moment is done once. What makes two reads equal is the caller's key: what is
 * asked, who asks, and every header that subgraphs get. Nobody joins work that began before a write which this process has
 * completed since, so who has written reads the writing.
 */
export class InFlight<Result> {
  readonly #flights = new Map<string, Flight<Result>>();
  #generation = 0;
  /** Those that needed no work of their own: for tests and metrics. */
  joined = 0;

  written(): void {
    this.#generation += 1;
  }

  async share(key: string, context: RequestContext, work: (as: RequestContext) => Promise<Result>): Promise<Result> {
    const whole = `${this.#generation} ${key}`;
    let flight = this.#flights.get(whole);
    if (flight) this.joined += 1;
    else flight = this.#start(whole, { ...context, responseHeaders: [] }, work);
    try {
      return await flight.result;
    } catch (error) {
      // Whoever began it went away, which is no reason for the others to fail.
      if (flight.leader.signal.aborted && !context.signal.aborted) return await work(context);
      throw error;
    } finally {
      context.responseHeaders.push(...flight.leader.responseHeaders);
    }
  }

  #start(key: string, leader: RequestContext, work: (as: RequestContext) => Promise<Result>): Flight<Result> {
    const flight = { leader, result: work(leader) };
    this.#flights.set(key, flight);
    const over = () => void this.#flights.delete(key);
    flight.result.then(over, over);
    return flight;
  }
}

interface Flight<Result> {
  readonly leader: RequestContext;
  readonly result: Promise<Result>;
}

/** Who asks: equal for two requests when every subgraph would be told the same of both. */
export function identityOf({ subject, headers }: RequestContext): string {
  if (headers.size === 0) return JSON.stringify(subject);
  return JSON.stringify([subject, [...headers].sort(([one], [other]) => (one < other ? -1 : 1))]);
}
