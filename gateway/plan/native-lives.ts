import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { LRUCache } from 'lru-cache';
import type { QueryPlan } from '@graphql-hive/router-query-planner';
import type { Clock, Logger } from '#libs/telemetry';
import { NativeProcess, ProcessEnded } from './native-process.js';
import type { PlanRequest } from './planner.js';
import { ANSWER_MS, whileWanted } from './while-wanted.js';

/**
 * The native planner, which some questions end: found with 0.0.38, valid operations that panic in a function that cannot
 * unwind, so the whole process aborts. It lives in a child process; a question that ended one is never asked again.
 */
export class NativeLives {
  readonly labels: readonly string[];
  readonly #sdl: string;
  readonly #idleMs: number;
  readonly #answerMs: number;
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #deadly = new LRUCache<string, true>({ max: DEADLY_MAX });
  readonly #ending = new AbortController();
  #process: NativeProcess;
  /** Its end is in the log and in `#ends`. */
  #mourned: NativeProcess | undefined;
  /** It was ended because nobody asked. */
  #asleep: NativeProcess | undefined;
  #idle: NodeJS.Timeout | undefined;
  /** When the last few ended. */
  #ends: number[] = [];
  #restsUntil = -Infinity;
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  static async begin(
    sdl: string,
    logger: Logger,
    clock: Clock,
    waits: { readonly idleMs?: number | undefined; readonly answerMs?: number } = {},
  ): Promise<NativeLives> {
    return new NativeLives(sdl, await NativeProcess.start(sdl, new AbortController().signal), logger, clock, waits);
  }

  private constructor(
    sdl: string,
    first: NativeProcess,
    logger: Logger,
    clock: Clock,
    { idleMs = IDLE_MS, answerMs = ANSWER_MS }: { readonly idleMs?: number | undefined; readonly answerMs?: number },
  ) {
    this.#sdl = sdl;
    this.#idleMs = idleMs;
    this.#answerMs = answerMs;
    this.#process = first;
    this.labels = first.labels;
    this.#logger = logger;
    this.#clock = clock;
    this.#watchIdle();
  }

  /** Who plans now; another one after each death. */
  get pid(): number | undefined {
    return this.#process.pid;
  }

  /** One after the other: so it is known which question ended the process, and nobody else's suffers for it. */
  async plan(request: PlanRequest): Promise<QueryPlan> {
    const hash = createHash('sha256').update(request.query).digest('hex');
    this.#refuseDeadly(hash);
    this.#refuseWhileResting();
    if (this.#waiting >= WAITING_MAX) throw new Error(`${WAITING_MAX} operations wait for the native planner.`);
    this.#waiting += 1;
    clearTimeout(this.#idle);
    const planning = this.#last
      .then(() => this.#planNow(request, hash))
      .finally(() => {
        this.#waiting -= 1;
        this.#watchIdle();
      });
    this.#last = planning.catch(() => undefined);
    return whileWanted(planning, request.signal);
  }

  async end(): Promise<void> {
    clearTimeout(this.#idle);
    this.#ending.abort();
    await this.#process.end();
    await this.#last;
    await this.#process.end();
  }

  async #planNow(request: PlanRequest, hash: string): Promise<QueryPlan> {
    request.signal.throwIfAborted();
    request.begun?.();
    // Whoever waited behind the one that ended it may ask the same.
    this.#refuseDeadly(hash);
    this.#refuseWhileResting();
    await this.#liveAgain(request.signal);
    try {
      return await this.#process.plan(request, this.#answerMs);
    } catch (error) {
      const { death } = this.#process;
      if (death && !this.#ending.signal.aborted) {
        // Slow today, or ended by somebody else, may go well another time.
        this.#deadly.set(hash, true, { ttl: death.crashed ? 0 : REST_MS });
        this.#mourn(death, { operation: hash, characters: request.query.length });
      }
      throw error;
    }
  }

  /** The first death is made good at once, each one more within a minute after twice the wait. */
  async #liveAgain(asked: AbortSignal): Promise<void> {
    this.#ending.signal.throwIfAborted();
    const { death } = this.#process;
    if (!death) return;
    const wasAsleep = this.#asleep === this.#process;
    if (!wasAsleep && this.#mourned !== this.#process) this.#mourn(death, {});
    const wait = !wasAsleep && this.#ends.length > 1 ? BACKOFF_MS * 2 ** (this.#ends.length - 2) : 0;
    await sleep(wait, undefined, { signal: AbortSignal.any([asked, this.#ending.signal]) });
    try {
      this.#process = await NativeProcess.start(this.#sdl, this.#ending.signal);
    } catch (error) {
      this.#asleep = undefined;
      this.#mourn(error, {});
      throw error;
    }
  }

  /** Once the operations that are asked here are known, the process is 50 MB for nothing. */
  #watchIdle(): void {
    if (this.#waiting > 0 || this.#ending.signal.aborted) return;
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => {
      // In line with the questions: one that comes now is asked of the next.
      this.#last = this.#last.then(async () => {
        if (this.#waiting > 0 || this.#process.death) return;
        this.#asleep = this.#process;
        await this.#process.end();
      });
    }, this.#idleMs).unref();
  }

  /** Logged without the operation's text: it may hold what a client wrote. */
  #mourn(error: unknown, operation: { operation?: string; characters?: number }): void {
    const now = this.#clock();
    this.#mourned = this.#process;
    this.#ends = [...this.#ends, now].filter((at) => now - at < REST_MS);
    const rests = this.#ends.length >= ENDS_MAX;
    if (rests) {
      this.#restsUntil = now + REST_MS;
      this.#ends = [];
    }
    const at = error instanceof ProcessEnded ? error.at : undefined;
    this.#logger.error(
      { ...operation, at, err: error, ...(rests && { restsMs: REST_MS }) },
      'The native planner’s process ended; what it was asked goes to the other planner',
    );
  }

  #refuseDeadly(hash: string): void {
    if (this.#deadly.get(hash)) throw new Error('The native planner is not asked what has ended its process before.');
  }

  #refuseWhileResting(): void {
    if (this.#clock() < this.#restsUntil)
      throw new Error(`The native planner rests: its process ended ${ENDS_MAX} times within a minute.`);
  }
}

/** The next question waits for a new process: rare enough after so long. */
const IDLE_MS = 10_000;
const DEADLY_MAX = 1_000;
const WAITING_MAX = 1_000;
const BACKOFF_MS = 50;
const ENDS_MAX = 5;
const REST_MS = 60_000;
