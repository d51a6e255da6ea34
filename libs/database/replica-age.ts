/** How far the primary was when it was asked. */
export interface Mark {
  /** On this process's clock, ms: before it was asked. What was acknowledged until then is at `at` or before. */
  readonly askedMs: number;
  /** A position in PostgreSQL's log (LSN), in bytes. */
  readonly at: bigint;
}

/**
 * Since when a replica may lack something. It has all that was acknowledged before the last mark that it has replayed, so what
 * this tells is a bound, by one clock that is never set: no clock of a server is asked, and a quiet primary makes nobody old.
 */
export class ReplicaAge {
  #marks: Mark[] = [];
  /** What the replica had replayed when it was asked last; undefined: not asked, or it was another server. */
  #replayed: bigint | undefined;
  /** It was further than a primary that was asked later: it follows another one, and lacks what this one has. */
  #ahead: bigint | undefined;
  #freshAsOfMs: number | undefined;

  /** The primary, asked after whatever was told of the replica before. */
  mark(mark: Mark): void {
    const last = this.#marks.at(-1);
    if (this.#replayed !== undefined && this.#replayed > mark.at) this.#ahead = this.#replayed;
    // One that was replaced: of what it had marked nothing says anything of this one.
    if (last !== undefined && last.at > mark.at) this.#marks = [];
    if (last?.at === mark.at || this.#isDense(mark)) this.#marks.pop();
    this.#marks.push(mark);
  }

  replayed(at: bigint): void {
    this.#replayed = at;
    // One that follows the server that was replaced may go on, too: only what the primary has reached can be of the same history.
    if (this.#ahead !== undefined && this.#ahead !== at) this.#ahead = at <= this.#marks.at(-1)!.at ? undefined : at;
    const nth = this.#marks.findLastIndex((mark) => mark.at <= at);
    // One that has gone back is not who it was, and may be older than every mark.
    this.#freshAsOfMs = this.#marks[nth]?.askedMs;
    this.#marks.splice(0, nth);
  }

  /** The last one says little beside its neighbours: of a long lag a five-hundredth does not matter, and so a day of it is some thousand marks. */
  #isDense({ askedMs }: Mark): boolean {
    const [first, before, last] = [this.#marks[0], this.#marks.at(-2), this.#marks.at(-1)];
    return before !== undefined && last!.askedMs - before.askedMs < (askedMs - first!.askedMs) / 500;
  }

  get isAhead(): boolean {
    return this.#ahead !== undefined;
  }

  /** ms, on that clock; undefined: nothing is known. */
  get freshAsOfMs(): number | undefined {
    return this.isAhead ? undefined : this.#freshAsOfMs;
  }
}
