import { randomUUID } from 'node:crypto';
import { silent, systemClock, type Attributes, type Clock, type Logger, type SpanKind } from '#libs/telemetry';
import { LIFETIME_MAX_MS } from './cache.js';
import { Circuit } from './circuit.js';
import { keyOf } from './keys.js';
import { MemoryRecords } from './memory-records.js';
import type { Ask, Found, Inspected, RecordFill, RecordStore, Remembered, Sight, Stale, Stamp } from './records.js';
import { RedisRecords } from './redis-records.js';
import { UndeliveredDrops } from './undelivered.js';

export interface RecordCacheOptions {
  /** Absent: in this process. `?cluster=true` for Redis Cluster. */
  readonly redisUrl?: string | undefined;
  readonly memoryBytesMax?: number;
  /** How long Redis may take to answer before a read goes on without it. */
  readonly deadlineMs?: number | undefined;
  /** How long whoever loads has, until another may as well. */
  readonly leaseMs?: number | undefined;
  readonly logger?: Logger;
  readonly clock?: Clock;
}

export function openRecordCache(options: RecordCacheOptions): RecordCache {
  const { redisUrl, memoryBytesMax = 64 * 1024 * 1024, logger = silent, clock = systemClock } = options;
  const store =
    redisUrl === undefined
      ? new MemoryRecords({ bytesMax: memoryBytesMax, clock })
      : new RedisRecords({ url: redisUrl, logger, deadlineMs: options.deadlineMs, leaseMs: options.leaseMs });
  return new RecordCache({ store, shared: redisUrl !== undefined, logger, clock });
}

/** What may be waiting for one answer of the store; beyond it a read goes on without. */
const WAITING_MAX = 20_000;

/**
 * A record store that may fail, be late or be away: then nothing is found and nothing is kept. Drops that could not be delivered are
 * tried again, and until they are (or everything kept before has run out) nothing is read here.
 */
export class RecordCache {
  readonly #store: RecordStore;
  readonly #shared: boolean;
  readonly #circuit: Circuit;
  readonly #undelivered: UndeliveredDrops;
  /** Leases of one process are one holder's: within it, `gateway/cache` knows who loads. */
  readonly #token = randomUUID();
  #asks: Ask[] = [];
  #answer: Promise<{ stamp: Stamp; found: readonly Found[] } | undefined> | undefined;
  #remembered: Remembered[] = [];
  #unchanged: Promise<Awaited<ReturnType<RecordStore['unchanged']>> | undefined> | undefined;
  #filling = new Set<Promise<void>>();

  constructor(parts: {
    store: RecordStore;
    /** Other processes use it too. */
    shared: boolean;
    logger?: Logger;
    clock?: Clock;
    retryMs?: number;
  }) {
    const { store, shared, logger = silent, clock = systemClock, retryMs = 500 } = parts;
    this.#store = store;
    this.#shared = shared;
    this.#circuit = new Circuit(clock, logger);
    this.#undelivered = new UndeliveredDrops({
      deliver: (keys) => this.#circuit.ask(() => store.drop(staleOf(keys))),
      lifetimeMs: LIFETIME_MAX_MS,
      retryMs,
      clock,
      logger,
    });
  }

  /** How a span of somebody who waits for the store is to be called. */
  span(operation: string): [kind: SpanKind, name: string, attributes: Attributes] {
    const attributes = { 'db.operation.name': operation };
    return this.#shared
      ? ['client', 'redis', { 'db.system.name': 'redis', ...attributes }]
      : ['internal', 'entity cache', attributes];
  }

  /** Undefined: it cannot be asked now. All that is asked for in one turn of the event loop is one round trip. */
  async look(asks: readonly Ask[]): Promise<{ stamp: Stamp; found: readonly Found[] } | undefined> {
    if (this.#undelivered.blocks(PREFIX)) return undefined;
    // Our own memory answers everybody, at once.
    if (!this.#shared) return this.#store.look(asks, this.#token);
    const from = this.#asks.length;
    if (from >= WAITING_MAX) return undefined;
    this.#asks.push(...asks);
    this.#answer ??= this.#turn().then(() => {
      const together = this.#asks;
      this.#asks = [];
      this.#answer = undefined;
      return this.#look(together);
    });
    const answer = await this.#answer;
    return answer && { stamp: answer.stamp, found: answer.found.slice(from, from + asks.length) };
  }

  /** What was found with these looks, to be asked about as one. */
  remember(sights: readonly Sight[]): Remembered {
    return this.#store.remember(sights);
  }

  /**
   * May what is remembered still be shown, as far as drops go? And what time it is by the store, ms. Undefined: it cannot be asked now.
   * All that is asked in one turn of the event loop is one round trip.
   */
  async unchanged(one: Remembered): Promise<{ now: number; same: boolean } | undefined> {
    if (this.#undelivered.blocks(PREFIX)) return undefined;
    const nth = this.#remembered.length;
    if (nth >= WAITING_MAX) return undefined;
    this.#remembered.push(one);
    this.#unchanged ??= this.#turn().then(async () => {
      const together = this.#remembered;
      this.#remembered = [];
      this.#unchanged = undefined;
      try {
        const ask = (): ReturnType<RecordStore['unchanged']> => this.#store.unchanged(together);
        return await (this.#shared ? this.#circuit.ask(ask) : ask());
      } catch {
        return undefined;
      }
    });
    const answer = await this.#unchanged;
    return answer && { now: answer.now, same: answer.same[nth] === true };
  }

  /** Our own memory answers everybody, at once. */
  #turn(): Promise<void> {
    return this.#shared ? new Promise((resolve) => setImmediate(resolve)) : Promise.resolve();
  }

  /** A stamp that also covers what the load's answer may hold; undefined when it cannot be had. */
  async cover(stamp: Stamp): Promise<Stamp | undefined> {
    try {
      return await this.#circuit.ask(() => this.#store.cover(stamp));
    } catch {
      return undefined;
    }
  }

  /** Resolves when it is kept, or is not. Nobody needs to wait. */
  fill(fills: readonly RecordFill[], stamp: Stamp): Promise<void> {
    if (fills.length === 0 || this.#undelivered.blocks(PREFIX)) return Promise.resolve();
    const fill = (): Promise<void> => this.#store.fill(fills, stamp);
    const filling = (this.#shared ? this.#circuit.ask(fill) : fill()).catch(() => {});
    this.#filling.add(filling);
    void filling.then(() => this.#filling.delete(filling));
    return filling;
  }

  /** True when nobody can read them any more; false when that is only so in this process, and tried on. */
  async drop(stale: Stale): Promise<boolean> {
    const { entities = [], epochs = [], told = [] } = stale;
    if (entities.length + epochs.length + told.length === 0) return true;
    try {
      const drop = (): Promise<void> => this.#store.drop(stale);
      await (this.#shared ? this.#circuit.ask(drop) : drop());
      return true;
    } catch {
      if (entities.length + epochs.length > 0)
        this.#undelivered.remember([
          ...entities.map((entity) => keyOf(PREFIX, `n${entity}`)),
          ...epochs.map((epoch) => keyOf(PREFIX, `p${epoch}`)),
        ]);
      return false;
    }
  }

  /** Which writes the store was told of: by name the version. Undefined: it cannot be asked now. */
  async told(names: readonly string[]): Promise<readonly (number | undefined)[] | undefined> {
    try {
      return await this.#circuit.ask(() => this.#store.told(names));
    } catch {
      return undefined;
    }
  }

  inspect(entity: string): Promise<Inspected[]> {
    return this.#circuit.ask(() => this.#store.inspect(entity));
  }

  /** Resolves when all that was learned so far is kept. */
  async settled(): Promise<void> {
    await Promise.all(this.#filling);
  }

  get roundTrips(): number {
    return this.#store.roundTrips;
  }

  async ready(): Promise<void> {
    await this.#store.ready();
  }

  async close(): Promise<void> {
    await this.#undelivered.close();
    await this.#store.close();
  }

  async #look(asks: readonly Ask[]): Promise<{ stamp: Stamp; found: readonly Found[] } | undefined> {
    try {
      return await this.#circuit.ask(() => this.#store.look(asks, this.#token));
    } catch {
      return undefined;
    }
  }
}

/** As libs/cache/undelivered.ts knows it. */
const PREFIX = 'entity';

function staleOf(keys: readonly string[]): Stale {
  const names = keys.map((key) => key.slice(key.indexOf('}:') + 2));
  return {
    entities: names.filter((name) => name.startsWith('n')).map((name) => name.slice(1)),
    epochs: names.filter((name) => name.startsWith('p')).map((name) => name.slice(1)),
  };
}
