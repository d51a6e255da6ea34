import { performance } from 'node:perf_hooks';

const TICK_MS = 100;
const BACK_OFF = 0.75;
const GROWTH = 1.05;
/** As many are always taken: fewer cannot be what makes a gateway late. */
const LEAST = 16;
/** An event loop that never sleeps: what is taken beyond what it gets done only waits. */
const BUSY = 0.95;
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

export interface AdmissionOptions {
  /** How late is too late, ms. */
  readonly lateMs: number;
  /** Requests at once while it is never late. */
  readonly max: number;
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
  readonly #options: AdmissionOptions;
  #limit: number;
  #inside = 0;
  #most = 0;
  #lateMs = 0;
  #timer: NodeJS.Timeout | undefined;
  #refused = 0;
  #refusedAt = Number.NEGATIVE_INFINITY;
  #done = 0;
  #donePerMs: number | undefined;
  #busyMs = 0;
  #busyInAllMs = 0;
  #pressedMs = 0;

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

  /** For how long each step of the event loop has been late. */
  get pressedMs(): number {
    return this.#pressedMs;
  }

  get refused(): number {
    return this.#refused;
  }

  /** When one was refused last, by `performance.now()`. */
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

  leave(): void {
    this.#inside -= 1;
    this.#done += 1;
  }

  /** So late was something just now. */
  late(ms: number): void {
    if (ms > this.#lateMs) this.#lateMs = ms;
  }

  /** Looks at what was late since the last time, and how much of that time the event loop was at work. */
  look(utilization = 0, elapsedMs = TICK_MS, heap: 'has room' | 'full' | 'found full' = 'has room'): void {
    const { lateMs, max } = this.#options;
    const done = this.#done / Math.max(1, elapsedMs);
    this.#donePerMs = this.#donePerMs === undefined ? done : this.#donePerMs + RECENT * (done - this.#donePerMs);
    this.#done = 0;
    if (utilization >= BUSY) this.#busyInAllMs += elapsedMs;
    this.#busyMs = utilization >= BUSY && this.#most > LEAST ? this.#busyMs + elapsedMs : 0;
    // Late with a handful of requests under way, it is late for another reason: a start, a new supergraph.
    const pressed = this.#lateMs > lateMs && this.#most > LEAST;
    this.#pressedMs = pressed ? this.#pressedMs + elapsedMs : 0;
    if (pressed || (heap === 'found full' && this.#most > LEAST))
      this.#limit = Math.max(LEAST, Math.min(this.#limit, this.#most) * BACK_OFF);
    else if (this.#busyMs >= BUSY_MS) {
      const bearable = Math.min(max, this.#donePerMs * lateMs * (this.#busyInAllMs < YOUNG_MS ? YOUNG_SHARE : SHARE));
      this.#limit = Math.max(LEAST, bearable, Math.min(this.#limit, this.#most) * BACK_OFF);
    } else if (heap === 'has room' && this.#most >= this.limit)
      this.#limit = Math.min(Math.max(LEAST, max), this.#limit * GROWTH + 1);
    // What it got done while it had little to do says nothing of what it can.
    if (utilization < BUSY) this.#donePerMs = undefined;
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
