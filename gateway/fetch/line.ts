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
  #places: number;
  readonly #waitingMax: number;
  /** The next one is the last. */
  readonly #waiting: Waiting[] = [];
  #inside = 0;
  #formed = 0;
  #filling = false;

  constructor(places: number, waitingMax: number) {
    this.#places = places;
    this.#waitingMax = waitingMax;
  }

  get inside(): number {
    return this.#inside;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** How many times somebody had to wait while nobody did. */
  get formed(): number {
    return this.#formed;
  }

  get places(): number {
    return this.#places;
  }

  /** More places are taken at once; of fewer, those inside keep theirs until they leave. */
  set places(places: number) {
    this.#places = places;
    this.#fill();
  }

  /** Starts it now or when its turn comes; false when too many wait already. */
  enter(one: Waiting): boolean {
    if (this.#inside < this.#places) {
      this.#inside += 1;
      one.start();
      return true;
    }
    if (this.#waiting.length >= this.#waitingMax) return false;
    if (this.#waiting.length === 0) this.#formed += 1;
    this.#waiting.splice(this.#placeOf(one.deadline), 0, one);
    return true;
  }

  /** Whoever was started makes room. */
  leave(): void {
    this.#inside -= 1;
    this.#fill();
  }

  /** Whoever waits wants no longer. */
  giveUp(one: Waiting): void {
    const index = this.#waiting.lastIndexOf(one);
    if (index >= 0) this.#waiting.splice(index, 1);
  }

  /** Of more than so many that wait, those whose turn is farthest: they now wait no longer. */
  cut(most: number): Waiting[] {
    return this.#waiting.splice(0, Math.max(0, this.#waiting.length - most));
  }

  /** Whose turn it is, who now waits no longer and has no place either. */
  next(): Waiting | undefined {
    return this.#waiting.pop();
  }

  /** Those that still wait, who now wait no longer. */
  empty(): Waiting[] {
    return this.#waiting.splice(0);
  }

  /** In a loop, never in itself: who starts may leave at once, and so may the fifty thousand behind. */
  #fill(): void {
    if (this.#filling) return;
    this.#filling = true;
    while (this.#inside < this.#places) {
      const next = this.#waiting.pop();
      if (!next) break;
      this.#inside += 1;
      next.start();
    }
    this.#filling = false;
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
