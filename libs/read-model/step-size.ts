/**
 * How many keys the next step has: as many as the model does at once, or, where others wait for the one connection, as many as take about
 * `aimMs`. It begins with `keysMin`, one where nothing is said, for a list may hold ten posts or ten thousand, and has never fewer, nor more
 * than twice as many as the last, nor more than `keysMax`, a fourth of what the model does at once where nothing is said: behind a thousand
 * empty lists there may be full ones.
 */
export class StepSize {
  readonly #most: number;
  #keys: number;

  constructor(
    keysPerStep: number,
    private readonly aimMs: number | undefined,
    keysMax = Math.ceil(keysPerStep / 4),
    private readonly keysMin = 1,
  ) {
    this.#most = keysMax;
    this.#keys = aimMs === undefined ? keysPerStep : keysMin;
  }

  get keys(): number {
    return this.#keys;
  }

  /** `ms`: of the work alone; who has waited for the connection as well would have the smaller steps the busier the store is. */
  took(ms: number, keys: number): void {
    if (this.aimMs === undefined || keys === 0) return;
    const fitting = Math.floor((keys * this.aimMs) / Math.max(ms, 0.1));
    this.#keys = Math.max(this.keysMin, Math.min(fitting, 2 * this.#keys, this.#most));
  }
}
