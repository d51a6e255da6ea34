import { constants, PerformanceObserver, type PerformanceEntry } from 'node:perf_hooks';
import { getHeapSpaceStatistics, getHeapStatistics } from 'node:v8';
import type { Logger } from '#libs/telemetry';

const MB = 1024 * 1024;
/** So little of the old generation is left by a full collection: it is soon used up again, and each time less comes of it. */
const LEFT_SHARE = 0.1;
/** Of a large heap a tenth is much; what lives there may go on for long. */
const LEFT_BYTES = 64 * MB;
/**
 * V8 need not wait for its limit: it ends the process from four fifths of it on, once it has done little but collect four times in a row
 * (`CheckIneffectiveMarkCompact`). On a busy machine a heap of 128 MB ended so at 103 MB in 5 of 8 runs.
 */
const MUCH_SHARE = 0.75;
const AT_ONCE_MS = 50;
const AT_ONCE_TIMES = 5;
/** Near its limit V8 collects several times a second. Who is asked nothing collects nothing, so what was found is soon forgotten. */
const HOLDS_MS = 1_000;
const SAY_EVERY_MS = 60_000;

/**
 * Is the heap nearly full? At its limit V8 ends the process in the middle of whatever it does, after seconds in which it does little but
 * collect: time to be asked less, and to say why it will end.
 */
export class HeapWatch {
  readonly #logger: Logger;
  /** What it may hold. */
  readonly maxBytes = oldBytesMax();
  readonly #observer: PerformanceObserver;
  #foundAt = Number.NEGATIVE_INFINITY;
  #collectedAt = Number.NEGATIVE_INFINITY;
  #saidAt = Number.NEGATIVE_INFINITY;

  constructor(logger: Logger) {
    this.#logger = logger;
    this.#observer = new PerformanceObserver((list) => {
      for (const entry of list.getEntries())
        if ((entry as { detail?: { kind?: number } }).detail?.kind === MAJOR) this.collected(oldBytes(), entry);
    });
    this.#observer.observe({ entryTypes: ['gc'] });
  }

  /** How often it was found nearly full. */
  times = 0;

  get full(): boolean {
    return performance.now() - this.#foundAt < HOLDS_MS;
  }

  /** A full collection left so much, and took so long (ms). */
  collected(bytes: number, { startTime, duration }: Pick<PerformanceEntry, 'startTime' | 'duration'>): void {
    const again = startTime - this.#collectedAt < Math.max(AT_ONCE_MS, AT_ONCE_TIMES * duration);
    this.#collectedAt = startTime + duration;
    const hasRoom = this.maxBytes - bytes > Math.min(LEFT_SHARE * this.maxBytes, LEFT_BYTES);
    if (hasRoom && !(again && bytes > MUCH_SHARE * this.maxBytes)) return;
    const now = performance.now();
    this.times += 1;
    this.#foundAt = now;
    if (now - this.#saidAt < SAY_EVERY_MS) return;
    this.#saidAt = now;
    this.#logger.error(
      { heapMb: Math.round(bytes / MB), heapMaxMb: Math.round(this.maxBytes / MB) },
      'The heap is nearly full: at its limit Node ends the program (exit code 134)',
    );
  }

  close(): void {
    this.#observer.disconnect();
  }
}

/** What is not the young generation, which has nothing to do with the limit. */
function oldBytes(): number {
  return getHeapSpaceStatistics()
    .filter(({ space_name: name }) => !name.startsWith('new_') && name !== 'read_only_space')
    .reduce((sum, { space_used_size: bytes }) => sum + bytes, 0);
}

/**
 * V8 says the limit of all together: of the old generation and three semi-spaces, each a 128th of it and at most 16 MB. Whoever names the old
 * one's (--max-old-space-size) has semi-spaces by the machine's memory, so then that counts.
 */
export function oldBytesMax(
  limit = getHeapStatistics().heap_size_limit,
  options = [...process.execArgv, ...(process.env['NODE_OPTIONS'] ?? '').split(' ')],
): number {
  const named = /^--max[-_]old[-_]space[-_]size=(\d+)$/;
  const megabytes = options.map((option) => named.exec(option)?.[1]).find((found) => found !== undefined);
  return megabytes === undefined ? limit - Math.min(48 * MB, (3 * limit) / 131) : Number(megabytes) * MB;
}

const MAJOR = constants.NODE_PERFORMANCE_GC_MAJOR;
