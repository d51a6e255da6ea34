import type { Logger } from './logger.js';

interface Parts {
  readonly logger: Logger;
  /** What is the same in every line: the group, the stream. */
  readonly fields: object;
  readonly began: string;
  readonly lasts: string;
  readonly over: string;
  /** What is said instead of `began` and `lasts`, and at once, where an error says that it is something else; undefined: it does not. */
  readonly otherwise?: (error: unknown) => string | undefined;
  /** Milliseconds from anywhere. */
  readonly clock?: () => number;
  readonly everyMs?: number;
  /** It is over when nothing has failed for so long. Absent: when `succeeded` says so. */
  readonly overMs?: number;
}

/**
 * Says of something that is tried again and again that it fails: when it begins, once a minute while it lasts, and when it is
 * over. What comes and goes within the minute is one outage that lasts, so there are at most four lines a minute whatever happens.
 */
export class Outage {
  readonly #parts: Required<Omit<Parts, 'overMs'>>;
  readonly #overMs: number | undefined;
  #over: NodeJS.Timeout | undefined;
  #began: number | undefined;
  #failures = 0;
  #said = Number.NEGATIVE_INFINITY;
  /** When it was said last that it is something else. */
  #otherSaid = Number.NEGATIVE_INFINITY;
  #isTold = false;

  constructor({ overMs, ...parts }: Parts) {
    this.#overMs = overMs;
    this.#parts = { clock: () => performance.now(), everyMs: 60_000, otherwise: () => undefined, ...parts };
  }

  failed(error: unknown): void {
    if (this.#overMs !== undefined) this.#over = this.#over?.refresh() ?? this.#after(this.#overMs);
    const { logger, fields, began, lasts, otherwise, clock, everyMs } = this.#parts;
    const now = clock();
    this.#began ??= now;
    this.#failures += 1;
    const other = otherwise(error);
    if (now - (other === undefined ? this.#said : this.#otherSaid) < everyMs) return;
    this.#said = now;
    if (other !== undefined) this.#otherSaid = now;
    if (this.#isTold) {
      // Where it came from was in the first line.
      logger.warn({ ...fields, reason: String(error), ...this.#length(now) }, other ?? lasts);
    } else logger.warn({ ...fields, err: error }, other ?? began);
    this.#isTold = true;
  }

  succeeded(): void {
    if (this.#began === undefined) return;
    const { logger, fields, over, clock } = this.#parts;
    if (this.#isTold) logger.warn({ ...fields, ...this.#length(clock()) }, over);
    this.#began = undefined;
    this.#failures = 0;
    this.#isTold = false;
  }

  close(): void {
    clearTimeout(this.#over);
  }

  #after(ms: number): NodeJS.Timeout {
    return setTimeout(() => this.succeeded(), ms).unref();
  }

  #length(now: number): object {
    return { failures: this.#failures, forMs: Math.round(now - (this.#began ?? now)) };
  }
}
