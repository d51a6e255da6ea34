import { Exhausted } from '#libs/failure';
import { Outage, type Logger } from '#libs/telemetry';
import { sqlState } from './trouble.js';

/** What is known of one statement, by its text; ms on this process's clock. */
interface Known {
  /** When somebody was answered who asked the same. */
  answeredAt: number;
  /** Until then nobody asks it there; -Infinity: it is not left alone. */
  leftUntil: number;
}

/**
 * Leaves alone, for a while, what a replica is too slow for: else each that asks it waits its second there before the primary is asked. By
 * statement and not all of it: what is there in memory is answered at once while what has to be read from a disk is not, and one statement
 * that is slow everywhere is no reason to ask all others of the primary. Where somebody was answered meanwhile who asked the same, it
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

  /** `ask`, or at once an error while it is left alone. When that is over one caller tries it, and nobody else before that one is answered. */
  async unlessSlow<T>(text: string, ask: () => Promise<T>): Promise<T> {
    const askedAt = this.#clock();
    const before = this.#known.get(text);
    if (before !== undefined && before.leftUntil > askedAt) throw new LeftAlone();
    if (before !== undefined && before.leftUntil !== NEVER) before.leftUntil = askedAt + LEFT_MS;
    try {
      const answer = await ask();
      this.#set(text, { answeredAt: this.#clock(), leftUntil: NEVER });
      return answer;
    } catch (error) {
      const { answeredAt = NEVER } = this.#known.get(text) ?? {};
      if (isSlow(error) && answeredAt < askedAt) {
        this.#set(text, { answeredAt, leftUntil: this.#clock() + LEFT_MS });
        this.#outage.failed(error);
      }
      throw error;
    }
  }

  close(): void {
    this.#outage.close();
  }

  #set(text: string, { answeredAt, leftUntil }: Known): void {
    const known = this.#known.get(text);
    if (known !== undefined) Object.assign(known, { answeredAt, leftUntil });
    else if (this.#known.size < TEXTS_MAX) this.#known.set(text, { answeredAt, leftUntil });
  }
}

/** It took longer than one may wait (57014), or no connection came free in that time. One that says nothing at all is out as a whole. */
function isSlow(error: unknown): boolean {
  return error instanceof Exhausted || sqlState(error) === '57014';
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
