import { setImmediate as turn } from 'node:timers/promises';

/**
 * Looking a plan over is done by the event loop that answers requests: a few steps, each of some milliseconds for the largest
 * operation within the limits (planning.test.ts), between which everybody else has a turn. Throws when nobody waits any more.
 */
export async function othersTurn(signal: AbortSignal): Promise<void> {
  await turn();
  signal.throwIfAborted();
}
