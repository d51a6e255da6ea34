import { entityNames, type Ask, type KeptField, type Sight, type Stamp } from '#libs/cache';
import type { Count } from './shape.js';
import type { Worth } from './worth.js';

/** What one answer is made of, as long as all of it was kept: what it takes to show it again as it was written (whole-answers.ts). */
export class MadeOf {
  /** No subgraph was asked for any of it, so far. */
  whole: boolean;
  /** ms on the store's clock: of what was shown, when the first is due to be loaded anew, and when the oldest was loaded. */
  until = Number.POSITIVE_INFINITY;
  loadedAt = Number.POSITIVE_INFINITY;
  lookedAt = 0;
  /** How many items each selection found. */
  readonly worths = new Map<Worth, number>();
  /** How often each field was found. */
  readonly hits = new Map<Count, number>();
  readonly #subject: string | null;
  readonly #sights: Sight[] = [];
  /** Lists, by identity: many asks have one in common. */
  readonly #epochs = new Set<readonly string[]>();
  readonly #tags = new Set<string>();

  constructor(subject: string | null, whole: boolean) {
    this.#subject = subject;
    this.whole = whole;
  }

  /** So much was looked at. `asks` is not changed any more. */
  saw(stamp: Stamp, asks: readonly Ask[]): void {
    if (!this.whole) return;
    this.lookedAt = stamp.now;
    for (const { epochs } of asks) this.#epochs.add(epochs);
    this.#sights.push({ stamp, entities: asks.map(({ entity }) => entity), epochs: [] });
  }

  shown(kept: KeptField, count?: Count): void {
    if (!this.whole) return;
    if (kept.loadedAt < this.loadedAt) this.loadedAt = kept.loadedAt;
    this.until = Math.min(this.until, dueAt(kept));
    for (const tag of kept.tags) this.#tags.add(tag);
    if (count) this.hits.set(count, (this.hits.get(count) ?? 0) + 1);
  }

  found(worth: Worth, items: number): void {
    if (this.whole) this.worths.set(worth, (this.worths.get(worth) ?? 0) + items);
  }

  /** By the drops that would end any of it; none where nothing was looked at. */
  sights(): Sight[] {
    const [first] = this.#sights;
    if (first === undefined) return [];
    const viewer = this.#subject === null ? [] : [entityNames.viewer(this.#subject)];
    const epochs = [...this.#tags, ...[...this.#epochs].flat(), ...viewer];
    return [...this.#sights, { stamp: first.stamp, entities: [], epochs }];
  }
}

/** In the last tenth of its life a value is due to be loaded anew. */
export function dueAt({ loadedAt, freshUntil }: KeptField): number {
  return freshUntil - 0.1 * (freshUntil - loadedAt);
}
