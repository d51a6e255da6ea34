/**
 * Whether somebody still waits for work that many may wait for. It is given up when the last of them goes; once begun, only a while after
 * that, for they will ask again.
 */
export class Wanted {
  readonly #lateMs: number;
  readonly #gone = new AbortController();
  #waiting = 0;
  #begun = false;
  #over = false;
  #late: NodeJS.Timeout | undefined;

  constructor(lateMs: number) {
    this.#lateMs = lateMs;
  }

  /** Aborted: nobody wants it any more. */
  get signal(): AbortSignal {
    return this.#gone.signal;
  }

  come(): void {
    this.#waiting += 1;
    clearTimeout(this.#late);
  }

  leave(): void {
    this.#waiting -= 1;
    if (this.#waiting > 0 || this.#over) return;
    if (!this.#begun) this.#giveUp();
    else this.#late = setTimeout(() => this.#giveUp(), this.#lateMs).unref();
  }

  /** From now on it is worth its late time. */
  begun(): void {
    this.#begun = true;
  }

  /** It is done. */
  end(): void {
    this.#over = true;
    clearTimeout(this.#late);
  }

  #giveUp(): void {
    this.#gone.abort(new DOMException('Nobody waits for the plan any more.', 'TimeoutError'));
  }
}
