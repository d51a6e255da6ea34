import { notTaken, OWN_LINE } from './refusal.js';

/** In a turn of the event loop no more is begun once so much of it has been used. */
const SLICE_MS = 5;

/** While requests are refused, nothing is begun for so many times as long as the last piece took: a tenth of the event loop is for what is new. */
const REST = 9;
/** One that was refused so long ago is none any more. */
const REFUSED_MS = 1_000;

/**
 * How long nothing is begun any more, ms, because requests that want no more than to be answered are refused: the last of them at `refusedAt`, when the
 * last piece had ended at `endedAt` and had taken `tookMs`.
 *
 * Who waits for a turn has no place among those who are answered (admission.ts), or strangers who send nothing but new texts would have all of
 * them. But what is done here keeps the event loop at work, and fewer of the others are taken for it, of whom each then takes longer than that allows:
 * with five of the dearest texts a second, each inside of its client's budget, a gateway that is asked for three quarters of what it can
 * would refuse a quarter of that, and nearly half where as many come as it can read (a model, turns.test.ts: of 1,500 a second 74 and 52 %
 * are answered without this, and 93 % with it). So what is new gives way to what is known.
 */
export function restMs(now: number, refusedAt: number, endedAt: number, tookMs: number): number {
  return Math.min(refusedAt + REFUSED_MS, endedAt + REST * tookMs) - now;
}

/** Of the heap, in which all that waits lies. */
const HEAP_SHARE = 0.25;

/**
 * What all that waits may hold: as much as bodies that are on their way (`bodiesBytes`, outside the heap), or four of the longest variables,
 * and no more than a part of the heap, however high those are set.
 */
export function waitingBytesMax(bodiesBytes: number, variablesHeapBytes: number, heapBytes: number): number {
  return Math.min(Math.max(bodiesBytes, 4 * variablesHeapBytes), HEAP_SHARE * heapBytes);
}

interface Piece {
  /** What it holds while it waits. */
  readonly bytes: number;
  /** Later it is not begun any more, by `performance.now()`. */
  readonly until: number;
  readonly isDear: () => boolean;
  readonly start: () => Promise<void>;
  readonly refuse: (why: Error) => void;
}

/** Of one client: what waits, in the order in which it came. */
interface Line {
  readonly pieces: Piece[];
  bytes: number;
  underWay: boolean;
}

/**
 * Work that nothing can interrupt, a body to parse or a text to parse and validate (up to 90 ms each), with everybody's turn in between. What
 * lies ready at once would otherwise be done at once: two hundred such texts were 12 s in which no timer ran, no health check was answered
 * and nobody's budget was known to be used up.
 *
 * A piece is begun in a turn of the event loop of its own, or with others that take 5 ms together. Clients are asked one after another,
 * and of each client the next piece begins when the one before is done and paid for, so that a burst gets no further than the budget goes.
 *
 * What has waited for `patienceMs` is not begun: of more than can be done each would wait until its deadline, and what was done would be
 * done for nobody.
 */
export class Turns {
  readonly #bytesMax: number;
  readonly #patienceMs: number;
  readonly #refusedAt: () => number;
  readonly #lines = new Map<string, Line>();
  /** Whose next piece may begin, in this order. */
  readonly #ready = new Set<string>();
  #bytes = 0;
  #pieces = 0;
  #isDue = false;
  /** Of the last piece that was dear, by `performance.now()`. */
  #endedAt = Number.NEGATIVE_INFINITY;
  #tookMs = 0;

  /**
   * `bytesMax`: what all that waits may hold; beyond it the last of who has most is OVERLOADED. One that waits alone may hold more: it is there
   * already, and nobody's place is taken by it. `refusedAt`: when a request was refused last because there was no place for it, by `performance.now()`.
   */
  constructor(bytesMax: number, patienceMs = Infinity, refusedAt = (): number => Number.NEGATIVE_INFINITY) {
    this.#bytesMax = bytesMax;
    this.#patienceMs = patienceMs;
    this.#refusedAt = refusedAt;
  }

  /** What all that waits holds. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * `work`, when it is the turn of client `who`; the next of theirs waits until its promise has settled. `bytes`: what it holds until
   * then. `isDear`: asked at its turn; what is not dear any more, a text that has been read meanwhile, is no reason for the next to wait.
   * Throws OVERLOADED when it has not begun within `waitMs`, or as long as anything may wait.
   */
  take<T>(
    who: string,
    bytes: number,
    waitMs: number,
    work: () => T | Promise<T>,
    isDear: () => boolean = () => true,
  ): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const line = this.#lineOf(who);
      const mostMs = Math.max(0, Math.min(waitMs, this.#patienceMs));
      const late = setTimeout(() => {
        this.#forget(who, line, piece);
        reject(OWN_LINE);
      }, mostMs);
      const piece: Piece = {
        bytes,
        until: performance.now() + mostMs,
        isDear,
        async start() {
          clearTimeout(late);
          try {
            resolve(await work());
          } catch (error) {
            reject(error as Error);
          }
        },
        refuse(why) {
          clearTimeout(late);
          reject(why);
        },
      };
      line.pieces.push(piece);
      line.bytes += bytes;
      this.#bytes += bytes;
      this.#pieces += 1;
      if (!line.underWay) this.#ready.add(who);
      while (this.#bytes > this.#bytesMax && this.#pieces > 1) this.#refuseLast();
      this.#goOn();
    });
  }

  #lineOf(who: string): Line {
    let line = this.#lines.get(who);
    if (!line) this.#lines.set(who, (line = { pieces: [], bytes: 0, underWay: false }));
    return line;
  }

  #goOn(): void {
    if (this.#isDue || this.#ready.size === 0) return;
    this.#isDue = true;
    const waitMs = this.#restMs();
    if (waitMs > 0) setTimeout(this.#turn, Math.ceil(waitMs));
    else setImmediate(this.#turn);
  }

  #restMs(): number {
    return restMs(performance.now(), this.#refusedAt(), this.#endedAt, this.#tookMs);
  }

  readonly #turn = (): void => {
    this.#isDue = false;
    const until = performance.now() + SLICE_MS;
    for (const who of this.#ready) {
      // Others may have been refused since this was due.
      if (this.#restMs() > 0) break;
      this.#ready.delete(who);
      this.#begin(who, this.#lines.get(who)!);
      if (performance.now() >= until) break;
    }
    this.#goOn();
  };

  #begin(who: string, line: Line): void {
    const piece = line.pieces[0]!;
    this.#take(line, piece);
    const now = performance.now();
    // Its timer may be late itself.
    if (now >= piece.until) {
      piece.refuse(OWN_LINE);
      return this.#end(who, line);
    }
    line.underWay = piece.isDear();
    // What it does at once it has done before this returns.
    const done = piece.start();
    if (line.underWay) {
      this.#endedAt = performance.now();
      this.#tookMs = this.#endedAt - now;
    }
    if (line.underWay) void done.then(() => this.#end(who, line));
    else this.#end(who, line);
  }

  #end(who: string, line: Line): void {
    line.underWay = false;
    if (line.pieces.length > 0) this.#ready.add(who);
    else this.#lines.delete(who);
    this.#goOn();
  }

  #take(line: Line, piece: Piece): boolean {
    const at = line.pieces.indexOf(piece);
    if (at < 0) return false;
    line.pieces.splice(at, 1);
    line.bytes -= piece.bytes;
    this.#bytes -= piece.bytes;
    this.#pieces -= 1;
    return true;
  }

  #forget(who: string, line: Line, piece: Piece): void {
    if (!this.#take(line, piece) || line.pieces.length > 0) return;
    this.#ready.delete(who);
    if (!line.underWay) this.#lines.delete(who);
  }

  #refuseLast(): void {
    let most: [string, Line] | undefined;
    for (const entry of this.#lines) if (!most || entry[1].bytes > most[1].bytes) most = entry;
    const [who, line] = most!;
    const last = line.pieces.at(-1)!;
    this.#forget(who, line, last);
    last.refuse(notTaken());
  }
}
