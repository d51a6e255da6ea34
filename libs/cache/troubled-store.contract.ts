import type { CacheStore, Fill, Slot } from './store.js';

export type Trouble = 'none' | 'request lost' | 'answer lost' | 'late';

/** A real store with trouble on the way to it. */
export class TroubledStore implements CacheStore {
  /** Decides for each call what becomes of it. */
  trouble: (call: 'getOrLease' | 'fill' | 'drop') => Trouble = () => 'none';
  roundTrips = 0;
  readonly dropped: string[][] = [];

  constructor(private readonly store: CacheStore) {}

  getOrLease(keys: readonly string[], leaseMs: number): Promise<Slot[]> {
    return this.through('getOrLease', () => this.store.getOrLease(keys, leaseMs));
  }

  fill(entries: readonly Fill[]): Promise<void> {
    return this.through('fill', () => this.store.fill(entries));
  }

  drop(keys: readonly string[]): Promise<void> {
    return this.through('drop', async () => {
      this.dropped.push([...keys]);
      await this.store.drop(keys);
    });
  }

  ready(): Promise<void> {
    return this.store.ready();
  }

  close(): Promise<void> {
    return this.store.close();
  }

  private async through<T>(name: 'getOrLease' | 'fill' | 'drop', call: () => Promise<T>): Promise<T> {
    this.roundTrips++;
    const trouble = this.trouble(name);
    if (trouble === 'none') return call();
    if (trouble === 'answer lost') await call();
    if (trouble === 'late') setTimeout(() => void call(), 3);
    throw new Error(`trouble: ${trouble}`);
  }
}
