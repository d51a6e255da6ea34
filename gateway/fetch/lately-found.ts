/** What has not been found for so many looks is forgotten, */
const LOOKS_KEPT = 10;
/** and beyond so many what has not been found for longest. */
const KEPT_MAX = 8;
/** So many times within those looks an address has to have come back: once is a machine that took over and gave back. */
const RETURNS_MIN = 2;

/**
 * What a name stood for lately. Some name servers say one address of several at a time, another one each time: taken at its word, such a
 * name would be a new machine at each look, with new connections and nothing known of it. One that has moved is followed at once.
 */
export class LatelyFound {
  /** At which look each was found last, the newest last. */
  readonly #found = new Map<string, number>();
  #returns: number[] = [];
  #looks = 0;

  /** `addresses`: what one look has found. Answers what the name stands for. */
  found(addresses: readonly string[]): readonly string[] {
    const [address] = addresses;
    if (address === undefined || addresses.length > 1) {
      // Who says several says all.
      this.#found.clear();
      this.#returns = [];
      return addresses;
    }
    const look = (this.#looks += 1);
    const last = this.#found.get(address);
    if (last !== undefined && last < look - 1) this.#returns.push(look);
    this.#found.delete(address);
    this.#found.set(address, look);
    for (const [one, at] of this.#found)
      if (at <= look - LOOKS_KEPT || this.#found.size > KEPT_MAX) this.#found.delete(one);
    this.#returns = this.#returns.filter((at) => at > look - LOOKS_KEPT);
    return this.#returns.length < RETURNS_MIN ? [address] : [...this.#found.keys()].toSorted();
  }
}
