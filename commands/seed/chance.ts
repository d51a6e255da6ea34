import { createHash } from 'node:crypto';

/** Numbers by chance that are the same for the same name, on every machine: sfc32, seeded by SHA-256. */
export class Chance {
  #a: number;
  #b: number;
  #c: number;
  #count = 1;

  constructor(name: string) {
    const hash = createHash('sha256').update(name).digest();
    this.#a = hash.readUInt32LE(0);
    this.#b = hash.readUInt32LE(4);
    this.#c = hash.readUInt32LE(8);
  }

  /** 0 to 2^32 - 1. */
  word(): number {
    const sum = (this.#a + this.#b + this.#count) | 0;
    this.#count = (this.#count + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }

  /** From 0 up to, and never, 1. */
  fraction(): number {
    return this.word() / 2 ** 32;
  }

  /** A whole number from 0 up to, and never, `below`. */
  below(below: number): number {
    return Math.floor(this.fraction() * below);
  }

  pick<T>(from: readonly T[]): T {
    const one = from[this.below(from.length)];
    if (one === undefined) throw new Error('There is nothing to pick from');
    return one;
  }

  bytes(count: number): Uint8Array {
    const bytes = Buffer.alloc(count);
    for (let at = 0; at < count; at++) bytes[at] = this.word() >>> 24;
    return bytes;
  }

  /** Normal, mean 0, deviation 1 (Box–Muller). */
  normal(): number {
    return Math.sqrt(-2 * Math.log(1 - this.fraction())) * Math.cos(2 * Math.PI * this.fraction());
  }

  shuffle(numbers: Int32Array): Int32Array {
    for (let last = numbers.length - 1; last > 0; last--) {
      const other = this.below(last + 1);
      const kept = numbers[last] ?? 0;
      numbers[last] = numbers[other] ?? 0;
      numbers[other] = kept;
    }
    return numbers;
  }
}
