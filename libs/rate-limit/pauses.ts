/** So long nobody asks a node that did not answer, ms; then one tries. */
const PAUSE_MS = 1_000;

/** So often in a row it has not answered, where each time may also be our own doing. */
const IN_A_ROW = 5;

/**
 * Nodes of a cluster that did not answer: until one has, each command to it would wait as long as the first one did. Of a node whose pause
 * is over one asks, and the others as soon as that one was answered.
 */
export class Pauses {
  readonly #clock: () => number;
  readonly #until = new Map<string, number>();
  /** How often each has not answered since it last did: another one's answer says nothing of it. */
  readonly #inARow = new Map<string, number>();

  constructor(clock: () => number = () => performance.now()) {
    this.#clock = clock;
  }

  mayAsk(node: string): boolean {
    const until = this.#until.get(node);
    if (until === undefined) return true;
    if (this.#clock() < until) return false;
    // This one tries; who comes while it waits does not.
    this.pause(node);
    return true;
  }

  /** It was waited for in vain. `sure`: nothing of ours was in its way. Answers whether that is enough to leave it alone. */
  missed(node: string, sure: boolean): boolean {
    const inARow = sure ? IN_A_ROW : (this.#inARow.get(node) ?? 0) + 1;
    this.#inARow.set(node, inARow);
    return inARow >= IN_A_ROW;
  }

  pause(node: string): void {
    this.#until.set(node, this.#clock() + PAUSE_MS);
  }

  /** It was answered. */
  end(node: string): void {
    this.#inARow.delete(node);
    this.#until.delete(node);
  }
}
