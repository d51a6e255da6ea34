import { silent, systemClock, type Clock, type Logger } from '#libs/telemetry';
import { Aside, LEASE_MS, type AsideOptions, type Kept } from './aside.js';
import { Circuit } from './circuit.js';
import { checkPrefix } from './keys.js';
import { MemoryStore } from './memory-store.js';
import { RedisStore } from './redis-store.js';
import type { CacheStore, Fill, Slot } from './store.js';
import { Tick } from './tick.js';
import { UndeliveredDrops } from './undelivered.js';

/**
 * Nothing lives longer. So this is also how long another process can show what a drop that never arrived made stale; the
 * drop that the event makes, when it is heard, ends it earlier. Whoever starts a program prints it.
 */
export const LIFETIME_MAX_MS = 60_000;

export interface CacheOptions {
  /** Absent: in this process. `?cluster=true` for Redis Cluster. */
  readonly redisUrl?: string | undefined;
  /** off: nothing is kept, every read is a load. */
  readonly mode: 'on' | 'off';
  readonly memoryBytesMax?: number;
  /** How long Redis may take to answer before a read goes on without it. */
  readonly deadlineMs?: number;
  readonly logger?: Logger;
  readonly clock?: Clock;
  readonly random?: () => number;
}

export function openCache({
  redisUrl,
  mode,
  memoryBytesMax,
  deadlineMs,
  logger = silent,
  clock = systemClock,
  random = Math.random,
}: CacheOptions): Cache {
  const store = (): CacheStore =>
    redisUrl === undefined
      ? new MemoryStore({ bytesMax: memoryBytesMax ?? 64 * 1024 * 1024, clock })
      : new RedisStore({ url: redisUrl, logger, ...(deadlineMs === undefined ? {} : { deadlineMs }) });
  return new Cache({ store: mode === 'off' ? undefined : store(), logger, clock, random });
}

/**
 * Cache-aside for one process of one service. A store that fails makes reads slow, never wrong and never an error: then
 * every read is a load.
 */
export class Cache {
  private readonly store: CacheStore | undefined;
  private readonly kept: Kept;
  private readonly undelivered: UndeliveredDrops;
  private readonly circuit: Circuit;
  private readonly tick: Tick;
  private readonly prefixes = new Set<string>();

  constructor(parts: {
    store: CacheStore | undefined;
    logger?: Logger;
    clock?: Clock;
    random?: () => number;
    sleep?: (ms: number) => Promise<void>;
    /** How soon a drop that could not be delivered is tried again. */
    retryMs?: number;
  }) {
    const { store, logger = silent, clock = systemClock, random = Math.random, sleep = pause, retryMs = 500 } = parts;
    this.store = store;
    this.circuit = new Circuit(clock, logger);
    this.tick = new Tick((keys) => this.circuit.ask(async () => (await store?.getOrLease(keys, LEASE_MS)) ?? []));
    this.undelivered = new UndeliveredDrops({
      deliver: (keys) => this.deliver(keys),
      lifetimeMs: LIFETIME_MAX_MS,
      retryMs,
      clock,
      logger,
    });
    this.kept = {
      mode: store === undefined ? 'off' : 'on',
      clock,
      random,
      sleep,
      ask: (prefix, keys) => this.ask(prefix, keys),
      fill: (prefix, entries) => this.fill(prefix, entries),
      discard: (keys) => this.deliver(keys).catch(() => {}),
    };
  }

  aside<V>(options: AsideOptions): Aside<V> {
    checkPrefix(options.prefix);
    if (this.prefixes.has(options.prefix)) throw new RangeError(`The cache prefix ${options.prefix} is taken.`);
    if (!(options.ttlMs > 0 && options.ttlMs <= LIFETIME_MAX_MS && (options.negativeTtlMs ?? 1) <= LIFETIME_MAX_MS)) {
      throw new RangeError(
        `A lifetime in the cache is 1 to ${LIFETIME_MAX_MS} ms; ${options.prefix} asks for ${options.ttlMs}.`,
      );
    }
    this.prefixes.add(options.prefix);
    return new Aside<V>(this.kept, options);
  }

  /** Resolves when the keys are gone, or when it is remembered that they may be stale. Call it after COMMIT and before the answer. */
  async drop(keys: readonly string[]): Promise<void> {
    if (this.store === undefined || keys.length === 0) return;
    const unique = [...new Set(keys)];
    try {
      await this.deliver(unique);
    } catch {
      this.undelivered.remember(unique);
    }
  }

  /** Calls to the store; all that is asked for in one turn of the event loop is one. */
  get roundTrips(): number {
    return this.store?.roundTrips ?? 0;
  }

  /** Resolves when the store can be asked, at the latest after a second: a program starts without its cache, too. */
  async ready(): Promise<void> {
    await this.store?.ready();
  }

  async close(): Promise<void> {
    await this.undelivered.close();
    await this.store?.close();
  }

  private async ask(prefix: string, keys: readonly string[]): Promise<ReadonlyMap<string, Slot> | undefined> {
    if (this.store === undefined || this.undelivered.blocks(prefix)) return undefined;
    try {
      return await this.tick.ask(keys);
    } catch {
      return undefined;
    }
  }

  private async fill(prefix: string, entries: readonly Fill[]): Promise<void> {
    const store = this.store;
    if (store === undefined || this.undelivered.blocks(prefix)) return;
    try {
      await this.circuit.ask(() => store.fill(entries));
    } catch {
      // Nothing is kept; the lease runs out by itself.
    }
  }

  private async deliver(keys: readonly string[]): Promise<void> {
    await this.circuit.ask(async () => this.store?.drop(keys));
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
