import { performance } from 'node:perf_hooks';

const TICK_MS = 100;
const BACK_OFF = 0.75;
const GROWTH = 1.05;
/** As many are always taken: fewer cannot be what makes a gateway late. */
const LEAST = 16;

export interface AdmissionOptions {
  /** How late is too late, ms. */
  readonly lateMs: number;
  /** Requests at once while it is never late. */
  readonly max: number;
}

/**
 * Refuses what could only wait. While the gateway is late with what it has taken (its event loop), it takes a quarter fewer
 * requests at once at each look; when it keeps up, a twentieth more. Whoever is refused is not parsed and not planned, and no subgraph
 * is called. Without this each of ten times too many waits until its deadline, and nearly all that is done is done for nobody ("Handling Overload", Site Reliability Engineering, 2016, chapter 21).
 *
 * A request costs an addition and a comparison.
 */
export class Admission {
  readonly #options: AdmissionOptions;
  #limit: number;
  #inside = 0;
  #most = 0;
  #lateMs = 0;
  #timer: NodeJS.Timeout | undefined;
  #refused = 0;

  constructor(options: AdmissionOptions) {
    this.#options = options;
    this.#limit = Math.max(LEAST, options.max);
  }

  get limit(): number {
    return Math.floor(this.#limit);
  }

  get inside(): number {
    return this.#inside;
  }

  get refused(): number {
    return this.#refused;
  }

  /** May one more be taken? Then `leave` tells its end. */
  enter(): boolean {
    if (this.#inside + 1 > this.#limit) {
      this.#refused += 1;
      this.#most = this.#inside;
      return false;
    }
    this.#inside += 1;
    if (this.#inside > this.#most) this.#most = this.#inside;
    return true;
  }

  leave(): void {
    this.#inside -= 1;
  }

  /** So late was something just now. */
  late(ms: number): void {
    if (ms > this.#lateMs) this.#lateMs = ms;
  }

  /** Looks at what was late since the last time. */
  look(): void {
    const { lateMs, max } = this.#options;
    // Late with a handful of requests under way, it is late for another reason: a start, a new supergraph.
    const pressed = this.#lateMs > lateMs && this.#most > LEAST;
    if (pressed) this.#limit = Math.max(LEAST, Math.min(this.#limit, this.#most) * BACK_OFF);
    else if (this.#most >= this.limit) this.#limit = Math.min(Math.max(LEAST, max), this.#limit * GROWTH + 1);
    this.#lateMs = 0;
    this.#most = this.#inside;
  }

  /** Looks ten times a second, and at the event loop. */
  watch(): void {
    let expected = performance.now() + TICK_MS;
    this.#timer = setInterval(() => {
      const now = performance.now();
      this.late(now - expected);
      expected = now + TICK_MS;
      this.look();
    }, TICK_MS).unref();
  }

  close(): void {
    clearInterval(this.#timer);
  }
}
