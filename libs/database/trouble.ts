import { Failure } from '#libs/failure';

/**
 * An error that is about the database's health rather than about the statement becomes the `Failure` that tells a client
 * whether to try again. What a statement did wrong (a constraint, a value) stays as it is: its thrower knows better.
 */
export function asTrouble(error: unknown): unknown {
  if (error instanceof Failure) return error;
  const state = sqlState(error);
  if (state === undefined) {
    if (!(error instanceof Error)) return error;
    if (error.message === 'Query read timeout') return new Failure('SUBGRAPH_TIMEOUT', undefined, { cause: error });
    return isLost(error) ? new Failure('SUBGRAPH_UNAVAILABLE', undefined, { cause: error }) : error;
  }
  if (state === QUERY_CANCELED) return new Failure('SUBGRAPH_TIMEOUT', undefined, { cause: error });
  if (OVERLOADED.has(state) || isConflict(error)) return new Failure('OVERLOADED', undefined, { cause: error });
  if (state.startsWith('08') || state.startsWith('57P'))
    return new Failure('SUBGRAPH_UNAVAILABLE', undefined, { cause: error });
  return error;
}

/** PostgreSQL's five characters, when it was PostgreSQL that answered. */
export function sqlState(error: unknown): string | undefined {
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) && 'severity' in (error as object) ? code : undefined;
}

/** Deadlock or serialization failure: PostgreSQL undid it all for another's sake, so the same work may succeed now. */
export function isConflict(error: unknown): boolean {
  const state = sqlState(error);
  return state === '40001' || state === '40P01';
}

const QUERY_CANCELED = '57014';
/** Too many connections, out of memory or disk, a lock that did not come free. */
const OVERLOADED = new Set(['53000', '53100', '53200', '53300', '53400', '55P03']);

function isLost(error: Error): boolean {
  const code = 'code' in error ? error.code : undefined;
  if (typeof code === 'string' && /^E(CONN|PIPE|HOST|NET|TIMEDOUT|AI_AGAIN|NOTFOUND)/.test(code)) return true;
  return /Connection terminated|Client has encountered a connection error|not queryable/.test(error.message);
}
