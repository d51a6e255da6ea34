import DataLoader from 'dataloader';

/** `load`, `loadMany`, `clear` and `prime` of dataloader, for one request. */
export type Loader<K, V> = DataLoader<K, V, string>;

export interface KeyedOptions<K> {
  /** The text that tells keys apart; needed when a key is an object. Where rights differ, the viewer is part of it. */
  readonly keyOf?: (key: K) => string;
  readonly maxBatchSize?: number;
}

/**
 * A loader over a map: what is missing in it is null, and what is an error fails its key. A `load` that throws fails its batch. The next
 * `load` of a key that failed asks again.
 */
export function keyed<K, V>(
  load: (keys: readonly K[]) => Promise<ReadonlyMap<string, V | Error>>,
  { keyOf = String, maxBatchSize = 1_000 }: KeyedOptions<K> = {},
): Loader<K, V | null> {
  const loader = new DataLoader<K, V | null, string>(
    async (keys) => {
      const found = await load(keys);
      return keys.map((key) => {
        const one = found.get(keyOf(key)) ?? null;
        if (one instanceof Error) loader.clear(key);
        return one;
      });
    },
    { cacheKeyFn: keyOf, maxBatchSize },
  );
  return loader;
}
