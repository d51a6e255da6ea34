import type { Thread } from './thread.js';
import { whileWanted } from './while-wanted.js';

/** One thread at a time, asked one question at a time: whoever waits outlives the thread that another's question ended. */
export class ThreadLives<Ready, Question, Answer> {
  readonly #start: () => Thread<Ready, Question, Answer>;
  readonly #answerMs: (question: Question) => number;
  readonly #idleMs: number | undefined;
  #thread: Thread<Ready, Question, Answer> | undefined;
  #idle: NodeJS.Timeout | undefined;
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;
  #over = false;

  /** `idleMs`: after so long without a question the thread is ended, and the next question begins another; absent: never. */
  constructor(
    start: () => Thread<Ready, Question, Answer>,
    { answerMs, idleMs }: { readonly answerMs: (question: Question) => number; readonly idleMs?: number },
  ) {
    this.#start = start;
    this.#answerMs = answerMs;
    this.#idleMs = idleMs;
  }

  /** `begun`: told when it is its turn. */
  ask(question: Question, signal: AbortSignal, begun?: () => void): Promise<Answer> {
    if (this.#waiting >= WAITING_MAX)
      return Promise.reject(new Error(`${WAITING_MAX} operations wait for the planning thread.`));
    return whileWanted(
      this.#inTurn(async () => {
        signal.throwIfAborted();
        begun?.();
        const thread = this.#living();
        await thread.ready();
        return thread.ask(question, this.#answerMs(question));
      }),
      signal,
    );
  }

  /** Begins the thread when there is none; what it said when it was ready. */
  begin(): Promise<Ready> {
    return this.#inTurn(() => this.#living().ready());
  }

  get alive(): boolean {
    return this.#thread?.ended === false;
  }

  /** Whoever waits is told that it is over. */
  async end(): Promise<void> {
    this.#over = true;
    clearTimeout(this.#idle);
    await this.#thread?.end();
    await this.#last;
    await this.#thread?.end();
  }

  #living(): Thread<Ready, Question, Answer> {
    if (this.#over) throw new Error('The planner is closed.');
    if (!this.#thread || this.#thread.ended) this.#thread = this.#start();
    return this.#thread;
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    this.#waiting += 1;
    clearTimeout(this.#idle);
    const turn = this.#last.then(work).finally(() => {
      this.#waiting -= 1;
      if (this.#waiting === 0) this.#watchIdle();
    });
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  #watchIdle(): void {
    if (this.#idleMs === undefined || this.#over) return;
    this.#idle = setTimeout(() => {
      // In line with the questions: one that comes now is asked of the next.
      this.#last = this.#last.then(() => this.#thread?.end());
    }, this.#idleMs).unref();
  }
}

const WAITING_MAX = 1_000;
