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
    const signal = new Ending();
    const settle = (): void => {
      clearTimeout(timer);
      response.off('close', gone);
    };
    const end = (error: Error): void => {
      settle();
      reject(error);
      signal.abort(error);
    };
    const gone = (): void => end(CLIENT_GONE);
    const timer = setTimeout(() => end(new Failure('GATEWAY_TIMEOUT')), Math.max(0, timeoutMs));
    response.once('close', gone);
    work(signal).then(
      (result) => {
        settle();
        resolve(result);
      },
      (error: Error) => {
        settle();
        reject(error);
      },
    );
  });
}

class Ending implements Cancellation {
  aborted = false;
  reason: unknown;
  readonly #listeners = new Set<() => void>();

  abort(reason: Error): void {
    this.aborted = true;
    this.reason = reason;
    for (const listener of this.#listeners) listener();
    this.#listeners.clear();
  }

  addEventListener(_type: 'abort', listener: () => void): void {
    this.#listeners.add(listener);
  }

  removeEventListener(_type: 'abort', listener: () => void): void {
    this.#listeners.delete(listener);
  }
}
