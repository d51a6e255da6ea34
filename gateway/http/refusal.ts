import { CODES, cut, Failure, type Code } from '#libs/failure';

/** A request that ends here: nothing was executed, and the whole answer is why. */
export class Refusal extends Error {
  override readonly name = 'Refusal';

  constructor(
    readonly status: number,
    readonly code: Code,
    message: string,
    readonly more: {
      readonly headers?: Readonly<Record<string, string>>;
      /** Until when what its client still sends is taken: it is told at once, and its connection ends then. */
      readonly rest?: Promise<void>;
      /** Several mistakes at once (validation, variables), each with its own sentence; `message` then only names them. */
      readonly errors?: readonly RefusedError[];
      readonly cause?: unknown;
      /** A mutation that was begun, of which nobody knows the end: who is told to come again, and does, does it twice. */
      readonly mayBeDone?: boolean;
    } = {},
  ) {
    super(message, { cause: more.cause });
  }

  /** With the status that the table of codes has for it: whoever wants 422 where we say 400 changes that table. */
  static of(code: Code, message: string, more: Refusal['more'] = {}): Refusal {
    return new Refusal(CODES[code].status, code, message, more);
  }
}

/** Too many at once. It is counted, and no line of the log: that would be work for each of ten times too many. */
export function notTaken(headers: Readonly<Record<string, string>> = {}): Refusal {
  return Refusal.of('OVERLOADED', CODES.OVERLOADED.message, { headers, cause: NOT_TAKEN });
}

export const NOT_TAKEN = new Failure('OVERLOADED', 'More requests at once than can be answered in time.');

/** Said once by who waits for one. */
export const NOT_SERVED = new Failure('OVERLOADED', 'There is no supergraph to serve yet.');

/** Made once: the stack of an error is the dearest part of refusing. */
export const TOO_MANY = notTaken();
/** For who waited behind what they had sent themselves, and pays for it. */
export const OWN_LINE = notTaken();

export interface RefusedError {
  readonly message: string;
  readonly locations?: readonly { readonly line: number; readonly column: number }[] | undefined;
}

/** Whatever was thrown → what the client is told. Our own bugs are one sentence and a request id. */
export function refusalOf(thrown: unknown): Refusal {
  if (thrown instanceof Refusal) return thrown;
  if (thrown instanceof Failure) {
    const headers =
      thrown.code === 'UNAUTHENTICATED'
        ? { 'www-authenticate': 'Bearer realm="tributary", error="invalid_token"' }
        : {};
    return new Refusal(thrown.status, thrown.code, thrown.clientMessage, { headers, cause: thrown });
  }
  return new Refusal(500, 'INTERNAL_SERVER_ERROR', CODES.INTERNAL_SERVER_ERROR.message, { cause: thrown });
}

export function refusalBody(refusal: Refusal, requestId: string): string {
  const errors = refusal.more.errors ?? [{ message: refusal.message }];
  const wait = refusal.code === 'RATE_LIMITED' ? Number(refusal.more.headers?.['retry-after'] ?? 0) : 0;
  return JSON.stringify({
    errors: errors.map(({ message, locations }) => ({
      message: cut(message, MESSAGE_LENGTH_MAX),
      ...(locations ? { locations } : {}),
      extensions: { code: refusal.code, requestId, ...(wait > 0 ? { retryAfter: wait } : {}) },
    })),
  });
}

/** graphql-js repeats what came; an answer must not be as long as the attack. */
export const MESSAGE_LENGTH_MAX = 300;
