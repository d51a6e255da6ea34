import { Outage, silent, steadyClock, type Clock, type Logger } from '#libs/telemetry';
import type { Admission } from './http/admission.js';

const LOOK_MS = 1_000;
/** So long after the last one was refused, nobody is any more. */
const OVER_MS = 10_000;

/**
 * Says, at most once a minute, that this gateway refuses requests by itself: those that it refuses are no lines of the log. Each line
 * has how many there were since the line before, and how many are taken at once by now.
 */
export class Refusals {
  readonly #admission: Pick<Admission, 'refused' | 'limit'>;
  readonly #clock: Clock;
  readonly #outage: Outage;
  #timer: NodeJS.Timeout | undefined;
  #seen: number;
  #seenAt = Number.NEGATIVE_INFINITY;

  constructor(admission: Pick<Admission, 'refused' | 'limit'>, logger: Logger, clock: Clock = steadyClock) {
    this.#admission = admission;
    this.#clock = clock;
    this.#seen = admission.refused;
    let told = admission.refused;
    this.#outage = new Outage({
      logger: {
        ...silent,
        warn(fields, line) {
          const { refused, limit } = admission;
          logger.warn({ ...fields, refused: refused - told, limit }, line);
          told = refused;
        },
      },
      fields: {},
      began:
        'More is asked of this gateway than it answers in time, and some are refused (503): see who asks, what it costs, and whether it needs more of its kind',
      lasts: 'More is still asked of this gateway than it answers in time',
      over: 'Nobody is refused by this gateway any more',
      clock,
    });
  }

  /** Looks whether somebody was refused since the last look. */
  look(): void {
    const { refused } = this.#admission;
    const now = this.#clock();
    if (refused > this.#seen) {
      this.#seen = refused;
      this.#seenAt = now;
      this.#outage.failed('requests were refused');
    } else if (now - this.#seenAt >= OVER_MS) this.#outage.succeeded();
  }

  /** Looks once a second. */
  watch(): this {
    this.#timer = setInterval(() => this.look(), LOOK_MS).unref();
    return this;
  }

  close(): void {
    clearInterval(this.#timer);
  }
}
