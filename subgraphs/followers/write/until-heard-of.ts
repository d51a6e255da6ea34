import { setTimeout as pause } from 'node:timers/promises';
import type { Statements } from '#libs/database';
import { timeOf } from '#libs/identity';
import { systemClock, type Clock } from '#libs/telemetry';

/**
 * Somebody may be followed in the second they sign up, before `user-registered` has come here. An id tells when it was
 * made: one that is younger than 5 s and not heard of is waited for, 500 ms at most; any other is not waited for at all.
 */
export async function untilHeardOf(userId: string, statements: Statements, waiting: Waiting): Promise<void> {
  const ageMs = Math.abs(waiting.clock() - timeOf(userId));
  if (ageMs >= YOUNG_MS || waiting.requests >= REQUESTS_MAX) return;
  waiting.requests += 1;
  try {
    for (const pauseMs of PAUSES_MS) {
      const heard = await statements.query('SELECT FROM people WHERE user_id = $1', [userId]);
      if (heard.length > 0) return;
      await waiting.sleep(pauseMs);
    }
  } finally {
    waiting.requests -= 1;
  }
}

export class Waiting {
  /** How many requests wait just now. */
  requests = 0;

  constructor(
    readonly clock: Clock = systemClock,
    readonly sleep: (ms: number) => Promise<unknown> = (ms) => pause(ms),
  ) {}
}

const YOUNG_MS = 5_000;
/** 500 ms together. */
const PAUSES_MS = [10, 20, 40, 80, 160, 190];
/** Anybody can make up a young id; the requests beyond these are answered from what is known. */
const REQUESTS_MAX = 64;
