import { constants } from 'node:os';
import { isatty } from 'node:tty';
import type { Logger } from '#libs/telemetry';

/** Signals that come within it are one wish: Ctrl+C reaches a program that npm has started from the terminal and from npm. */
const SAME_MS = 1_000;
/** After an error closing may wait for what will never come; then the program ends all the same. Beside it comes the time for which it drains. */
export const CLOSE_MS = 15_000;
const SAID_MAX = 10;

/**
 * At SIGTERM, SIGINT or SIGQUIT, or when its terminal is gone, the program closes, then ends by itself (exit code 0, or 1 when closing
 * failed). A later signal, from somebody who waits no longer, ends it at once with 128 + its number. At an error that nobody has caught it closes too.
 */
export function endOnSignals(close: () => Promise<void>, logger: Logger, closeMs = CLOSE_MS): void {
  let since: number | undefined;
  const end = async (): Promise<void> => {
    since = performance.now();
    try {
      await close();
    } catch (error) {
      logger.error({ err: error }, 'It did not close cleanly');
      process.exit(1);
    }
  };
  onEndingSignal((signal) => {
    if (since === undefined) void end();
    else if (performance.now() - since > SAME_MS) process.exit(128 + constants.signals[signal]);
  }, logger);
  endOnError(() => (since === undefined ? end() : undefined), logger, closeMs);
}

/**
 * `ends` is told of each signal by which somebody wants the program to end: also of SIGQUIT, by which Node would end as if it had crashed, and of
 * SIGHUP where there is a terminal, which is gone then. Where there is none (`nohup`, a service) SIGHUP ends nothing. `nohup` says so by
 * ignoring it, which Node takes back before our first line is run, and no longer shows (SigIgn in /proc/self/status): with nothing done here
 * the program would end by it at once, half of what it does undone. What is read anew by SIGHUP elsewhere is looked at here anyway.
 */
export function onEndingSignal(ends: (signal: NodeJS.Signals) => void, logger: Pick<Logger, 'info'>): void {
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGQUIT'] as const) process.on(signal, () => ends(signal));
  // Of a terminal that is gone nobody can tell any more that it was one.
  const hasTerminal = [0, 1, 2].some((stream) => isatty(stream));
  process.on('SIGHUP', () => {
    if (!hasTerminal) return logger.info({}, 'SIGHUP came; there is no terminal that it could be about, so it goes on');
    // What is said from now on nobody reads, which is no error.
    for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
    ends('SIGHUP');
  });
}

/**
 * At an error that nobody has caught the program closes and ends with 1. By itself Node would end at once, and all that is under way
 * would be lost with the one thing that broke; to go on would be to go on with something half done. `close`: undefined when it is closing.
 */
export function endOnError(close: () => Promise<void> | undefined, logger: Logger, closeMs = CLOSE_MS): void {
  let errors = 0;
  // A rejection that nobody handles comes here too.
  process.on('uncaughtException', (error: unknown, origin) => {
    errors += 1;
    if (errors <= SAID_MAX) logger.error({ err: error, origin }, 'Nobody caught this error; the program ends');
    if (errors > 1) return;
    process.exitCode = 1;
    setTimeout(() => {
      logger.error({ closeMs }, 'It did not close in time');
      process.exit(1);
    }, closeMs).unref();
    void close()?.finally(() => process.exit(1));
  });
}
