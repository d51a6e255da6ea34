import { setTimeout as sleep } from 'node:timers/promises';

const WAIT_MS = 60_000;

/** Looks again until it holds; after a minute an error says what did not come. */
export async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  for (const deadline = performance.now() + WAIT_MS; !(await holds()); await sleep(20))
    if (performance.now() > deadline) throw new Error(`${WAIT_MS / 1_000} s in vain: ${what}`);
}
