import { Worker } from 'node:worker_threads';

type Reply<Ready, Answer> = { ready: Ready } | { answer: Answer } | { error: string };

/**
 * A thread for work that is synchronous and long, which the event loop that answers requests must never wait for. It is asked one question
 * at a time. It says `{ ready }` once, then `{ answer }` or `{ error }` to each question.
 */
export class Thread<Ready, Question, Answer> {
  ended = false;
  readonly #worker: Worker;
  readonly #readiness: Promise<Ready>;
  #asked: { resolve(answer: Answer): void; reject(error: Error): void } | undefined;

  constructor(file: URL, workerData?: unknown) {
    this.#worker = new Worker(file, { workerData });
    this.#worker.unref();
    this.#readiness = new Promise((resolve, reject) => {
      this.#worker.on('message', (reply: Reply<Ready, Answer>) => {
        if ('ready' in reply) resolve(reply.ready);
        else if ('answer' in reply) this.#asked?.resolve(reply.answer);
        else this.#asked?.reject(new Error(reply.error));
      });
      const gone = (error: Error) => {
        this.ended = true;
        reject(error);
        this.#asked?.reject(error);
      };
      this.#worker.on('error', gone);
      this.#worker.on('exit', () => gone(new Error('The planning thread ended.')));
    });
    // Whoever waits for it is told.
    this.#readiness.catch(() => undefined);
  }

  /** What it says when it can be asked. */
  ready(): Promise<Ready> {
    return this.#held(this.#readiness);
  }

  async ask(question: Question, answerMs: number): Promise<Answer> {
    if (this.ended) throw new Error('The planning thread ended.');
    // What is synchronous cannot be interrupted, only ended.
    const late = setTimeout(() => {
      this.#asked?.reject(new Error(`The planning thread took longer than ${answerMs} ms.`));
      void this.end();
    }, answerMs);
    try {
      return await this.#held(
        new Promise<Answer>((resolve, reject) => {
          this.#asked = { resolve, reject };
          this.#worker.postMessage(question);
        }),
      );
    } finally {
      clearTimeout(late);
      this.#asked = undefined;
    }
  }

  async end(): Promise<void> {
    this.ended = true;
    await this.#worker.terminate();
  }

  /** Whoever waits for it is not to end before; an idle one keeps no process alive. */
  async #held<T>(work: Promise<T>): Promise<T> {
    this.#worker.ref();
    try {
      return await work;
    } finally {
      this.#worker.unref();
    }
  }
}
