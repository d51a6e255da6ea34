import { isSubgraph, query, type Attack, type Expected, type Seen } from './attack.js';
import { mustNotRun, violations } from './check.js';
import type { Programs, State } from './programs.js';
import { send } from './send.js';
import { stageOf, wrongNow } from './stage.js';

/** What became of one attack. */
export interface Outcome {
  readonly attack: Attack;
  readonly seen: Seen;
  readonly ms: number;
  /** How long the next one, who asks for nothing bad, had to wait. */
  readonly nextMs: number;
  readonly blockedMs: number;
  /** What its process held more at a moment than before; 0 where that is not looked at. */
  readonly moreBytes: number;
  readonly violations: readonly string[];
}

/** The promise is a twentieth of what people notice; a socket on a busy machine has five times as long. */
export interface Bounds {
  readonly ms: number;
  readonly nextMs: number;
  readonly blockedMs: number;
  /** Of resident memory; absent: who attacks is in the same process. */
  readonly moreBytes?: number;
  /** So much longer, or a fifth, questions may take beside a crowd; absent: as long as they like. */
  readonly besideMs?: number;
  /** It is held to what it says of its own times. */
  readonly own?: boolean;
}
export const PROMISED: Bounds = { ms: 500, nextMs: 250, blockedMs: 200, moreBytes: 32_000_000, besideMs: 5, own: true };
/** Beside other tests, in their process: what hangs is found, what is a little late is not. */
export const LOOSE: Bounds = { ms: 2_500, nextMs: 1_000, blockedMs: 1_000, besideMs: 250 };

/** Of these it is asked what they cost of memory: bodies that are long, or become so. */
const BOMBS: readonly string[] = ['B16', 'B17'];

/**
 * Sends one attack and then a question of an ordinary client. A machine that was busy with something else once is not so three
 * times, and a service does not do what it does by itself each minute at three times: what is too slow, takes too much memory, or comes with
 * statements of the service that is attacked is sent again, twice, and only what is so each time is a violation. What cannot be
 * sent twice (somebody signs up) shows that by what comes then; it is held to what it took the first time, generously.
 */
export async function attack(row: Attack, programs: Programs, bounds: Bounds | undefined): Promise<Outcome> {
  const first = await once(row, programs, bounds);
  if (!bounds || !first.isLate) return first;
  let outcome = first;
  for (let again = 0; again < 2 && outcome.isLate; again += 1) outcome = await once(row, programs, bounds);
  const isWrong = outcome.violations.length > 0 && !outcome.isLate;
  return isWrong ? { ...first, violations: [...first.ran, ...beyond(fiveTimes(bounds), row, first)] } : outcome;
}

async function once(
  row: Attack,
  programs: Programs,
  bounds: Bounds | undefined,
): Promise<Outcome & { readonly isLate: boolean; readonly ran: readonly string[] }> {
  const { urls, cast } = programs;
  const wrong: string[] = [];
  const stage = stageOf(row, programs, wrong);
  /** One that cannot be played to its end is a violation, and the next one is played. */
  const played = <T>(part: Promise<T> | undefined): Promise<T | undefined> =>
    Promise.resolve(part).catch((error: unknown) => void wrong.push(String(error)));
  const messageOf = (turn: number) => (typeof row.send === 'function' ? row.send(cast, turn) : row.send);
  const undo = await played(row.scene?.(stage));
  const { repeat = 1 } = row;
  for (let turn = 1; turn < repeat; turn += 1) await send(urls[row.to], messageOf(turn));
  const message = messageOf(repeat);
  const weighed = bounds?.moreBytes !== undefined && BOMBS.includes(row.id);
  const beside = row.slow === true;
  const before = await programs.state({ beside, collect: weighed });
  const began = performance.now();
  const seen = (await (message.act ? played(message.act(stage)) : send(urls[row.to], message))) ?? NOTHING_CAME;
  const ms = performance.now() - began;
  const after = await programs.state({ beside });
  const next = performance.now();
  const healthy = await send(urls[HEALTHY[row.to]], { body: query('{__typename}') });
  const nextMs = performance.now() - next;
  await played(undo?.());

  wrong.push(...violations(row, seen));
  const ran = !row.slow && mustNotRun(row) ? whatRan(row, before, after) : [];
  // A gateway asks nobody by itself.
  if (!isSubgraph(row.to)) wrong.push(...ran.splice(0));
  wrong.push(...wrongNow(before), ...wrongNow(after));
  if (healthy.status !== 200) wrong.push(`the next one, who did nothing, got ${healthy.status}`);
  const moreBytes = weighed ? after.rssPeakBytes - before.rssBytes : 0;
  const late = bounds ? beyond(bounds, row, { seen, ms, nextMs, blockedMs: after.blockedMs, moreBytes }) : [];
  return {
    attack: row,
    seen,
    ms,
    nextMs,
    blockedMs: after.blockedMs,
    moreBytes,
    violations: [...wrong, ...ran, ...late],
    ran,
    isLate: wrong.length === 0 && ran.length + late.length > 0,
  };
}

const NOTHING_CAME: Seen = { status: 0, headers: {}, text: '' };

/**
 * One that took its time, when it is known how long the event loop was blocked while nothing but such went on. It is not sent again for
 * that, and so held to it generously, like all that cannot be.
 */
export function withStrain(outcome: Outcome, blockedMs: number, bounds: Bounds): Outcome {
  if (blockedMs <= fiveTimes(bounds).blockedMs) return { ...outcome, blockedMs };
  const wrong = `the event loop was blocked for ${blockedMs.toFixed(0)} ms by what takes its time`;
  return { ...outcome, blockedMs, violations: [...outcome.violations, wrong] };
}

function fiveTimes({ ms, nextMs, blockedMs, ...rest }: Bounds): Bounds {
  return { ...rest, ms: 5 * ms, nextMs: 5 * nextMs, blockedMs: 5 * blockedMs, own: false };
}

function beyond(
  bounds: Bounds,
  row: Attack,
  took: Pick<Outcome, 'seen' | 'ms' | 'nextMs' | 'blockedMs' | 'moreBytes'>,
): string[] {
  const found: string[] = [];
  const expect = (holds: boolean, otherwise: string): void => void (holds || found.push(otherwise));
  const ms = (figure: number): string => `${figure.toFixed(0)} ms`;
  const { withinMs = bounds.ms, blockedMs = bounds.blockedMs }: Partial<Expected> = bounds.own ? row.come : {};
  expect(took.ms <= withinMs || takesItsTime(row), `it was answered after ${ms(took.ms)}`);
  expect(took.nextMs <= bounds.nextMs, `the next one waited ${ms(took.nextMs)}`);
  expect(took.blockedMs <= blockedMs || row.slow === true, `the event loop was blocked for ${ms(took.blockedMs)}`);
  if (bounds.own) found.push(...(took.seen.late ?? []));
  const most = bounds.moreBytes ?? Infinity;
  expect(took.moreBytes <= most, `its process held ${(took.moreBytes / 1e6).toFixed(0)} MB more`);
  const { besideMs = Infinity } = bounds;
  const { alone, beside } = took.seen.p99Ms ?? { alone: 0, beside: 0 };
  expect(
    beside <= Math.max(1.2 * alone, alone + besideMs),
    `of a hundred questions beside it one took ${beside.toFixed(1)} ms, and without it ${alone.toFixed(1)} ms`,
  );
  return found;
}

/** Who sends it is slow, or goes by itself after a while, or is many. */
export function takesItsTime({ slow, come, send: message }: Attack): boolean {
  const isMany = typeof message !== 'function' && (message.crowd ?? message.act) !== undefined;
  return slow === true || isMany || [come.status].flat().includes(0);
}

/** Before a gateway has asked anybody, a service has not asked its database. */
function whatRan({ to }: Attack, before: State, after: State): string[] {
  if (isSubgraph(to)) {
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
  crowded: 'crowded',
  private: 'private',
  guarded: 'guarded',
  social: 'social',
  users: 'social',
  posts: 'social',
  followers: 'social',
} as const;
