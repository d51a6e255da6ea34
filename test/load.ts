/** Reads and writes that go on beside what is tried. */
export abstract class Load {
  #loop: Promise<void> | undefined;
  #ended = false;

  /** A few of them. */
  abstract some(): Promise<void>;

  /** Again and again, until the end. */
  goOn(): void {
    this.#loop = (async () => {
      for (; !this.#ended; await new Promise((resolve) => setTimeout(resolve, 20))) await this.some();
    })();
    // Whoever awaits the end is told.
    this.#loop.catch(() => {});
  }

  async end(): Promise<void> {
    this.#ended = true;
    await this.#loop;
  }
}
