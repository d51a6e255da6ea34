import { LRUCache } from 'lru-cache';
import { Failure } from '#libs/failure';
import type { NormalOperation } from './normalise.js';
import type { Plan } from './plan.js';
import type { Planner } from './planner.js';
import { whileWanted } from './while-wanted.js';
import { Wanted } from './wanted.js';

export interface PlansOptions<Compiled> {
  readonly planner: Planner;
  readonly cacheBytes: number;
  /** How long one who asks waits. */
  readonly deadlineMs: number;
  /** How long a plan that a planner has begun may come after the last who waited for it, for the next who asks. */
  readonly lateMs?: number;
  /** What is made of a plan and kept with it. */
  readonly compile: (plan: Plan, operation: NormalOperation) => Compiled;
}

/** Which override labels are on for a request: part of what a plan depends on. */
export interface Overrides {
  readonly labels: readonly string[];
  readonly percent: number;
}

interface Entry<Compiled> {
  readonly operation: NormalOperation;
  times: number;
  readonly plan: Plan;
  readonly bytes: number;
  readonly compiled: Compiled;
}

interface UnderWay<Compiled> {
  readonly entry: Promise<Entry<Compiled>>;
  readonly wanted: Wanted;
}

const LATE_MS = 5_000;

/**
 * Plans by the whole text of the normalised operation, so that no two can be taken for each other; bounded by bytes. Many
 * who ask for the same plan at once wait for one planning, each as long as the deadline says; what a planner has begun goes on for a while
 * when all of them have gone, since they will ask again.
 */
export class Plans<Compiled> {
  readonly #options: PlansOptions<Compiled>;
  readonly #known: LRUCache<string, Entry<Compiled>>;
  readonly #underWay = new Map<string, UnderWay<Compiled>>();
  /** Plannings so far: for tests and metrics. */
  planned = 0;

  constructor(options: PlansOptions<Compiled>) {
    this.#options = options;
    this.#known = new LRUCache({
      maxSize: options.cacheBytes,
      maxEntrySize: options.cacheBytes,
      sizeCalculation: (entry, key) => entry.bytes + key.length * 2,
    });
  }

  /** `begins`: told that it is this call which has it planned; others wait for the same. */
  async compiled(operation: NormalOperation, overrides: Overrides, begins?: () => void): Promise<Compiled> {
    const key = this.#keyOf(operation, overrides);
    const entry = this.#known.get(key) ?? (await this.#plan(key, operation, overrides, begins));
    entry.times += 1;
    return entry.compiled;
  }

  /** Without waiting, when it is known: the usual case pays for no promise. */
  known(operation: NormalOperation, overrides: Overrides): Compiled | undefined {
    const entry = this.#known.get(this.#keyOf(operation, overrides));
    if (!entry) return undefined;
    entry.times += 1;
    return entry.compiled;
  }

  /** The operations that were run most, the most first. */
  mostUsed(count: number): { operation: NormalOperation; times: number }[] {
    return [...this.#known.values()].sort((one, other) => other.times - one.times).slice(0, count);
  }

  /** Plans it as if it had been run so often. */
  async warm(operation: NormalOperation, overrides: Overrides, times: number): Promise<void> {
    const key = this.#keyOf(operation, overrides);
    (this.#known.get(key) ?? (await this.#plan(key, operation, overrides))).times += times;
  }

  async plan(operation: NormalOperation, overrides: Overrides): Promise<Plan> {
    const key = this.#keyOf(operation, overrides);
    return (this.#known.get(key) ?? (await this.#plan(key, operation, overrides))).plan;
  }

  get size(): number {
    return this.#known.size;
  }

  #keyOf(operation: NormalOperation, { labels, percent }: Overrides): string {
    return labels.length === 0 && percent === 100
      ? operation.key
      : `${operation.key}\n${JSON.stringify([labels, percent])}`;
  }

  async #plan(
    key: string,
    operation: NormalOperation,
    overrides: Overrides,
    begins?: () => void,
  ): Promise<Entry<Compiled>> {
    let underWay = this.#underWay.get(key);
    if (!underWay || underWay.wanted.signal.aborted) {
      begins?.();
      underWay = this.#begin(key, operation, overrides);
      this.#underWay.set(key, underWay);
    }
    const { entry, wanted } = underWay;
    wanted.come();
    try {
      return await inTime(entry, this.#options.deadlineMs);
    } finally {
      wanted.leave();
    }
  }

  #begin(key: string, operation: NormalOperation, overrides: Overrides): UnderWay<Compiled> {
    const wanted = new Wanted(this.#options.lateMs ?? LATE_MS);
    const entry = this.#planNow(operation, overrides, wanted)
      .then((plan) => this.#keep(key, operation, plan))
      .finally(() => {
        wanted.end();
        if (this.#underWay.get(key)?.wanted === wanted) this.#underWay.delete(key);
      });
    return { entry, wanted };
  }

  #keep(key: string, operation: NormalOperation, plan: Plan): Entry<Compiled> {
    // Measured on the profile page: a compiled plan holds about eight times its JSON.
    const bytes = 1_000 + JSON.stringify(plan).length * 8;
    const entry = { operation, times: 0, plan, bytes, compiled: this.#options.compile(plan, operation) };
    this.#known.set(key, entry);
    return entry;
  }

  async #planNow(operation: NormalOperation, { labels, percent }: Overrides, wanted: Wanted): Promise<Plan> {
    if (operation.planned === undefined) return { root: undefined };
    this.planned += 1;
    const { planner, deadlineMs } = this.#options;
    const kind = operation.definition.operation === 'mutation' ? 'mutation' : 'query';
    const { signal } = wanted;
    const begun = () => wanted.begun();
    try {
      return await whileWanted(
        planner.plan({ query: operation.planned, kind, labels, percent, signal, begun }),
        signal,
      );
    } catch (error) {
      if (signal.aborted) throw overdue(deadlineMs, error);
      throw new Failure('INTERNAL_SERVER_ERROR', undefined, { cause: error });
    }
  }
}

/** As long as somebody waits; what comes later is for others. */
function inTime<T>(work: Promise<T>, deadlineMs: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(overdue(deadlineMs)), deadlineMs);
    work.then(resolve, reject).finally(() => clearTimeout(late));
  });
}

function overdue(deadlineMs: number, cause?: unknown): Failure {
  return new Failure('GATEWAY_TIMEOUT', `Planning took longer than ${deadlineMs} ms.`, { cause });
}
