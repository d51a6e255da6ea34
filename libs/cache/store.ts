/**
 * Where values are kept. Two stores pass one contract (`store.contract.ts`): memory, for a single process, and Redis.
 *
 * A value and the right to fill it live under ONE key: either the value or a lease is there, so dropping the key ends
 * both at once. That is what makes a slow miss harmless: whoever began to load before a commit no longer holds the
 * lease after the drop, and its fill does nothing.
 */
export interface CacheStore {
  /** One answer per key, in order. A key that holds nothing is leased to the caller, for `leaseMs` at most. */
  getOrLease(keys: readonly string[], leaseMs: number): Promise<Slot[]>;
  /** Keeps each value whose lease still stands. A null value gives the lease back. */
  fill(entries: readonly Fill[]): Promise<void>;
  /** Takes away values and leases. Resolves when they are gone. */
  drop(keys: readonly string[]): Promise<void>;
  /** Resolves when it can be asked, at the latest after a second. */
  ready(): Promise<void>;
  close(): Promise<void>;
  /** Calls that went to the store. Parts that are sent at the same moment to several nodes count as one. */
  readonly roundTrips: number;
}

export type Slot =
  | { readonly kind: 'kept'; readonly text: string }
  /** Nothing is kept, and it is yours to load and fill. */
  | { readonly kind: 'leased'; readonly token: string }
  /** Nothing is kept, and whoever holds `token` is loading it. */
  | { readonly kind: 'awaited'; readonly token: string }
  /** Nothing is kept, nor can be: the store is full. Load it yourself. */
  | { readonly kind: 'full' };

export interface Fill {
  readonly key: string;
  readonly token: string;
  readonly value: string | null;
  readonly ttlMs: number;
}

/** A longer text is not kept, and one that is found is thrown away: nothing of ours comes near it. */
export const VALUE_LENGTH_MAX = 131_072;
