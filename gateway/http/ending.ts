import type { ServerResponse } from 'node:http';
import { Failure } from '#libs/failure';
import type { Cancellation } from '../engine.js';

export const CLIENT_GONE = new Error('the client went away');

/** `work` ends with the deadline and with the client, whether it listens to its signal or not. */
export function withDeadline<T>(
  response: ServerResponse,
  timeoutMs: number,
  work: (signal: Cancellation) => Promise<T>,
): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const ending = new Ending(response, timeoutMs, reject);
    work(ending).then(
      (result) => {
        ending.settle();
        resolve(result);
      },
      (error: Error) => {
        ending.settle();
        reject(error);
      },
    );
  });
}

class Ending implements Cancellation {
  aborted = false;
  reason: unknown;
  readonly #response: ServerResponse;
  readonly #reject: (error: Error) => void;
  readonly #timer: NodeJS.Timeout;
  /** Most requests have one call under way, so the first listener needs no set. */
  #listener: (() => void) | undefined;
  #others: Set<() => void> | undefined;

  constructor(response: ServerResponse, timeoutMs: number, reject: (error: Error) => void) {
    this.#response = response;
    this.#reject = reject;
    this.#timer = setTimeout(() => this.#end(new Failure('GATEWAY_TIMEOUT')), Math.max(0, timeoutMs));
    response.on('close', this.#gone);
  }

  settle(): void {
    clearTimeout(this.#timer);
    this.#response.off('close', this.#gone);
  }

  readonly #gone = (): void => this.#end(CLIENT_GONE);

  #end(error: Error): void {
    this.settle();
    this.#reject(error);
    this.aborted = true;
    this.reason = error;
    this.#listener?.();
    for (const listener of this.#others ?? []) listener();
    this.#listener = this.#others = undefined;
  }

  addEventListener(_type: 'abort', listener: () => void): void {
    if (this.#listener === undefined || this.#listener === listener) this.#listener = listener;
    else (this.#others ??= new Set()).add(listener);
  }

  removeEventListener(_type: 'abort', listener: () => void): void {
    if (this.#listener === listener) this.#listener = undefined;
    else this.#others?.delete(listener);
  }
}
