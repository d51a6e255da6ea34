import { fork, type ChildProcess } from 'node:child_process';
import { Socket } from 'node:net';
import type { QueryPlan } from '@graphql-hive/router-query-planner';
import type { PlanRequest } from './planner.js';

type Question = Pick<PlanRequest, 'query' | 'labels' | 'percent'>;

type Reply = { labels: string[] } | { plan: QueryPlan } | { error: string };

/** One life of the native planner: a child process that is asked one question at a time, so that it is known which one ended it. */
export class NativeProcess {
  labels: readonly string[] = [];
  readonly #child: ChildProcess;
  #waiting: { resolve(reply: Reply): void; reject(error: Error): void } | undefined;
  #said = '';
  #death: ProcessEnded | undefined;
  readonly #ended: Promise<void>;

  static async start(sdl: string, signal: AbortSignal): Promise<NativeProcess> {
    const started = new NativeProcess();
    try {
      const reply = await started.#ask({ sdl }, AbortSignal.any([signal, AbortSignal.timeout(START_DEADLINE_MS)]));
      if ('labels' in reply) started.labels = reply.labels;
      return started;
    } catch (error) {
      await started.end();
      throw error;
    }
  }

  private constructor() {
    this.#child = fork(new URL('./native-worker.mjs', import.meta.url), {
      // What it says when it panics is a page of addresses: kept apart, and one line of it logged.
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      execArgv: ['--max-old-space-size=64'],
    });
    this.#child.on('message', (reply: Reply) => this.#settle(reply));
    this.#child.stderr?.on('data', (chunk: Buffer) => {
      if (this.#said.length < SAID_MAX) this.#said += chunk.toString('latin1', 0, SAID_MAX);
    });
    this.#ended = new Promise((resolve) => {
      const died = (why: string) => {
        this.#death ??= new ProcessEnded(why, why !== 'SIGKILL', /panicked at ([\w./@-]+:\d+)/.exec(this.#said)?.[1]);
        this.#waiting?.reject(this.#death);
        resolve();
      };
      this.#child.once('error', (error) => died(error.message));
      this.#child.once('close', (code, signal) => died(signal ?? `exit code ${code}`));
    });
    this.#idle();
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Why it ended; undefined while it lives. */
  get death(): ProcessEnded | undefined {
    return this.#death;
  }

  /** Rejects with `ProcessEnded` when this question was the last. */
  async plan({ query, labels, percent }: Question, answerMs: number): Promise<QueryPlan> {
    const reply = await this.#ask({ query, labels, percent }, AbortSignal.timeout(answerMs));
    if ('plan' in reply) return reply.plan;
    throw new Error('The native planner answered something else.');
  }

  async end(): Promise<void> {
    // Who waits for its end is not to end before.
    this.#busy();
    this.#child.kill('SIGKILL');
    await this.#ended;
  }

  #ask(question: { sdl: string } | Question, signal: AbortSignal): Promise<Reply> {
    if (this.#death) return Promise.reject(this.#death);
    if (signal.aborted) return Promise.reject(signal.reason as Error);
    // Native code cannot be interrupted, only ended.
    const overrun = () => {
      this.#death ??= new ProcessEnded('a question took too long', false);
      this.#waiting?.reject(signal.reason as Error);
      void this.end();
    };
    signal.addEventListener('abort', overrun, { once: true });
    return new Promise<Reply>((resolve, reject) => {
      this.#waiting = { resolve, reject };
      this.#busy();
      // When it cannot be told, it has ended, which is heard of in any case.
      this.#child.send(question, () => undefined);
    }).finally(() => {
      signal.removeEventListener('abort', overrun);
      this.#waiting = undefined;
      this.#idle();
    });
  }

  #settle(reply: Reply): void {
    if ('error' in reply) this.#waiting?.reject(new Error(reply.error));
    else this.#waiting?.resolve(reply);
  }

  #busy(): void {
    this.#child.ref();
    this.#child.channel?.ref();
    if (this.#child.stderr instanceof Socket) this.#child.stderr.ref();
  }

  /** An idle planner keeps no process alive. */
  #idle(): void {
    this.#child.unref();
    this.#child.channel?.unref();
    if (this.#child.stderr instanceof Socket) this.#child.stderr.unref();
  }
}

const START_DEADLINE_MS = 30_000;
const SAID_MAX = 4_096;

export class ProcessEnded extends Error {
  /** By its own doing: nobody ended it from outside. */
  readonly crashed: boolean;
  /** Where in the planner's source, when it said so. */
  readonly at: string | undefined;

  constructor(why: string, crashed: boolean, at?: string) {
    super(`The native planner's process ended: ${why}.`);
    this.crashed = crashed;
    this.at = at;
  }
}
