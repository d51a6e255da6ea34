import type { RequestContext } from '../engine.js';
import { NOT_TAKEN } from '../http/refusal.js';

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

  share(
    who: string,
    what: string,
    context: RequestContext,
    work: (as: RequestContext) => Promise<Result>,
  ): Promise<Result> {
    const asker = `${this.#generation} ${who}`;
    const flight = this.#flights.get(asker)?.get(what);
    if (!flight) return this.#lead(asker, what, context, work);
    this.joined += 1;
    return this.#join(flight, context, () => this.share(who, what, context, work));
  }

  /** Nearly every read is nobody else's: it pays for one promise. */
  #lead(
    asker: string,
    what: string,
    context: RequestContext,
    work: (as: RequestContext) => Promise<Result>,
  ): Promise<Result> {
    const leader = { ...context, responseHeaders: [] };
    const flight = { leader, result: work(leader) };
    let flights = this.#flights.get(asker);
    if (!flights) this.#flights.set(asker, (flights = new Map()));
    flights.set(what, flight);
    const over = (): void => {
      flights.delete(what);
      if (flights.size === 0) this.#flights.delete(asker);
      context.responseHeaders.push(...leader.responseHeaders);
    };
    return flight.result.then(
      (came) => {
        over();
        return came;
      },
      (error: unknown) => {
        over();
        throw error;
      },
    );
  }

  async #join(
    { leader, result }: Flight<Result>,
    context: RequestContext,
    again: () => Promise<Result>,
  ): Promise<Result> {
    try {
      const came = await result;
      if (leader.begun && !context.signal.aborted) context.begun?.join(leader.begun);
      context.responseHeaders.push(...forEverybody(leader.responseHeaders));
      return came;
    } catch (error) {
      // Whoever began it went away, which is no reason for the others to fail: one of them begins it again.
      if (leader.signal.aborted && !context.signal.aborted) return again();
      // Whoever began it was turned away, by its lot or because it had begun nowhere yet.
      if (leader.begun && (error === NOT_TAKEN || (error as Error).cause === NOT_TAKEN)) {
        if (context.begun?.comesBefore(leader.begun) !== false && !context.signal.aborted) return again();
        context.begun?.turnedAway();
      }
      context.responseHeaders.push(...forEverybody(leader.responseHeaders));
      throw error;
    }
  }
}

/** A cookie is one visitor's: of two who are told the same, only the one whose read it was gets it. */
function forEverybody(headers: RequestContext['responseHeaders']): RequestContext['responseHeaders'] {
  return headers.filter(([name]) => name !== 'set-cookie');
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
