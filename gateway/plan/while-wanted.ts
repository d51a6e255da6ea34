/** The same, but whoever waits for it is free as soon as it is no longer wanted. The work itself goes on. */
export function whileWanted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const leave = () => reject(signal.reason as Error);
    if (signal.aborted) leave();
    signal.addEventListener('abort', leave, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', leave));
  });
}

/**
 * How long a planner may take for one operation before what it runs in is ended, since it cannot be interrupted. Counted from when it is
 * asked: whoever had waited long for their turn must not be the end of it after a moment.
 */
export const ANSWER_MS = 5_000;
