/** Of each of the two halves: 5,000 calls a second for as long as it is filled. */
const CALLS_MAX = 200_000;

/**
 * The calls that this process has taken, for as long as what is signed of them is believed. Two sets, of which the older one is forgotten
 * when the newer one is as old as that: nothing is looked through, and each call costs one look-up and one entry (60 bytes).
 *
 * When there are too many, the older one is forgotten before its time, and with it whatever was signed no later than one of its calls is
 * refused: a call that was taken is never taken again, and one that needs longer than that to come is refused although it is new.
 */
export class TakenCalls {
  readonly #believedMs: number;
  readonly #skewMs: number;
  readonly #callsMax: number;
  #older: Calls;
  #newer: Calls;
  /** Of what was signed then or before it is not known any more whether it was taken, s. */
  #forgottenS = -Infinity;

  /** `believedMs`: how long something may be believed after it was taken. `skewMs`: how far clocks may be apart. */
  constructor(parts: { believedMs: number; skewMs: number; callsMax?: number | undefined; now: number }) {
    this.#believedMs = parts.believedMs;
    this.#skewMs = parts.skewMs;
    this.#callsMax = parts.callsMax ?? CALLS_MAX;
    this.#older = new Calls(parts.now);
    this.#newer = new Calls(parts.now);
  }

  get size(): number {
    return this.#older.ids.size + this.#newer.ids.size;
  }

  /** Undefined: it is taken now; else it was before, or nobody knows any more. `signedS`: when it was signed, s; `now`: ms. */
  take(id: string, signedS: number, now: number): 'replayed' | 'forgotten' | undefined {
    const ageMs = now - this.#newer.sinceMs;
    // The clock was set back: what was signed before is of a time to come, and would make what is signed now look old.
    if (ageMs < -this.#skewMs) {
      this.#forget(now);
      this.#older.latestS = this.#forgottenS = -Infinity;
    } else if (ageMs >= this.#believedMs || this.#newer.ids.size >= this.#callsMax) this.#forget(now);
    if (this.#older.ids.has(id) || this.#newer.ids.has(id)) return 'replayed';
    if (signedS <= this.#forgottenS) return 'forgotten';
    this.#newer.add(id, signedS);
    return undefined;
  }

  #forget(now: number): void {
    this.#forgottenS = Math.max(this.#forgottenS, this.#older.latestS);
    this.#older = this.#newer;
    this.#newer = new Calls(now);
  }
}

class Calls {
  readonly ids = new Set<string>();
  readonly sinceMs: number;
  /** When the last of them was signed, s. */
  latestS = -Infinity;

  constructor(sinceMs: number) {
    this.sinceMs = sinceMs;
  }

  add(id: string, signedS: number): void {
    this.ids.add(id);
    if (signedS > this.latestS) this.latestS = signedS;
  }
}
