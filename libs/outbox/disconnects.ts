import { LRUCache } from 'lru-cache';
import type { Envelope } from '#libs/events';
import { endsConnection } from './trouble.js';

/** So often an event alone may have ended the connection before that is taken for its own doing. */
const ENDS_MAX = 5;
/** Events that are remembered. */
const REMEMBERED = 1_000;

/**
 * A database that is gone says nothing about an event. One that has begun its transaction, taken down that the event came, and goes away
 * under its effect, again and again and under the same event alone, does: the effect asks for more than it can bear (a process of the server
 * that runs out of memory ends every connection), and the stream would bring it for ever, with everything behind it. Remembered in the
 * process: another one begins to count anew.
 */
export class Disconnects {
  readonly #ends = new LRUCache<string, number>({ max: REMEMBERED });
  /** Were together in a transaction that ended so. */
  readonly #suspects = new LRUCache<string, true>({ max: REMEMBERED });

  /** `inEffect`: everything before the effect had succeeded. True: it is the event, not the database, once more. */
  failed(event: Envelope, error: unknown, inEffect: boolean): boolean {
    if (!inEffect || !endsConnection(error)) return false;
    this.#ends.set(event.id, (this.#ends.get(event.id) ?? 0) + 1);
    return this.isWorn(event);
  }

  /** Of several nobody knows which it was: what comes again of them is heard one by one. */
  failedTogether(events: readonly Envelope[], error: unknown, inEffect: boolean): void {
    if (inEffect && endsConnection(error)) for (const { id } of events) this.#suspects.set(id, true);
  }

  /**
   * One of them at least was there when a connection ended. Heard together, they would end it again, and the first of them, alone after
   * that, would meet a server that is not back yet: nothing would ever be counted.
   */
  isSuspect(events: readonly Envelope[]): boolean {
    return events.some(({ id }) => this.#suspects.has(id));
  }

  succeeded({ id }: Envelope): void {
    this.#ends.delete(id);
    this.#suspects.delete(id);
  }

  /** It is not to be heard from the stream any more. */
  isWorn({ id }: Envelope): boolean {
    return (this.#ends.get(id) ?? 0) >= ENDS_MAX;
  }
}

export const ENDS_CONNECTION = 'Its effect ends the connection to the database each time';

/** How far a transaction has come. */
export interface Progress {
  inEffect: boolean;
}
