import { types } from 'node:util';
import { Exhausted, Failure } from '#libs/failure';

/**
 * An error that is about the database's health rather than about the statement becomes the `Failure` that tells a client
 * whether to try again. What a statement did wrong (a constraint, a value) stays as it is: its thrower knows better.
 */
export function asTrouble(error: unknown): unknown {
  if (error instanceof Failure) return error;
  const state = sqlState(error);
  if (state === undefined) {
    if (!isLost(error)) return error;
    const late = (error as Error).message === READ_TIMEOUT;
    return new Failure(late ? 'SUBGRAPH_TIMEOUT' : 'SUBGRAPH_UNAVAILABLE', undefined, { cause: error });
  }
  if (state === QUERY_CANCELED) return new Failure('SUBGRAPH_TIMEOUT', undefined, { cause: error });
  if (state === DISK_FULL)
    return new Failure('OVERLOADED', 'The disk of the database is full.', { cause: error, retryAfterS: DISK_AGAIN_S });
  if (EXHAUSTED.has(state)) return new Exhausted(undefined, { cause: error });
  if (OVERLOADED.has(state) || isConflict(error)) return new Failure('OVERLOADED', undefined, { cause: error });
  if (state.startsWith('08') || state.startsWith('57P') || state === READ_ONLY)
    return new Failure('SUBGRAPH_UNAVAILABLE', undefined, { cause: error });
  return error;
}

/** PostgreSQL's five characters, when it was PostgreSQL that answered. */
export function sqlState(error: unknown): string | undefined {
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) && 'severity' in (error as object) ? code : undefined;
}

/** PostgreSQL undid all of it for another's sake, or before anything was done: the same work may succeed now. */
export function isConflict(error: unknown): boolean {
  const state = sqlState(error);
  return state === '40001' || state === '40P01' || isStalePlan(error);
}

/** A migration changed a table under a prepared statement. */
export function isStalePlan(error: unknown): boolean {
  return sqlState(error) === '0A000' && /cached plan must not change result type/.test((error as Error).message);
}

/** The connection is of no use any more: gone, or still busy with what nobody waits for. */
export function isLost(error: unknown): boolean {
  if (!types.isNativeError(error) || sqlState(error) !== undefined) return false;
  const code = 'code' in error ? error.code : undefined;
  if (typeof code === 'string' && /^E(CONN|PIPE|HOST|NET|TIMEDOUT|AI_AGAIN|NOTFOUND)/.test(code)) return true;
  return (
    error.message === READ_TIMEOUT ||
    error.name === 'QueryRunnerAlreadyReleasedError' ||
    /Connection terminated|connection error and is not queryable/.test(error.message)
  );
}

/** Nothing came, not even the server's own word that the statement took too long: nobody is there. */
export function isSilent(error: unknown): boolean {
  return types.isNativeError(error) && error.message === READ_TIMEOUT;
}

/** Nothing can be written on this connection: it leads to a replica, or its database was made read only. */
export function isReadOnly(error: unknown): boolean {
  return sqlState(error) === READ_ONLY;
}

/** There is no room for what would be written, and there will be none before somebody makes it. */
export function isDiskFull(error: unknown): boolean {
  return sqlState(error) === DISK_FULL;
}

const READ_TIMEOUT = 'Query read timeout';
const QUERY_CANCELED = '57014';
/** A primary that has become a replica, or that somebody told to take no writes: nothing was done, and it passes. */
const READ_ONLY = '25006';
/** Out of memory, too many connections. */
const EXHAUSTED = new Set(['53200', '53300']);
/**
 * Not SUBGRAPH_UNAVAILABLE, though it is nobody's crowd: that says that a write may have been done, and nothing of it was. Tried, in `npm run faults --
 * FD11-full`: whoever repeats under a key what may have been done repeats one write (ten times and more, until there is room) and reads nothing meanwhile, so
 * a third of what is answered now was. And a relay would take its connection for gone (libs/outbox/trouble.ts).
 */
const DISK_FULL = '53100';
/** Somebody has to make room first. */
const DISK_AGAIN_S = 30;
/** Out of what the settings allow, a lock that did not come free. */
const OVERLOADED = new Set(['53000', '53400', '55P03']);

/** What an error says. Node joins the failures of several addresses in one error without a message. */
export function messageOf(error: unknown): string {
  if (!types.isNativeError(error)) return String(error);
  if (error.message === '' && 'errors' in error && Array.isArray(error.errors))
    return error.errors.map(messageOf).join('; ');
  return error.message;
}
