import { LRUCache } from 'lru-cache';
import type { Clock } from '#libs/telemetry';
import { VALUE_LENGTH_MAX, type CacheStore, type Fill, type Slot } from './store.js';

interface Entry {
  readonly text: string | undefined;
  readonly token: string;
  readonly until: number;
}

/** What an entry costs beside its two texts, about: the Map's slot, the list's links, the object. */
const ENTRY_BYTES = 200;

/** The store of a process that is alone. The least recently used entries make room; a lease that had to go only means that nothing is filled. */
export class MemoryStore implements CacheStore {
  roundTrips = 0;
  private readonly entries: LRUCache<string, Entry>;
  private readonly clock: Clock;
  private leases = 0;

  constructor(options: { bytesMax: number; clock: Clock }) {
    this.clock = options.clock;
    this.entries = new LRUCache({
      maxSize: options.bytesMax,
      sizeCalculation: (entry, key) => ENTRY_BYTES + 2 * (key.length + (entry.text?.length ?? 0)),
    });
  }

  get bytes(): number {
    return this.entries.calculatedSize;
  }

  async getOrLease(keys: readonly string[], leaseMs: number): Promise<Slot[]> {
    this.roundTrips++;
    const now = this.clock();
    const token = String(++this.leases);
    return keys.map((key): Slot => {
      const entry = this.entries.get(key);
      if (entry !== undefined && entry.until > now) {
        return entry.text === undefined ? { kind: 'awaited', token: entry.token } : { kind: 'kept', text: entry.text };
      }
      this.entries.set(key, { text: undefined, token, until: now + leaseMs });
      return { kind: 'leased', token };
    });
  }

  async fill(entries: readonly Fill[]): Promise<void> {
    this.roundTrips++;
    const now = this.clock();
    for (const { key, token, value, ttlMs } of entries) {
      const lease = this.entries.peek(key);
      if (lease === undefined || lease.text !== undefined || lease.token !== token || lease.until <= now) continue;
      if (value === null || value.length > VALUE_LENGTH_MAX || ttlMs <= 0) this.entries.delete(key);
      else this.entries.set(key, { text: value, token, until: now + ttlMs });
    }
  }

  async drop(keys: readonly string[]): Promise<void> {
    this.roundTrips++;
    for (const key of keys) this.entries.delete(key);
  }

  async ready(): Promise<void> {}

  async close(): Promise<void> {
    this.entries.clear();
  }
}
