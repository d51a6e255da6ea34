import { pino, stdTimeFunctions } from 'pino';
import { errorFields } from './error-fields.js';
import { LogLines } from './log-lines.js';
import { logLevel } from './log-settings.js';

/** What our code needs of a logger; pino's fits. Fields first, then the sentence. */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** One JSON line per entry on standard error, so standard output stays for what a command answers. */
export function createLogger(
  program: string,
  level: string = logLevel('info'),
  lines: { write(line: string): void } = new LogLines(program),
): Logger {
  const serializers = { err: (error: unknown) => errorFields(error) };
  return pino({ name: program, level, base: null, timestamp: stdTimeFunctions.isoTime, serializers }, lines);
}

/** For tests that do not look at the log. */
export const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} };
