import type { CrashPoint } from './points.js';

let trap: ((name: CrashPoint) => void) | undefined;

/**
 * A named place at which a proof may end this process. Where no trap was set, as in every program that people run, it
 * compares one variable with undefined and returns.
 */
export function crashPoint(name: CrashPoint): void {
  if (trap !== undefined) trap(name);
}

/** What happens at every crash point from now on. Only the harness's own programs call it: `commands/prove`, tests. */
export function setTrap(next: ((name: CrashPoint) => void) | undefined): void {
  trap = next;
}
