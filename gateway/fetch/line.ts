/** Somebody who waits for a connection. */
export interface Waiting {
  /** On the gateway's clock, ms: when the whole request has to be answered. */
  readonly deadline: number;
  start(): void;
}

/**
 * At most so many calls to one origin at once; of those that wait, the one whose request has to be answered first goes first
 * (earliest deadline first). First come, first served would let five hundred requests take every step of their plans in
 * lockstep: all of them would hold what they have gathered so far, and all of them would be late together.
 */
export class Line {
  readonly #places: number;
  readonly #waitingMax: number;
  /** The next one is the last. */
  readonly #waiting: Waiting[] = [];
  #inside = 0;

  constructor(places: number, waitingMax: number) {
    this.#places = places;
    this.#waitingMax = waitingMax;
  }

  /** Starts it now or when its turn comes; false when too many wait already. */
  enter(one: Waiting): boolean {
    if (this.#inside < this.#places) {
      this.#inside += 1;
      one.start();
      return true;
    }
    if (this.#waiting.length >= this.#waitingMax) return false;
    this.#waiting.splice(this.#placeOf(one.deadline), 0, one);
    return true;
  }

  /** Whoever was started makes room. */
  leave(): void {
    const next = this.#waiting.pop();
    if (next) next.start();
    else this.#inside -= 1;
  }

  /** Whoever waits wants no longer. */
  giveUp(one: Waiting): void {
    const index = this.#waiting.lastIndexOf(one);
    if (index >= 0) this.#waiting.splice(index, 1);
  }

  /** Those that still wait, who now wait no longer. */
  empty(): Waiting[] {
    return this.#waiting.splice(0);
  }

  /** Before all that have to be answered at the same time or earlier, so that of equals the first to come goes first. */
  #placeOf(deadline: number): number {
    let from = 0;
    let to = this.#waiting.length;
    while (from < to) {
      const middle = (from + to) >> 1;
      if (this.#waiting[middle]!.deadline > deadline) from = middle + 1;
      else to = middle;
    }
    return from;
  }
}
