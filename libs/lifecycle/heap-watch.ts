import { constants, PerformanceObserver } from 'node:perf_hooks';
import { getHeapStatistics } from 'node:v8';
import type { Logger } from '#libs/telemetry';

/** Of the old generation, what is left by a full collection; the rest is soon used up again, and each time less comes of it. */
const FULL = 0.9;
/** Three semi-spaces of 16 MB, which V8 counts into the limit. */
const YOUNG_BYTES = 48 * 1024 * 1024;
/** Near its limit V8 collects several times a second. Who is asked nothing collects nothing, so what was found is soon forgotten. */
const HOLDS_MS = 1_000;
const SAY_EVERY_MS = 60_000;
const MB = 1024 * 1024;

/**
 * Is the heap nearly full? At its limit V8 ends the process in the middle of whatever it does, after seconds in which it does little but
 * collect: time to be asked less, and to say why it will end.
 */
export class HeapWatch {
  readonly #logger: Logger;
  readonly #maxBytes: number;
  readonly #observer: PerformanceObserver;
  #foundAt = Number.NEGATIVE_INFINITY;
  #saidAt = Number.NEGATIVE_INFINITY;

  constructor(logger: Logger) {
    this.#logger = logger;
    const { heap_size_limit: limit } = getHeapStatistics();
    this.#maxBytes = Math.max(limit / 2, limit - YOUNG_BYTES);
    this.#observer = new PerformanceObserver((list) => {
      const full = list.getEntries().some((entry) => (entry as { detail?: { kind?: number } }).detail?.kind === MAJOR);
      if (full) this.collected(getHeapStatistics().used_heap_size);
    });
    this.#observer.observe({ entryTypes: ['gc'] });
  }

  get full(): boolean {
    return performance.now() - this.#foundAt < HOLDS_MS;
  }

  /** A full collection left so much. */
  collected(bytes: number): void {
    if (bytes < FULL * this.#maxBytes) return;
    const now = performance.now();
    this.#foundAt = now;
    if (now - this.#saidAt < SAY_EVERY_MS) return;
    this.#saidAt = now;
    this.#logger.error(
      { heapMb: Math.round(bytes / MB), heapMaxMb: Math.round(this.#maxBytes / MB) },
      'The heap is nearly full: at its limit Node ends the program (exit code 134)',
    );
  }

  close(): void {
    this.#observer.disconnect();
  }
}

const MAJOR = constants.NODE_PERFORMANCE_GC_MAJOR;
