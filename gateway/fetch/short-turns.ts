/** So long, ms, a turn of the event loop goes on with answers at once, and so long with those that wait. */
const SLICE_MS = 2;
/** Of those that wait, so many at most: what each starts runs before the next, and only when it is done is it known how long it took. */
const BATCH = 4;
/** So long, ms, answers wait at most because there are new connections, and then for so long not: whoever opens them without end would stop all. */
const HOLD_MS = 100;

/**
 * Turns of the event loop stay short, however many answers of subgraphs have come: what is beyond a few milliseconds waits for one of the next
 * turns, and in between sockets are read. To go on with an answer of 88 KB takes a millisecond; three hundred that had come together were a
 * turn of 0.4 s, in which nobody was told that there is no place (`npm run bench -- overload --delay 50`).
 *
 * libuv takes one new connection in each turn. Of a crowd for whom a proxy opens three hundred, the last would be read after three hundred
 * turns, so while they come answers wait, and turns are shorter still.
 *
 * While turns are short an answer costs one look at the clock more, and each turn a `setImmediate`.
 */
export class ShortTurns {
  readonly #clock: () => number;
  /** When this turn began, by its first answer. */
  #since: number | undefined;
  #waiting: (() => void)[] = [];
  #next = 0;
  /** Immediates that are due, of this batch. */
  #due = 0;
  #hasNew = false;
  /** When answers began to wait for new connections, last. */
  #heldAt = Number.NEGATIVE_INFINITY;

  constructor(clock = (): number => performance.now()) {
    this.#clock = clock;
  }

  get waiting(): number {
    return this.#waiting.length - this.#next;
  }

  /** What is held for them, those that are done included. */
  get places(): number {
    return this.#waiting.length;
  }

  /** `work`, now or in a later turn; who came first goes first. */
  take(work: () => void): void {
    if (this.waiting === 0 && this.#hasTime()) return work();
    this.#waiting.push(work);
    if (this.#due === 0) this.#plan();
  }

  /** A client has connected. */
  connected(): void {
    this.#hasNew = true;
  }

  #hasTime(): boolean {
    const now = this.#clock();
    if (this.#since === undefined) {
      this.#since = now;
      setImmediate(this.#end);
    }
    return now - this.#since < SLICE_MS;
  }

  readonly #end = (): void => {
    this.#since = undefined;
  };

  /** An immediate for each: promises that one has settled are gone on with before the next. */
  #plan(): void {
    if (this.#next >= GONE_MAX) {
      this.#waiting.splice(0, this.#next);
      this.#next = 0;
    }
    this.#due = Math.min(BATCH, this.waiting);
    for (let left = this.#due; left > 0; left -= 1) setImmediate(this.#run);
  }

  readonly #run = (): void => {
    const work = !this.#isHeld() && this.#hasTime() ? this.#waiting[this.#next] : undefined;
    if (work !== undefined) {
      this.#waiting[this.#next] = DONE;
      this.#next += 1;
    }
    this.#due -= 1;
    if (this.#due === 0) this.#endBatch();
    work?.();
  };

  #isHeld(): boolean {
    if (!this.#hasNew) return false;
    const now = this.#clock();
    if (now - this.#heldAt >= 2 * HOLD_MS) this.#heldAt = now;
    return now - this.#heldAt < HOLD_MS;
  }

  #endBatch(): void {
    this.#since = undefined;
    this.#hasNew = false;
    if (this.waiting > 0) return this.#plan();
    this.#waiting = [];
    this.#next = 0;
  }
}

const DONE = (): void => {};
/** So many places of those that are done are kept at most while others wait. */
const GONE_MAX = 1_024;
