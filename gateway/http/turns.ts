import { notTaken, OWN_LINE } from './refusal.js';

/** In a turn of the event loop no more is begun once so much of it has been used. */
const SLICE_MS = 5;

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
 * done for nobody (admission.ts does not see who waits here).
 */
export class Turns {
  readonly #bytesMax: number;
  readonly #patienceMs: number;
  readonly #lines = new Map<string, Line>();
  /** Whose next piece may begin, in this order. */
  readonly #ready = new Set<string>();
  #bytes = 0;
  #isDue = false;

  /** `bytesMax`: what all that waits may hold; beyond it the last of who has most is OVERLOADED. */
  constructor(bytesMax: number, patienceMs = Infinity) {
    this.#bytesMax = bytesMax;
    this.#patienceMs = patienceMs;
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
      if (!line.underWay) this.#ready.add(who);
      while (this.#bytes > this.#bytesMax) this.#refuseLast();
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
    setImmediate(this.#turn);
  }

  readonly #turn = (): void => {
    this.#isDue = false;
    const until = performance.now() + SLICE_MS;
    for (const who of this.#ready) {
      this.#ready.delete(who);
      this.#begin(who, this.#lines.get(who)!);
      if (performance.now() >= until) break;
    }
    this.#goOn();
  };

  #begin(who: string, line: Line): void {
    const piece = line.pieces[0]!;
    this.#take(line, piece);
    // Its timer may be late itself.
    if (performance.now() >= piece.until) {
      piece.refuse(OWN_LINE);
      return this.#end(who, line);
    }
    line.underWay = piece.isDear();
    // What it does at once it has done before this returns.
    const done = piece.start();
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
