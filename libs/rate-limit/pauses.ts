/** So long nobody asks a node that did not answer, ms; then one tries. */
const PAUSE_MS = 1_000;

/**
 * Nodes of a cluster that did not answer: until one has, each command to it would wait as long as the first one did. Of a node whose pause
 * is over one asks, and the others as soon as that one was answered.
 */
export class Pauses {
  readonly #clock: () => number;
  readonly #until = new Map<string, number>();

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

  pause(node: string): void {
    this.#until.set(node, this.#clock() + PAUSE_MS);
  }

  end(node: string): void {
    this.#until.delete(node);
  }
}
