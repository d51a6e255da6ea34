import type { Slot } from './store.js';

/**
 * Gathers the keys that are asked for in one turn of the event loop, by all requests and under all prefixes, into one
 * call. It leaves with `setImmediate`, after every promise and every `process.nextTick` of the turn: the loaders of one
 * GraphQL step dispatch there, each on its own, and all of them are to share the round trip.
 */
export class Tick {
  private keys = new Set<string>();
  private answer: Promise<Map<string, Slot>> | undefined;

  constructor(private readonly getOrLease: (keys: readonly string[]) => Promise<readonly Slot[]>) {}

  ask(keys: readonly string[]): Promise<ReadonlyMap<string, Slot>> {
    for (const key of keys) this.keys.add(key);
    this.answer ??= new Promise<void>((resolve) => setImmediate(resolve)).then(() => this.leave());
    return this.answer;
  }

  private async leave(): Promise<Map<string, Slot>> {
    const keys = [...this.keys];
    this.keys = new Set();
    this.answer = undefined;
    const slots = await this.getOrLease(keys);
    return new Map(keys.map((key, at) => [key, slots[at] ?? { kind: 'full' }]));
  }
}
