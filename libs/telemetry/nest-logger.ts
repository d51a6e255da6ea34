import type { Logger } from './logger.js';

/** As Nest's `LoggerService`. It tells each route it maps; that is for debugging. */
export function nestLogger(logger: Logger) {
  const to =
    (level: keyof Logger) =>
    (message: unknown, ...more: unknown[]) =>
      logger[level]({ from: more.at(-1) }, String(message));
  return {
    log: to('debug'),
    debug: to('debug'),
    verbose: to('debug'),
    warn: to('warn'),
    error: to('error'),
    fatal: to('error'),
  };
}
