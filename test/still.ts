const LOOKS_MS = 30_000;
const AN_HOUR_MS = 3_600_000;

/**
 * From here on, in this test file, what a service does by itself every half minute or minute (it looks into its quarantine, at its counts, for
 * what is over) waits for an hour. Of a file that counts statements, and that a busy machine has take longer than that, it would be counted as
 * somebody's. Whatever is only to end what hangs may be as late.
 */
export function keepStill(): void {
  const later = (ms: unknown): unknown => (typeof ms === 'number' && ms >= LOOKS_MS ? AN_HOUR_MS : ms);
  for (const name of ['setTimeout', 'setInterval'] as const) {
    const timer = globalThis[name] as (...args: unknown[]) => unknown;
    const still = (work: unknown, ms?: unknown, ...more: unknown[]): unknown => timer(work, later(ms), ...more);
    Object.assign(globalThis, { [name]: Object.assign(still, timer) });
  }
}
