import type { Tx } from '#libs/database';
import { RefusedCall } from '#libs/identity';

/** Longer than anybody believes what is signed of a call (40 s), whatever the clocks of machines say. */
export const CALLS_KEPT_MS = 300_000;

/**
 * Makes this the transaction in which the call writes; UNAUTHENTICATED where another process of the service has written by it. Each
 * process knows only what it has taken itself, so somebody who sends a call once more may find one that has not: the reading of it is
 * answered there, and the writing ends here. One that is under way elsewhere is waited for; when that fails, this one may write.
 * `call` is the name of the client's write: attempts of a mutation, and the one that is asked again with what was missing, share it.
 */
export async function takeForWriting(tx: Pick<Tx, 'query'>, call: string): Promise<void> {
  const taken = await tx.query('INSERT INTO written_calls (id) VALUES ($1) ON CONFLICT DO NOTHING RETURNING 1', [call]);
  if (taken.length === 0) throw new RefusedCall('written', 'This call has been carried out.');
}
