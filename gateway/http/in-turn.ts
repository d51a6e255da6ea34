import type { IncomingMessage, ServerResponse } from 'node:http';
import { CLIENT_GONE, withDeadline } from './ending.js';
import type { GraphqlOverHttpParts } from './graphql-over-http-parts.js';
import { clientOf } from './rates.js';
import { notTaken, TOO_MANY } from './refusal.js';

/** `work`, when it is this client's turn, if it is still there then and has something left. `bytes`: what waits. */
export function inTurn<T>(
  request: IncomingMessage,
  response: ServerResponse,
  subject: string | null,
  bytes: number,
  waitMs: number,
  parts: GraphqlOverHttpParts,
  work: () => T | Promise<T>,
  isDear: () => boolean = () => true,
): T | Promise<T> {
  const { turns, rates } = parts;
  requireHeap(parts);
  if (!turns) return work();
  const who = subject ?? clientOf(request, parts.proxies ?? 0);
  return turns.take(
    who,
    PIECE_BYTES + bytes,
    waitMs - Math.min(PIECE_MS, parts.timeoutMs / 2),
    () => {
      if (response.destroyed) throw CLIENT_GONE;
      if (isDear()) requireHeap(parts);
      rates?.requireLeft(request, subject);
      return work();
    },
    isDear,
  );
}

export function requireHeap({ heap }: GraphqlOverHttpParts): void {
  if (heap?.full === true) throw notTaken();
}

/** A request that waits is so much, beside what it brought. */
const PIECE_BYTES = 2_000;

/** As long as the dearest text takes (reading.ts): with less left it would be read for nobody. */
const PIECE_MS = 100;

/** Whose turn comes too late is told so: nothing of it was begun, so it may be sent again, a mutation too. */
export async function inTime(
  turn: Promise<void>,
  response: ServerResponse,
  deadline: number,
  { clock, timeoutMs }: GraphqlOverHttpParts,
): Promise<void> {
  await withDeadline(response, deadline - clock(), () => turn).catch((error: unknown) => {
    throw error === CLIENT_GONE ? error : TOO_MANY;
  });
  // Its timer may be late itself.
  if (deadline - clock() < Math.min(PIECE_MS, timeoutMs / 2)) throw TOO_MANY;
}
