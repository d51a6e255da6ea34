import type { RecordCache } from '#libs/cache';
import { TypeFamilies } from '../run/types.js';
import type { Supergraph } from '../supergraph/supergraph.js';
import { GraphCache } from './graph-cache.js';
import type { Count } from './shape.js';
import { ANSWERS_BYTES, WholeAnswers } from './whole-answers.js';
import { Seen, Strangers } from './worth.js';

export interface EntityCacheOptions {
  readonly records: RecordCache;
  readonly random?: () => number;
  readonly sleep?: (ms: number) => Promise<void>;
  /** Requests that may wait for others' loads at one time; beyond them each loads by itself. */
  readonly waitersMax?: number;
  /** Of answers that are remembered whole; 0: none is. */
  readonly answersBytes?: number | undefined;
}

/**
 * What a gateway keeps of the entities that subgraphs answered. It outlives supergraphs; `of` is the view of one of them.
 */
export class EntityCache {
  readonly records: RecordCache;
  readonly random: () => number;
  readonly sleep: (ms: number) => Promise<void>;
  /** Loads under way in this process, by record. */
  readonly flights = new Map<string, Promise<void>>();
  /** Entities that are loaded anew while they are shown. */
  readonly refreshing = new Set<string>();
  /** Requests that wait for others' loads. */
  waiters = 0;
  readonly waitersMax: number;
  /** What was asked for last where next to nothing is found. */
  readonly seen = new Seen();
  readonly strangers = new Strangers();
  readonly answers: WholeAnswers;
  readonly #behind = new Set<Promise<void>>();
  readonly #counts = new Map<string, Count>();

  constructor(options: EntityCacheOptions) {
    this.records = options.records;
    this.answers = new WholeAnswers(this, options.answersBytes ?? ANSWERS_BYTES);
    this.waitersMax = options.waitersMax ?? 20_000;
    this.random = options.random ?? Math.random;
    this.sleep = options.sleep ?? ((ms) => new Promise((resolve) => setTimeout(resolve, ms)));
  }

  of(supergraph: Supergraph): GraphCache {
    return new GraphCache(this, supergraph, new TypeFamilies(supergraph.document));
  }

  /** Hits, misses and stale answers by subgraph, type and field. */
  count = (subgraph: string, type: string, field: string): Count => {
    const name = `${subgraph} ${type}.${field}`;
    let count = this.#counts.get(name);
    if (!count) {
      count = { field: `${type}.${field}`, subgraph, hits: 0, misses: 0, stale: 0 };
      this.#counts.set(name, count);
    }
    return count;
  };

  /** Work that nobody waits for. */
  behind(work: Promise<void>): void {
    this.#behind.add(work);
    void work.then(() => this.#behind.delete(work));
  }

  /** Resolves when all that came so far is kept. */
  async settled(): Promise<void> {
    await Promise.all(this.#behind);
    await this.records.settled();
  }

  get counts(): readonly Count[] {
    return [...this.#counts.values()].filter(({ hits, misses, stale }) => hits + misses + stale > 0);
  }
}
