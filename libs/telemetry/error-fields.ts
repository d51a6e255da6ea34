import { types } from 'node:util';

export interface ErrorFields {
  readonly type: string;
  readonly message: string;
  readonly stack?: string;
  readonly code?: string | number;
  readonly cause?: ErrorFields;
  /** Of one error that stands for several. */
  readonly errors?: readonly ErrorFields[];
}

const DEPTH_MAX = 3;
const ERRORS_MAX = 5;
const TEXT_MAX = 4_096;

/**
 * What the log is told of an error, and no more: its other properties may be about people. TypeORM's errors have the parameters of
 * the statement (of a sign-up: address and hash of the password), PostgreSQL's `detail` has the row that was refused.
 */
export function errorFields(thrown: unknown, depth = 0): ErrorFields {
  if (!types.isNativeError(thrown)) return { type: typeof thrown, message: cut(String(thrown)) };
  const { message, stack } = withoutValues(thrown);
  const { code, errors } = thrown as { code?: unknown; errors?: unknown };
  const more = depth < DEPTH_MAX;
  return {
    type: thrown.constructor?.name || thrown.name,
    message: cut(message),
    ...(stack === undefined ? {} : { stack: cut(stack) }),
    ...(typeof code === 'string' || typeof code === 'number' ? { code } : {}),
    ...(more && thrown.cause !== undefined ? { cause: errorFields(thrown.cause, depth + 1) } : {}),
    ...(more && Array.isArray(errors)
      ? { errors: errors.slice(0, ERRORS_MAX).map((one: unknown) => errorFields(one, depth + 1)) }
      : {}),
  };
}

/**
 * PostgreSQL's sentences name tables, columns and constraints, and those are told. Where a value is wrong (class 22) they repeat
 * it between quotes: it goes, and what was expected stays. The stack begins with the same sentence.
 */
function withoutValues(error: Error & { code?: unknown }): { message: string; stack: string | undefined } {
  const { message, stack, code } = error;
  const isValue = 'severity' in error && typeof code === 'string' && code.startsWith('22');
  if (!isValue) return { message, stack };
  const told = message.replace(/".*"/s, '"…"');
  return { message: told, stack: stack?.replace(message, () => told) };
}

function cut(text: string): string {
  return text.length > TEXT_MAX ? `${text.slice(0, TEXT_MAX)}…` : text;
}
