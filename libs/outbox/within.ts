/** A wait with a deadline: what was waited for is in the message. */
export async function within<T>(deadlineMs: number, work: Promise<T>, forWhat: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited in vain for ${forWhat}`)), Math.max(0, deadlineMs));
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** A pause that `wake` ends early. */
export class Nap {
  #wake: (() => void) | undefined;
  #woken = false;

  /** Returns at once when somebody called `wake` since the last nap. */
  async take(ms: number): Promise<void> {
    if (!this.#woken) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, ms);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    this.#wake = undefined;
    this.#woken = false;
  }

  wake(): void {
    this.#woken = true;
    this.#wake?.();
  }
}
