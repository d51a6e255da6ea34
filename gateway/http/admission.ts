import { performance } from 'node:perf_hooks';
import { TOO_MANY } from './refusal.js';
import { BUSY, NEARLY_BUSY, Running, type Turn } from './running.js';

const TICK_MS = 100;
const BACK_OFF = 0.75;
const GROWTH = 1.05;
/** As many are always taken: fewer cannot be what makes a gateway late. */
const LEAST = 16;
/** So long in a row, so that a pause of the garbage collector or a new supergraph is not taken for too many requests. */
const BUSY_MS = 300;
/** Of `lateMs`, how long who is taken may take while the event loop never sleeps. With a half, asked for four times what it could, 70 % of the peak were left. */
const SHARE = 0.25;
/** Of a program just started: what it gets done is less than what it will, and with a quarter of that 500 clients were refused. */
const YOUNG_SHARE = 0.5;
/** So long it has to have been busy, until its code is compiled. */
const YOUNG_MS = 10_000;
/** Of what it has got done per ms, the weight of the last look. */
const RECENT = 0.2;
/** So long after it was last busy or late it says how many may come: between two crowds its event loop sleeps for a moment. */
const BOUND_MS = 300;
/** Then that more may, twice as many every 100 ms in which nobody was refused, until a door has forgotten what it was told (deploy/haproxy.cfg). */
const OPENING_MS = 100;
const OPEN_MS = 2_000;
const PLACES_MAX = 1_000_000;
/** Of what it takes, how much it tells of: the rest is on its way. With all of it a tenth of those who were refused were brought first. */
const TOLD = 0.75;

export interface AdmissionOptions {
  /** How late is too late, ms. */
  readonly lateMs: number;
  /** Requests at once while it is never late. */
  readonly max: number;
  /** Is a door told how many may be brought? Not where several processes answer at one address, of which one may be busy alone. */
  readonly tells?: boolean;
}

/** Of one request. */
export interface Place {
  /** May it be taken? */
  enter(): boolean;
  /** Settles when it is its turn to be run (running.ts); undefined: it is. `order`: who has less of it goes first. */
  begin(order: number): Promise<void> | undefined;
  /**
   * A subgraph has let it in, and has it wait in a line: it holds nobody's turn meanwhile. Not while the event loop never sleeps, as a line is then
   * there because answers wait for this process: of twice what it could, 69 % of the peak were left where each who began let the next begin,
   * a hundred at once, or 96, by which way it had begun.
   */
  readonly begun: (waits: boolean) => void;
  /** It has been turned away by the first subgraph that it would have asked. */
  turnedAway(): void;
  /** It was answered, or never will be. */
  leave(): void;
}

/**
 * Refuses what could only wait. While the event loop never sleeps, as many requests are taken at once as the gateway gets done in a quarter of
 * `lateMs`, and a quarter fewer at each look until it is so (Little's law: who is taken then waits about as long); while a step of the loop is itself that late, a quarter fewer at each
 * look; when it keeps up, a twentieth more. A quarter fewer also each time that its heap is found nearly full, and none more while it is. A gateway that waits for a slow subgraph sleeps, and refuses nobody. Whoever is refused is
 * not parsed and not planned, and no subgraph is called. Without this each of ten times too many waits until its deadline, and nearly
 * all that is done is done for nobody ("Handling Overload", Site Reliability Engineering, 2016, chapter 21).
 *
 * A request costs a few additions and a comparison. How late the steps are is not enough: asked for four times what it could, the gateway
 * was never a second late in any, refused nobody, and answered nearly half with parts missing (`npm run bench -- overload`).
 */
export class Admission {
  readonly running = new Running();
  readonly #options: AdmissionOptions;
  #limit: number;
  #inside = 0;
  #most = 0;
  #lateMs = 0;
  #timer: NodeJS.Timeout | undefined;
  #refused = 0;
  #refusedBefore = 0;
  #refusedAt = Number.NEGATIVE_INFINITY;
  #done = 0;
  #turnedAway = 0;
  /** Of those that left before the last look. */
  #areMostTurnedAway = false;
  /** Of those inside, whom a subgraph has let in. */
  #begun = 0;
  #donePerMs: number | undefined;
  #busyMs = 0;
  #busyInAllMs = 0;
  #pressedMs = 0;
  #sinceBusyMs = Infinity;
  /** Whoever is here by `place`, taken or not. */
  #come = 0;

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

  /**
   * How many requests may be here at once, for whoever stands before and counts them: a part of as many as are taken, those who have not said
   * yet what they want, and `others`, whose answers wait to be taken. Undefined: any number.
   *
   * Not how many more than it counts: what it has sent and is not here yet would be let in anew with each answer.
   */
  places(others = 0): number | undefined {
    const sinceMs = this.#sinceBusyMs - BOUND_MS;
    if (this.#options.tells !== true || sinceMs > OPEN_MS) return undefined;
    const taken = this.limit * TOLD * 2 ** Math.max(0, Math.floor(sinceMs / OPENING_MS));
    return Math.floor(Math.min(taken, PLACES_MAX)) + this.#come - this.#inside + others;
  }

  /** Of somebody who has come and may be taken later. */
  place(): Place {
    this.#come += 1;
    let isInside = false;
    let hasBegun = false;
    let isTurnedAway = false;
    let hasLeft = false;
    let turn: Turn | undefined;
    return {
      enter: () => (isInside = this.enter()),
      begin: (order) => (turn = this.running.begin(order)).ready,
      begun: (waits) => {
        if (hasLeft) return;
        if ((waits && this.#busyMs < BUSY_MS) || this.#areMostTurnedAway) turn?.end();
        if (isInside && !hasBegun) this.#begun += 1;
        hasBegun = isInside;
      },
      turnedAway: () => void (isTurnedAway = true),
      leave: () => {
        hasLeft = true;
        this.#come -= 1;
        if (isInside) this.leave(isTurnedAway);
        if (hasBegun) this.#begun -= 1;
        turn?.end();
      },
    };
  }

  /** For how long each step of the event loop has been late. */
  get pressedMs(): number {
    return this.#pressedMs;
  }

  get refused(): number {
    return this.#refused;
  }

  /** When one was refused last, or had to wait for its turn while a door may have refused others; by `performance.now()`. */
  get refusedAt(): number {
    return this.#refusedAt;
  }

  /** May one more be taken? Then `leave` tells its end. */
  enter(): boolean {
    if (this.full()) return false;
    this.#inside += 1;
    if (this.#inside > this.#most) this.#most = this.#inside;
    return true;
  }

  /** Is there no place for one more? Who is asked that is refused then. */
  full(): boolean {
    if (this.#inside + 1 <= this.#limit) return false;
    this.#refused += 1;
    this.#refusedAt = performance.now();
    this.#most = this.#inside;
    return true;
  }

  leave(isTurnedAway = false): void {
    this.#inside -= 1;
    if (isTurnedAway) this.#turnedAway += 1;
    else this.#done += 1;
  }

  /** So late was something just now. */
  late(ms: number): void {
    if (ms > this.#lateMs) this.#lateMs = ms;
  }

  /** Looks at what was late since the last time, and how much of that time the event loop was at work. */
  look(utilization = 0, elapsedMs = TICK_MS, heap: 'has room' | 'full' | 'found full' = 'has room'): void {
    const { lateMs, max } = this.#options;
    const many = this.#done;
    const done = many / Math.max(1, elapsedMs);
    this.#donePerMs = this.#donePerMs === undefined ? done : this.#donePerMs + RECENT * (done - this.#donePerMs);
    const turnedAway = this.#turnedAway;
    this.#done = this.#turnedAway = 0;
    this.#areMostTurnedAway = turnedAway > many;
    // Where some wait for their turn it does as much as it can, though it sleeps between two of them.
    const isBusy = utilization >= (this.running.waiting > 0 ? NEARLY_BUSY : BUSY);
    if (isBusy) this.#busyInAllMs += elapsedMs;
    this.#busyMs = isBusy && this.#most > LEAST ? this.#busyMs + elapsedMs : 0;
    // More are inside than it gets done before they are too late: of ten times too many as many come in 300 ms as take it three seconds.
    const isFlooded = isBusy && many >= LEAST && this.#inside > done * lateMs;
    // Or it is kept busy by those for whom a subgraph has no place: then a quarter fewer at first, as it may be a moment's work that keeps it busy.
    // By how many of them come in a tenth of a second, for a step of the loop may have been longer.
    const isTurningAway = isBusy && turnedAway * Math.min(1, TICK_MS / elapsedMs) > 2 * Math.max(many, LEAST);
    if (isFlooded || isTurningAway) this.#busyMs = Math.max(this.#busyMs, BUSY_MS);
    // Late with a handful of requests under way, it is late for another reason: a start, a new supergraph.
    const pressed = this.#lateMs > lateMs && this.#most > LEAST;
    this.#pressedMs = pressed ? this.#pressedMs + elapsedMs : 0;
    if (pressed || (heap === 'found full' && this.#most > LEAST))
      this.#limit = Math.max(LEAST, Math.min(this.#limit, this.#most) * BACK_OFF);
    else if (this.#busyMs >= BUSY_MS) {
      const soon = this.#donePerMs * lateMs * (this.#busyInAllMs < YOUNG_MS ? YOUNG_SHARE : SHARE);
      // What keeps it busy are those whom a subgraph has no place for: it is not they who wait, and whoever has begun waits for no turn of ours.
      const bearable = Math.min(max, this.#areMostTurnedAway ? Math.max(soon, this.#begun + LEAST) : soon);
      this.#limit = Math.max(LEAST, bearable, isFlooded ? 0 : Math.min(this.#limit, this.#most) * BACK_OFF);
    } else if (heap === 'has room' && (this.#most >= this.limit || this.#sinceBusyMs > BOUND_MS + OPEN_MS))
      this.#limit = Math.min(Math.max(LEAST, max), this.#limit * GROWTH + 1);
    const isLong = this.#busyMs >= BUSY_MS;
    const isBound = pressed || isLong || (heap !== 'has room' && this.#most > LEAST);
    const hasRefused = this.#refused > this.#refusedBefore;
    this.#refusedBefore = this.#refused;
    this.#sinceBusyMs = isBound ? 0 : this.#sinceBusyMs + elapsedMs;
    if (hasRefused && this.#sinceBusyMs < BOUND_MS + OPEN_MS) this.#sinceBusyMs = Math.min(this.#sinceBusyMs, BOUND_MS);
    if (isLong && this.running.waiting > 0) this.#refusedAt = performance.now();
    // Who has just come is told at once what it would be told by its deadline.
    if (isLong)
      this.#refused += this.running.cut(Math.max(LEAST, this.limit - (this.#inside - this.running.waiting)), TOO_MANY);
    this.running.look(utilization, isLong, heap === 'found full', max);
    // What it got done while it had little to do says nothing of what it can.
    if (!isBusy) this.#donePerMs = undefined;
    this.#lateMs = 0;
    this.#most = this.#inside;
  }

  /** Looks ten times a second, and at the event loop and the heap. */
  watch(heap?: { readonly full: boolean; readonly times: number }): void {
    let expected = performance.now() + TICK_MS;
    let before = performance.eventLoopUtilization();
    let found = 0;
    this.#timer = setInterval(() => {
      const now = performance.now();
      this.late(now - expected);
      const elapsedMs = now - expected + TICK_MS;
      expected = now + TICK_MS;
      const seen = performance.eventLoopUtilization();
      const times = heap?.times ?? 0;
      const isFound = times > found;
      found = times;
      this.look(
        performance.eventLoopUtilization(seen, before).utilization,
        elapsedMs,
        isFound ? 'found full' : heap?.full === true ? 'full' : 'has room',
      );
      before = seen;
    }, TICK_MS).unref();
  }

  close(): void {
    clearInterval(this.#timer);
  }
}
