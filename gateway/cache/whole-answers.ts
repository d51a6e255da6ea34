import { LRUCache } from 'lru-cache';
import type { Remembered } from '#libs/cache';
import { traced } from '#libs/telemetry';
import type { RequestContext } from '../engine.js';
import type { AnswerPolicy } from './cache-control.js';
import type { EntityCache } from './entity-cache.js';
import type { RunCache } from './run-cache.js';
import type { Count } from './shape.js';
import type { Worth } from './worth.js';

/** An answer that was put together from kept values alone. */
interface Whole {
  readonly body: Buffer;
  readonly remembered: Remembered;
  readonly policy: AnswerPolicy;
  /** ms on the store's clock. From then on some value of it is due to be loaded anew. */
  readonly until: number;
  /** When its oldest value was loaded. */
  readonly loadedAt: number;
  /** What each selection finds in it (worth.ts), and how often each field is found. */
  readonly worths: readonly (readonly [worth: Worth, items: number])[];
  readonly hits: readonly (readonly [count: Count, times: number])[];
}

/**
 * The layer in this process. A page that was made of kept values only, without a subgraph, is remembered as it was written, with the names
 * of all drops that would end any of them. Whoever asks for the same, as the same person, costs one call to the store, which tells
 * whether any of that was dropped since: so it is as fresh as the values it was made of, and a hot page is neither looked up field by
 * field nor put together again, which was four fifths of its CPU.
 *
 * Nothing is remembered for who has written something and has to be shown it, nor where a subgraph was asked for any of it.
 */
export class WholeAnswers {
  readonly #cache: EntityCache;
  readonly #kept: LRUCache<string, Whole> | undefined;
  shown = 0;

  constructor(cache: EntityCache, bytesMax: number) {
    this.#cache = cache;
    if (bytesMax > 0)
      this.#kept = new LRUCache({
        maxSize: bytesMax,
        sizeCalculation: ({ body, remembered, hits }, key) =>
          WHOLE_BYTES + body.length + remembered.bytes + 2 * key.length + 32 * hits.length,
      });
  }

  /** Undefined: to be put together from the start. `unanswered`: and the store is not to be asked again for that. */
  async recall(
    key: string,
    context: Pick<RequestContext, 'trace' | 'responseHeaders' | 'consistency'>,
  ): Promise<Buffer | 'unanswered' | undefined> {
    const whole = hasWritten(context) ? undefined : this.#kept?.get(key);
    if (whole === undefined) return undefined;
    const { records } = this.#cache;
    const answer = await traced(context.trace, ...records.span('unchanged'), () => records.unchanged(whole.remembered));
    if (answer === undefined) return 'unanswered';
    if (!answer.same || answer.now >= whole.until) {
      if (this.#kept!.peek(key) === whole) this.#kept!.delete(key);
      return undefined;
    }
    for (const [worth, items] of whole.worths) worth.count(items, items);
    for (const [count, times] of whole.hits) count.hits += times;
    context.responseHeaders.push(...whole.policy.headers(answer.now - whole.loadedAt));
    this.shown += 1;
    return whole.body;
  }

  keep(key: string, { made, policy }: Pick<RunCache, 'made' | 'policy'>, body: Buffer): void {
    if (this.#kept === undefined || !made.whole || !(made.until > made.lookedAt)) return;
    const sights = made.sights();
    const names = sights.reduce((sum, { entities, epochs }) => sum + entities.length + epochs.length, 0);
    if (names === 0 || names > NAMES_MAX) return;
    this.#kept.set(key, {
      // A copy of its own: what is small is cut from a common piece of memory, which it would hold.
      body: Buffer.allocUnsafeSlow(body.length).fill(body),
      remembered: this.#cache.records.remember(sights),
      policy,
      until: made.until,
      loadedAt: made.loadedAt,
      worths: [...made.worths],
      hits: [...made.hits],
    });
  }
}

/** What they may have in one process. */
export const ANSWERS_BYTES = 32 * 1024 * 1024;

/** All of them are read by one script as soon as anything is dropped, and Redis does nothing else meanwhile. */
const NAMES_MAX = 2_000;

/** Of an entry, its objects and its place. */
const WHOLE_BYTES = 1_000;

function hasWritten({ consistency }: Pick<RequestContext, 'consistency'>): boolean {
  return consistency !== undefined && consistency.writes.length > 0;
}
