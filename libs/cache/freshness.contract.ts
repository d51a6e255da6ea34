import { Redis } from 'ioredis';
import type { Cache } from './cache.js';

/** One process that reads through a cache and drops from it: ours, or the naive one. */
export interface Reader {
  read(id: string, load: () => Promise<number>): Promise<number>;
  drop(id: string): Promise<void>;
}

/**
 * The schedule that catches cache-aside without a lease: a reader misses and loads the old row, slowly; another process
 * commits and drops; the load ends. Answers what both processes read from then on; the database says 2.
 */
export async function slowMissAcrossACommit(reader: Reader, writer: Reader, id: string): Promise<number[]> {
  let row = 1;
  let hasRead = (): void => {};
  let goOn = (): void => {};
  const read = new Promise<void>((resolve) => (hasRead = resolve));
  const committed = new Promise<void>((resolve) => (goOn = resolve));

  await writer.drop(id);
  const slow = reader.read(id, async () => {
    const old = row;
    hasRead();
    await committed;
    return old;
  });
  await read;
  row = 2;
  await writer.drop(id);
  goOn();
  await slow;
  return [await reader.read(id, async () => row), await writer.read(id, async () => row)];
}

/**
 * Writers and readers at random over a few rows. A write counts from the moment its drop has resolved; a read that starts
 * later and answers an older row is a violation. Answers what was violated.
 */
export async function staleReads(
  processes: readonly Reader[],
  random: () => number,
  steps: number,
  run: string,
): Promise<string[]> {
  const committed = new Map<string, number>();
  const acknowledged = new Map<string, number>();
  const violations: string[] = [];
  const turns = async (max: number): Promise<void> => {
    for (let left = Math.floor(random() * max); left > 0; left--) await new Promise((resolve) => setImmediate(resolve));
  };
  const anyOf = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
  const ids = ['a', 'b', 'c'].map((name) => `${run}-${name}`);

  await Promise.all(
    Array.from({ length: steps }, async (_, step) => {
      const id = anyOf(ids);
      const place = anyOf(processes);
      await turns(steps);
      if (step % 4 === 0) {
        const version = (committed.get(id) ?? 0) + 1;
        committed.set(id, version);
        await turns(3);
        await place.drop(id);
        acknowledged.set(id, Math.max(version, acknowledged.get(id) ?? 0));
        return;
      }
      const floor = acknowledged.get(id) ?? 0;
      const seen = await place.read(id, async () => {
        await turns(6);
        const row = committed.get(id) ?? 0;
        await turns(20);
        return row;
      });
      if (seen < floor) violations.push(`${id}: read ${seen} after ${floor} was acknowledged`);
    }),
  );
  return violations;
}

export function readerOf(cache: Cache, prefix: string): Reader {
  const aside = cache.aside<number>({ prefix, ttlMs: 60_000 });
  return {
    read: async (id, load) => (await aside.getMany([id], async () => new Map([[id, await load()]]))).get(id) ?? -1,
    drop: (id) => cache.drop([aside.keyOf(id)]),
  };
}

export interface PlainStore {
  get(key: string): Promise<string | null>;
  set(key: string, value: string): Promise<unknown>;
  del(key: string): Promise<unknown>;
}

/** The control: what every tutorial shows. Get; on a miss load and set; on a write delete; a failing cache is ignored. */
export function naiveReader(store: PlainStore): Reader {
  const ignore = (): null => null;
  return {
    async read(id, load) {
      const kept = await store.get(`naive:${id}`).catch(ignore);
      if (kept !== null) return Number(kept);
      const loaded = await load();
      await store.set(`naive:${id}`, String(loaded)).catch(ignore);
      return loaded;
    },
    async drop(id) {
      await store.del(`naive:${id}`).catch(ignore);
    },
  };
}

export function plainMemory(): PlainStore {
  const kept = new Map<string, string>();
  return {
    get: async (key) => kept.get(key) ?? null,
    set: async (key, value) => kept.set(key, value),
    del: async (key) => kept.delete(key),
  };
}

/** With the deadlines of ours, so that only the lease and the discipline of drops make the difference. */
export function plainRedis(url: string): PlainStore & { close(): void } {
  const client = new Redis(url, {
    commandTimeout: 80,
    socketTimeout: 200,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 1,
    autoResendUnfulfilledCommands: false,
  });
  client.on('error', () => {});
  return {
    get: (key) => client.get(key),
    set: (key, value) => client.set(key, value, 'PX', 60_000),
    del: (key) => client.del(key),
    close: () => client.disconnect(),
  };
}

/** mulberry32: the same seed, the same schedule. */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
