import { query, type Attack, type Seen } from './attack.js';
import { mustNotRun, violations } from './check.js';
import type { Programs, State } from './programs.js';
import { send } from './send.js';

/** What became of one attack. */
export interface Outcome {
  readonly attack: Attack;
  readonly seen: Seen;
  readonly ms: number;
  /** How long the next one, who asks for nothing bad, had to wait. */
  readonly nextMs: number;
  readonly blockedMs: number;
  readonly violations: readonly string[];
}

/** The promise is a twentieth of what people notice; a socket on a busy machine has five times as long. */
export interface Times {
  readonly nextMs: number;
  readonly blockedMs: number;
}
export const PROMISED: Times = { nextMs: 250, blockedMs: 200 };
/** Beside other tests, in their process: what hangs is found, what is a little late is not. */
export const LOOSE: Times = { nextMs: 1_000, blockedMs: 1_000 };

/**
 * Sends one attack and then a question of an ordinary client. A machine that was busy with something else once is not so three
 * times: what is too slow is sent again, twice, and only what is too slow each time is a violation.
 */
export async function attack(row: Attack, programs: Programs, times: Times | undefined): Promise<Outcome> {
  let outcome = await once(row, programs, times);
  for (let again = 0; again < 2 && outcome.violations.length > 0 && outcome.slow; again += 1)
    outcome = await once(row, programs, times);
  return outcome;
}

async function once(
  row: Attack,
  programs: Programs,
  times: Times | undefined,
): Promise<Outcome & { readonly slow: boolean }> {
  const { urls, cast } = programs;
  const messageOf = (turn: number) => (typeof row.send === 'function' ? row.send(cast, turn) : row.send);
  const { repeat = 1 } = row;
  for (let turn = 1; turn < repeat; turn += 1) await send(urls[row.to], messageOf(turn));
  const message = messageOf(repeat);
  const before = await programs.state();
  const began = performance.now();
  const seen = await send(urls[row.to], message);
  const ms = performance.now() - began;
  const after = await programs.state();
  const next = performance.now();
  const healthy = await send(urls[HEALTHY[row.to]], { body: query('{__typename}') });
  const nextMs = performance.now() - next;

  const wrong = violations(row, seen);
  if (!row.slow && mustNotRun(row)) wrong.push(...whatRan(row, before, after));
  if (after.polluted !== undefined) wrong.push(after.polluted);
  wrong.push(...before.wrongInLog, ...after.wrongInLog);
  if (healthy.status !== 200) wrong.push(`the next one, who did nothing, got ${healthy.status}`);
  const late: string[] = [];
  if (times && nextMs > times.nextMs) late.push(`the next one waited ${nextMs.toFixed(0)} ms`);
  if (times && after.blockedMs > times.blockedMs && !row.slow)
    late.push(`the event loop was blocked for ${after.blockedMs.toFixed(0)} ms`);
  return {
    attack: row,
    seen,
    ms,
    nextMs,
    blockedMs: after.blockedMs,
    violations: [...wrong, ...late],
    slow: wrong.length === 0,
  };
}

/** Before a gateway has asked anybody, a service has not asked its database. */
function whatRan({ to }: Attack, before: State, after: State): string[] {
  if (to === 'users' || to === 'posts' || to === 'followers') {
    const ran = after.statements[to] - before.statements[to];
    return ran > 0 ? [`${ran} SQL statements of ${to}`] : [];
  }
  const ran = after.calls - before.calls;
  return ran > 0 ? [`${ran} calls of a service`] : [];
}

/** A subgraph answers nobody but its gateway: whether it still does is asked through that. */
const HEALTHY = {
  gateway: 'gateway',
  open: 'open',
  metered: 'metered',
  social: 'social',
  users: 'social',
  posts: 'social',
  followers: 'social',
} as const;
