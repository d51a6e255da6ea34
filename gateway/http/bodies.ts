import { notTaken } from './refusal.js';

/** What of one body has come so far. */
export interface Coming {
  add(bytes: number): void;
  /** It is whole, or nobody waits for the rest. */
  end(): void;
}

/**
 * What has come of all bodies that are not whole yet. Ten thousand connections that each send a body but for its last byte are 2.5 GB,
 * and take no place of those who have asked (admission.ts). Beyond `bytesMax` the longest is given up: whoever came last may be anybody.
 */
export class Bodies {
  readonly #bytesMax: number;
  readonly #coming = new Set<One>();
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  begin(giveUp: (why: Error) => void): Coming {
    const one: One = { bytes: 0, giveUp };
    this.#coming.add(one);
    return {
      add: (bytes) => {
        if (!this.#coming.has(one)) return;
        one.bytes += bytes;
        this.#bytes += bytes;
        while (this.#bytes > this.#bytesMax) this.#giveUpLongest();
      },
      end: () => this.#forget(one),
    };
  }

  #giveUpLongest(): void {
    let longest: One | undefined;
    for (const one of this.#coming) if (longest === undefined || one.bytes > longest.bytes) longest = one;
    this.#forget(longest!);
    longest!.giveUp(notTaken({ connection: 'close' }));
  }

  #forget(one: One): void {
    if (this.#coming.delete(one)) this.#bytes -= one.bytes;
  }
}

interface One {
  bytes: number;
  readonly giveUp: (why: Error) => void;
}
