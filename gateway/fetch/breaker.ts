import type { Clock } from '#libs/telemetry';

const PAUSE_MS = 250;
const PAUSE_MS_MAX = 2_000;
/** What was known of an address that nobody has asked for so long is old. */
const OLD_MS = 30_000;
const LATELY_MS = 1_000;

/** How a call may go: the number of its cohort, or one of these. */
export const PROBE = -1;
export const REFUSED = -2;

export interface BreakerOptions {
  /** Failures in a row that open it. */
  readonly failuresMax: number;
  readonly clock: Clock;
  readonly random?: () => number;
}

/**
 * Stops asking an address that only fails, for a moment, then lets one call try (Nygard, Release It!, "Circuit Breaker"; of several
 * addresses of one subgraph it is what Envoy calls outlier ejection). Any answer in between starts the count anew, so one slow
 * query among quick ones opens nothing.
 *
 * A process that ends takes all its connections with it: sixty-four failures that say one thing. So of calls that were under way at
 * the same time only the first failure counts; a timeout counts always, since whoever waited that long for nothing is no blip.
 *
 * A call that is answered costs two comparisons here.
 */
export class Breaker {
  readonly #options: BreakerOptions;
  #cohort = 0;
  #inARow = 0;
  #open = false;
  #probing = false;
  #pauseMs = PAUSE_MS;
  #until = 0;
  #failedAt = Number.NEGATIVE_INFINITY;

  constructor(options: BreakerOptions) {
    this.#options = options;
  }

  get state(): 'closed' | 'open' | 'half-open' {
    this.#forgetOld();
    return this.#open ? (this.#probing ? 'half-open' : 'open') : 'closed';
  }

  /** Would `begin` let a call through? */
  get allows(): boolean {
    this.#forgetOld();
    return !this.#open || (!this.#probing && this.#options.clock() >= this.#until);
  }

  /** Has a call failed in the last second? Answers in between change nothing of it. */
  get hasFailedLately(): boolean {
    return this.#options.clock() - this.#failedAt < LATELY_MS;
  }

  /** For a call that begins: what it gives to `succeeded`, `failed` or `abandoned` when it ends; REFUSED: it does not begin. */
  begin(): number {
    if (!this.#open) return this.#cohort;
    if (!this.allows) return REFUSED;
    this.#probing = true;
    return PROBE;
  }

  succeeded(call: number): void {
    this.#inARow = 0;
    if (call !== PROBE) return;
    this.#open = this.#probing = false;
    this.#pauseMs = PAUSE_MS;
  }

  failed(call: number, timedOut: boolean): void {
    this.#failedAt = this.#options.clock();
    if (call === PROBE) {
      this.#probing = false;
      this.#pauseMs = Math.min(this.#pauseMs * 2, PAUSE_MS_MAX);
      return this.#openUp();
    }
    if (this.#open || (!timedOut && call !== this.#cohort)) return;
    this.#cohort += 1;
    this.#inARow += 1;
    if (this.#inARow >= this.#options.failuresMax) this.#openUp();
  }

  /**
   * Ended without telling anything of the address: its client went away. The next try waits as long as this one did, or behind an address
   * that hangs each call whose client is impatient would be one.
   */
  abandoned(call: number): void {
    if (call !== PROBE) return;
    this.#probing = false;
    this.#until = this.#afterPause();
  }

  /** All others that answer are about to end: it is tried as soon as after the first failure, however often it was tried in vain. */
  hurry(): void {
    this.#pauseMs = PAUSE_MS;
    this.#until = Math.min(this.#until, this.#afterPause());
  }

  /** Nobody asks at night: an address that is long well again would be told of as one that fails until the morning. */
  #forgetOld(): void {
    const { clock } = this.#options;
    if (!this.#open || this.#probing || clock() < this.#until + OLD_MS) return;
    this.#open = false;
    this.#inARow = 0;
    this.#pauseMs = PAUSE_MS;
  }

  #openUp(): void {
    this.#open = true;
    this.#until = this.#afterPause();
  }

  /** A quarter more or less, so that many gateways do not try in the same moment. */
  #afterPause(): number {
    const { clock, random = Math.random } = this.#options;
    return clock() + this.#pauseMs * (0.75 + random() / 2);
  }
}
