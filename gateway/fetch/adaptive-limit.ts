const BACK_OFF = 0.75;

/**
 * How many calls at once an address bears, found by additive increase and multiplicative decrease: one more for each round of
 * answers, a quarter less when calls time out or are answered 503 or 429, once for all that were under way together. (Chiu and
 * Jain, "Analysis of the Increase and Decrease Algorithms", 1989; Netflix' concurrency-limits, AIMDLimit. Their delay-based
 * Gradient2 and Vegas take what differs between queries for load: a subgraph call is one of a thousand kinds.)
 *
 * It begins at the most, so an address that never says it is too much never notices; an answer then costs one comparison.
 */
export class AdaptiveLimit {
  readonly #max: number;
  #limit: number;
  #cohort = 0;

  constructor(max: number) {
    this.#max = max;
    this.#limit = max;
  }

  get places(): number {
    return Math.floor(this.#limit);
  }

  /** What a call that begins gives to `overloaded`. */
  get cohort(): number {
    return this.#cohort;
  }

  /** One was answered while `inside` were under way; true: there may be a place more. */
  answered(inside: number): boolean {
    if (this.#limit >= this.#max || inside * 2 < this.#limit) return false;
    this.#limit = Math.min(this.#max, this.#limit + 1 / this.#limit);
    return true;
  }

  /** One was too much; true: there are fewer places. */
  overloaded(cohort: number): boolean {
    if (cohort !== this.#cohort) return false;
    this.#cohort += 1;
    this.#limit = Math.max(1, this.#limit * BACK_OFF);
    return true;
  }
}
