import { CODES, type Code } from './codes.js';
import { cut } from './cut.js';

/**
 * What our own code throws when a client is to be told. The sentence is for people: what was expected, what came, what
 * to do. Anything that is no `Failure` reaches a client as INTERNAL_SERVER_ERROR and nothing more.
 */
export class Failure extends Error {
  readonly code: Code;
  /** Of RATE_LIMITED and OVERLOADED: in how many seconds it may be tried again. */
  readonly retryAfterS: number | undefined;

  constructor(code: Code, message: string = CODES[code].message, options?: { cause?: unknown; retryAfterS?: number }) {
    super(message, options);
    this.name = 'Failure';
    this.code = code;
    this.retryAfterS = options?.retryAfterS;
  }

  get status(): number {
    return CODES[this.code].status;
  }

  /** What may leave the house: the thrower's sentence where the code allows it, the table's otherwise. */
  get clientMessage(): string {
    return CODES[this.code].says ? this.message : CODES[this.code].message;
  }
}

/**
 * OVERLOADED because what all requests of a process share has run out. Where a lock did not come free, or too many wait for a password to be
 * hashed, that is one thing's trouble; here fewer calls at once would get more done, and whoever calls is told so.
 */
export class Exhausted extends Failure {
  constructor(message?: string, options?: { cause?: unknown }) {
    super('OVERLOADED', message, options);
  }
}

/** A value that a client sent is wrong: `expected` is the rule, `came` what it was (cut to 60 characters). */
export function badInput(expected: string, came?: unknown): Failure {
  return new Failure('BAD_USER_INPUT', came === undefined ? expected : `${expected}; came ${show(came)}`);
}

/** Who asks has no account, or has none any more: in the same words by every service, for it is the same thing. */
export function noAccount(): Failure {
  return new Failure('UNAUTHENTICATED', 'This account does not exist (any more).');
}

export function asFailure(error: unknown): Failure {
  return error instanceof Failure ? error : new Failure('INTERNAL_SERVER_ERROR', undefined, { cause: error });
}

function show(value: unknown): string {
  // Not String(): what a client sends may be an object whose toString is none.
  const text = JSON.stringify(value) ?? String(value);
  return cut(text, 60);
}
