import { Line } from './line.js';

/** So long, ms, a turn of the event loop goes on with answers at once, and at least so long with those that wait. */
const SLICE_MS = 2;
/** Of those that wait, so many at most: what each starts runs before the next, and only when it is done is it known how long it took. */
const BATCH = 256;
/** Of the time, how much answers wait at most because there are new connections: whoever opens them without end slows down others by a fifth. */
const HOLD_SHARE = 0.2;
/** And so long at once, ms, with the fifth that comes meanwhile a quarter more. */
const HOLD_MS = 100;

/**
 * Turns of the event loop stay short, however many answers of subgraphs have come: what is beyond a few milliseconds waits for one of the next
 * turns, and in between sockets are read. To go on with an answer of 88 KB takes a millisecond; three hundred that had come together were a
 * turn of 0.4 s, in which nobody was told that there is no place (`npm run bench -- overload --delay 50`). Of each turn half is theirs, however much
 * there is to read: clients that ask again as soon as they are refused would else have all of it.
 *
 * libuv takes one new connection in each turn. Of a crowd for whom a proxy opens three hundred, the last would be read after three hundred
 * turns, so while they come answers wait, and turns are shorter still: a fifth of the time, spread over it. Where answers waited for 100 ms of each
 * 500, of nine thousand requests a second those that came after the 100 stood unread for the other 400 (`npm run bench -- overload --delay 0`).
 *
 * While turns are short an answer costs one look at the clock more, and each turn a `setImmediate`.
 */
export class ShortTurns {
  readonly #clock: () => number;
  /** Whose request has to be answered first is first: else each step of a query would wait behind everybody's first. */
  readonly #line = new Line(0, Infinity);
  /** When this turn began, by its first answer. */
  #since: number | undefined;
  /** Until when this batch goes on, and when the one before ended. */
  #until: number | undefined;
  #endedAt = 0;
  /** Immediates that are due, of this batch. */
  #due = 0;
  #hasNew = false;
  /** So long, ms, answers may still wait for new connections; when that was reckoned, and whether they have waited since. */
  #holdMs = HOLD_MS;
  #lookedAt = 0;
  #isHeld = false;

  constructor(clock = (): number => performance.now()) {
    this.#clock = clock;
  }

  get waiting(): number {
    return this.#line.waiting;
  }

  /** `work`, now or in a later turn, of a request that has to be answered by `deadline`. */
  take(deadline: number, work: () => void): void {
    if (this.waiting === 0 && this.#due === 0 && this.#hasTime()) return work();
    this.#line.enter({ deadline, start: work });
    if (this.#due > 0) return;
    this.#plan(this.#clock());
  }

  /** A client has connected. */
  connected(): void {
    this.#hasNew = this.waiting > 0;
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
  #plan(now: number): void {
    this.#endedAt = now;
    this.#until = undefined;
    const isHeld = this.#holds(now);
    this.#due = isHeld ? 1 : Math.min(BATCH, this.waiting);
    if (isHeld) setImmediate(this.#pass);
    else for (let left = this.#due; left > 0; left -= 1) setImmediate(this.#run);
  }

  readonly #run = (): void => {
    const now = this.#clock();
    this.#until ??= now + Math.max(SLICE_MS, now - this.#endedAt);
    const next = now < this.#until ? this.#line.next() : undefined;
    this.#due -= 1;
    // What this one starts is the next turn's: its batch is as long as this turn was beside it.
    if (this.#due === 0 && this.waiting > 0) this.#plan(now);
    next?.start();
  };

  readonly #pass = (): void => this.#plan(this.#clock());

  #holds(now: number): boolean {
    const passedMs = now - this.#lookedAt;
    this.#lookedAt = now;
    this.#holdMs = Math.min(HOLD_MS, this.#holdMs + (HOLD_SHARE - (this.#isHeld ? 1 : 0)) * passedMs);
    this.#isHeld = this.#hasNew && this.#holdMs > 0;
    this.#hasNew = false;
    return this.#isHeld;
  }
}
