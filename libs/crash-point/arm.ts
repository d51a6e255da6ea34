import { setTrap } from './crash-point.js';
import { CRASH_POINTS, type CrashPoint } from './points.js';

export type Signal = 'SIGKILL' | 'SIGSTOP';

/**
 * Sends this process a signal when it passes the point for the `nth` time from now: SIGKILL ends it there, SIGSTOP
 * freezes it there until somebody sends SIGCONT. The process runs not one line further before the signal has hit it.
 */
export function arm(point: CrashPoint, nth = 1, signal: Signal = 'SIGKILL'): void {
  let left = nth;
  setTrap((name) => {
    if (name !== point || --left > 0) return;
    setTrap(undefined);
    process.kill(process.pid, signal);
    // A signal to oneself is usually, not always, there before kill() returns.
    for (const until = performance.now() + 20; performance.now() < until;);
  });
}

/**
 * Arms what `CRASH_AT=name` or `CRASH_AT=name:nth` says. No program of ours reads that variable by itself: it takes the
 * harness's worker, or `node --import` of the harness's preload, so an environment alone kills nobody.
 */
export function armFromEnvironment(env: Readonly<Record<string, string | undefined>>): void {
  const text = env['CRASH_AT'];
  if (!text) return;
  const [, name = '', nth = '1'] = /^(.*?)(?::(\d+))?$/.exec(text) ?? [];
  if (!isCrashPoint(name)) {
    throw new Error(
      `CRASH_AT takes one of ${Object.keys(CRASH_POINTS).join(', ')}, with :n for the nth time; came ${text}`,
    );
  }
  arm(name, Number(nth));
}

export function isCrashPoint(name: string): name is CrashPoint {
  return Object.hasOwn(CRASH_POINTS, name);
}
