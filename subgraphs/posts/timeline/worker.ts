import type { Database } from '#libs/database';
import type { DomainEvent } from '#libs/events';
import type { Logger } from '#libs/telemetry';
import { backfillStep } from './backfill.js';
import { buildMissing, buildMissingOf, PEOPLE_PER_STEP } from './build.js';
import { deliverStep } from './deliver.js';
import { NIL, type TimelineLimits } from './lists.js';

/**
 * Does what there is to do for the home timelines, step by step, in the background: new edges, posts on their way, people without a
 * list. All of it stands in tables, so whoever is killed goes on at the next start, and another process finds it when it looks.
 */
export class TimelineWorker {
  readonly #parts: { database: Database; logger: Logger; limits: TimelineLimits; lookMs: number; retryMs: number };
  #work: Promise<void> | undefined;
  #again = false;
  #closed = false;
  /** Everybody is to be looked at, from the first on: after the start, and when the other version has begun to answer. */
  #everybody = true;
  /** Behind whom the look goes on; undefined: all of them were looked at. */
  #after: string | undefined;
  #serving: number | undefined;
  /** Who was heard of since. */
  readonly #heardOf = new Set<string>();
  #look: NodeJS.Timeout | undefined;

  constructor(parts: {
    database: Database;
    logger: Logger;
    limits: TimelineLimits;
    lookMs?: number;
    retryMs?: number;
  }) {
    this.#parts = { lookMs: LOOK_MS, retryMs: 1_000, ...parts };
    parts.database.afterCommit(async (events) => {
      // Somebody new has a list at once, unless they were seen to follow before they were heard of; somebody who is back, unless the other
      // version has begun to answer while they were frozen. Only they are looked at: an event that is told again is of somebody who came
      // long ago, and everybody came after them.
      for (const { type, payload } of events)
        if (type === 'user-registered' || type === 'account-thawed') this.#heard(payload.userId);
      if (events.some(givesWork)) this.wake();
    });
  }

  #heard(userId: string): void {
    if (this.#heardOf.size < HEARD_OF_MAX) this.#heardOf.add(userId);
    // Too many to remember while lists cannot be written: then everybody is looked at again.
    else this.#everybody = true;
  }

  wake(): void {
    this.#again = true;
    if (!this.#closed) this.#work ??= this.#run();
  }

  /** Resolves when there is nothing to do, or it will be tried again later. */
  async settled(): Promise<void> {
    while (this.#work !== undefined) await this.#work;
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#look);
    await this.#work;
  }

  async #run(): Promise<void> {
    let nextMs = this.#parts.lookMs;
    try {
      while (this.#again && !this.#closed) {
        this.#again = false;
        const { did, held } = await this.#step();
        if (did) this.#again = true;
        // By another process, which does it, or by one that is gone, until the server gives up its transaction: no event tells of that.
        nextMs = held ? this.#parts.retryMs : this.#parts.lookMs;
      }
    } catch (error) {
      this.#parts.logger.error(
        { err: error, retryMs: this.#parts.retryMs },
        'Home timelines could not be written; they wait',
      );
      nextMs = this.#parts.retryMs;
    } finally {
      this.#work = undefined;
      clearTimeout(this.#look);
      if (!this.#closed) this.#look = setTimeout(() => this.wake(), nextMs).unref();
    }
  }

  /** `did`: there was something to do, so there may be more. `held`: there is, and somebody else holds all of it. */
  async #step(): Promise<{ readonly did: boolean; readonly held: boolean }> {
    const { database, limits } = this.#parts;
    const [there] = await database.query<{ edges: boolean; posts: boolean; serving: number | null }>(
      `SELECT EXISTS (SELECT FROM follow_edges WHERE NOT pushed) AS edges, EXISTS (SELECT FROM timeline_work) AS posts,
         (SELECT serving FROM read_models WHERE name = 'home-timeline') AS serving`,
    );
    const serving = there?.serving ?? undefined;
    // A version that was built has no list of who came late while it was.
    if (serving !== this.#serving) this.#everybody = true;
    this.#serving = serving;
    const edges = there?.edges ? await backfillStep(database, limits) : undefined;
    const posts = there?.posts ? (await deliverStep(database, limits)).posts : undefined;
    const held = edges === 0 || posts === 0;
    let did = (edges ?? 0) + (posts ?? 0) > 0;
    const heardOf = [...this.#heardOf].slice(0, PEOPLE_PER_STEP);
    if (heardOf.length > 0) {
      await buildMissingOf(database, heardOf, limits);
      for (const id of heardOf) this.#heardOf.delete(id);
      did ||= this.#heardOf.size > 0;
    }
    if (this.#everybody) [this.#everybody, this.#after] = [false, NIL];
    if (this.#after !== undefined) {
      this.#after = (await buildMissing(database, this.#after, limits))?.last;
      did ||= this.#after !== undefined || this.#everybody;
    }
    return { did, held };
  }
}

const HEARD_OF_MAX = 10_000;

/** For what a process that died had begun: one statement a minute. */
const LOOK_MS = 60_000;

function givesWork({ type }: DomainEvent): boolean {
  return (
    type === 'user-registered' ||
    type === 'account-thawed' ||
    type === 'follow-started' ||
    type === 'post-published' ||
    type === 'post-restored'
  );
}
