import { Exhausted } from '#libs/failure';
import { Outage, type Logger } from '#libs/telemetry';
import { CONNECTION_WAIT_MS } from './replica-look.js';
import { sqlState } from './trouble.js';

/** What is known of one statement, by its text; ms on this process's clock. */
interface Known {
  readonly calls: Set<Call>;
  /** When somebody was answered in good time who asked the same. */
  answeredAt: number;
  /** Until then nobody asks it there. */
  leftUntil: number;
  /** How many may ask it there at a time. */
  admitted: number;
}

/** One who asks. */
interface Call {
  /** Since when it has a connection; absent: it waits for one. */
  connectedAt?: number;
}

/**
 * Leaves alone, for a while, what a replica is too slow for: else each that asks it waits its second there before the primary is asked. By
 * statement and not all of it: what is there in memory is answered at once while what has to be read from a disk is not, and one statement
 * that is slow everywhere is no reason to ask all others of the primary. For the same reason it is not who found no connection free that is left alone, but what
 * has held one most of the time that they waited. Where somebody was answered meanwhile who asked the same, it
 * was this one's values or the crowd before it, and nothing is left alone.
 */
export class SlowStatements {
  readonly #known = new Map<string, Known>();
  readonly #outage: Outage;
  readonly #clock: () => number;

  constructor(logger: Logger, fields: object, clock: () => number = () => performance.now()) {
    this.#clock = clock;
    this.#outage = new Outage({
      logger,
      fields,
      began:
        'A replica is slow: a statement that took too long there is asked of the primary, and tried again each ten seconds',
      lasts: 'A replica is still slow; what takes too long there is asked of the primary',
      over: 'Nothing has taken too long on a replica for a minute',
      overMs: OVER_MS,
    });
  }

  /**
   * `ask`, which says when it has a connection; or at once an error while it is left alone. When that is over one caller tries it, and with
   * each that is answered in good time twice as many may.
   */
  async unlessSlow<T>(text: string, ask: (connected: () => void) => Promise<T>): Promise<T> {
    const askedAt = this.#clock();
    const known = this.#knownOf(text);
    if (known.leftUntil > askedAt || known.calls.size >= known.admitted) throw new LeftAlone();
    const call: Call = {};
    known.calls.add(call);
    try {
      const answer = await ask(() => void (call.connectedAt = this.#clock()));
      const now = this.#clock();
      if (now - (call.connectedAt ?? askedAt) < CONNECTION_WAIT_MS)
        Object.assign(known, { answeredAt: now, leftUntil: NEVER, admitted: known.admitted * 2 });
      return answer;
    } catch (error) {
      if (this.#leaveFor(error, known, askedAt)) this.#outage.failed(error);
      throw error;
    } finally {
      known.calls.delete(call);
    }
  }

  close(): void {
    this.#outage.close();
  }

  /** Is anything left alone for it? One that says nothing at all is out as a whole. */
  #leaveFor(error: unknown, known: Known, askedAt: number): boolean {
    // It took longer than one may wait.
    if (sqlState(error) === '57014') return this.#leave(known, askedAt, LEFT_MS);
    if (!(error instanceof Exhausted)) return false;
    const since = this.#clock() - CONNECTION_WAIT_MS / 2;
    const holders = [...this.#known.values()].filter(({ calls }) =>
      [...calls].some(({ connectedAt = Number.POSITIVE_INFINITY }) => connectedAt <= since),
    );
    // Who waited may have had no luck, or nobody gets a connection there: by the end of that time those who hold them have had their second.
    const left = [
      this.#leave(known, askedAt, CONNECTION_WAIT_MS),
      ...holders.map((holder) => this.#leave(holder, askedAt, LEFT_MS)),
    ];
    return left.includes(true);
  }

  /** Unless somebody was answered `since`. */
  #leave(known: Known, since: number, ms: number): boolean {
    if (known.answeredAt >= since) return false;
    known.leftUntil = Math.max(known.leftUntil, this.#clock() + ms);
    known.admitted = 1;
    return true;
  }

  #knownOf(text: string): Known {
    let known = this.#known.get(text);
    if (known !== undefined) return known;
    known = { calls: new Set(), answeredAt: NEVER, leftUntil: NEVER, admitted: Number.POSITIVE_INFINITY };
    if (this.#known.size < TEXTS_MAX) this.#known.set(text, known);
    return known;
  }
}

class LeftAlone extends Error {
  constructor() {
    super('the replica took too long for this statement a moment ago');
  }
}

const NEVER = Number.NEGATIVE_INFINITY;
const LEFT_MS = 10_000;
const OVER_MS = 60_000;
/** A service has some dozens; of more than this nothing is known, and they are always asked. */
const TEXTS_MAX = 300;
