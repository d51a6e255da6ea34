import { constants } from 'node:os';
import type { Logger } from '#libs/telemetry';

/** Signals that come within it are one wish: Ctrl+C reaches a program that npm has started from the terminal and from npm. */
const SAME_MS = 1_000;

/**
 * At SIGTERM or SIGINT the program closes, then ends by itself (exit code 0, or 1 when closing failed). A later signal, from
 * somebody who waits no longer, ends it at once with 128 + its number.
 */
export function endOnSignals(close: () => Promise<void>, logger: Logger): void {
  let since: number | undefined;
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      if (since !== undefined) {
        if (performance.now() - since > SAME_MS) process.exit(128 + constants.signals[signal]);
        return;
      }
      since = performance.now();
      close().catch((error: unknown) => {
        logger.error({ err: error }, 'It did not close cleanly');
        process.exit(1);
      });
    });
  }
}
