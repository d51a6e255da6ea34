import { inspect } from 'node:util';
import { CODES, cut, fieldPath, isCode, type Code } from '#libs/failure';
import type { Logger } from '#libs/telemetry';
import type { Operation, RequestContext } from '../engine.js';
import { MESSAGE_LENGTH_MAX, NOT_TAKEN } from './refusal.js';

/** Something went wrong with one field, as an engine knows it. */
export interface FieldError {
  readonly message: string;
  /** Where in the answer: from the root, indices and all. Every error that nulled a field has one. */
  readonly path: readonly (string | number)[];
  /** `extensions.code` as the subgraph gave it, or the code that the gateway itself decided on. */
  readonly code: unknown;
  /** `extensions.retryAfter` as the subgraph gave it: seconds, if it is what it should be. */
  readonly retryAfter?: unknown;
  /** Whose words these are. Of the gateway's codes a subgraph has only those that it may mean as well. */
  readonly by: 'gateway' | 'subgraph';
  readonly subgraph?: string | undefined;
  readonly cause?: unknown;
}

/** What a client sees of it. */
export interface ClientError {
  readonly message: string;
  readonly path: readonly (string | number)[];
  readonly extensions: { readonly code: Code; readonly requestId: string; readonly retryAfter?: number };
}

export const CLIENT_ERRORS_MAX = 50;

/** A subgraph says these to the client, in its own words. Everything else of it stays inside. */
const SUBGRAPH_SAYS: ReadonlySet<unknown> = new Set([
  'ACCOUNT_FROZEN',
  'BAD_USER_INPUT',
  'FORBIDDEN',
  'NOT_FOUND',
  'CONFLICT',
  'UNAUTHENTICATED',
]);
/** Of these a client has to know that it may try again, in our words; of a write also that nobody knows whether it was done. */
const SUBGRAPH_MEANS: ReadonlySet<unknown> = new Set([
  'SUBGRAPH_UNAVAILABLE',
  'SUBGRAPH_TIMEOUT',
  'NOT_CAUGHT_UP',
  'DONE_NOT_SHOWN',
  'RATE_LIMITED',
  'OVERLOADED',
  'IDEMPOTENCY_KEY_REUSED',
  'IDEMPOTENCY_KEY_IN_USE',
]);

/**
 * What a service's code means to the client of a mutation. Whoever has not caught up refuses what it was asked for before it does anything:
 * of the mutation's own call that is a root field, and nothing was done. Below a root field, or of what is read after it, it refuses
 * to show what is done; told as `NOT_CAUGHT_UP`, that would have its client do it again.
 */
export function codeInMutation(
  code: unknown,
  call: 'query' | 'mutation',
  path: readonly (string | number)[] | undefined,
): unknown {
  const isDone = call === 'query' || (path !== undefined && path.length > 1);
  return isDone && code === 'NOT_CAUGHT_UP' ? 'DONE_NOT_SHOWN' : code;
}

/** It has no such field, which the supergraph says it has: it was deployed before the gateway's, or rolled back, and that will pass. */
const LOST_FIELD: Code = 'GRAPHQL_VALIDATION_FAILED';

/** An operation as its client wrote it. */
type Written = Pick<Operation, 'definition' | 'document'>;

/**
 * The one place that decides what leaves the house; every engine goes through it. What is kept from the client is logged once.
 * `more`: errors that nobody has kept.
 */
export function clientErrors(
  errors: readonly FieldError[],
  operation: Written,
  { requestId, trace, errorsMax = CLIENT_ERRORS_MAX }: Pick<RequestContext, 'requestId' | 'trace' | 'errorsMax'>,
  logger: Logger,
  more = 0,
): ClientError[] {
  const shown = errors.slice(0, errorsMax).map((error) => {
    const code = codeOf(error);
    return {
      message: isTold(error) ? cut(withoutOurs(error.message), MESSAGE_LENGTH_MAX) : CODES[code].message,
      path: error.path,
      extensions: { code, requestId, ...waitOf(code, error.retryAfter) },
    };
  });
  report(errors, more, shown, operation, { requestId, ...(trace && { traceId: trace.traceId }) }, logger);
  return shown;
}

/** What the client wrote as a literal is a variable of ours (plan/literals.ts), of which a service says that it, or what is in it, does not fit. */
function withoutOurs(message: string): string {
  if (!LIFTED.test(message)) return message;
  return message.replace(LIFTED, 'A value of the operation does not fit: ').replace(WITHIN, ' at "');
}

const LIFTED = /^Variable "\$_+lit\d+" got invalid value /;
const WITHIN = / at "_+lit\d+\.?/;

/** Has the client its own words? */
function isTold(error: FieldError): boolean {
  const code = codeOf(error);
  return error.by === 'subgraph' ? SUBGRAPH_SAYS.has(code) : CODES[code].says;
}

/**
 * Is one of them our side's doing, a service's or the gateway's, and not what the client asked for? A service that says when to come again has
 * turned away whom it chose (a crowd that logs in, of whom each stands in a line of its own): were that a failure, strangers could wake somebody by it.
 */
export function hasFailed(errors: readonly FieldError[]): boolean {
  return errors.some((error) => CODES[codeOf(error)].status >= 500 && !isTurnedAway(error));
}

function isTurnedAway(error: FieldError): boolean {
  return (
    error.by === 'subgraph' &&
    error.code === 'OVERLOADED' &&
    (waitOf('OVERLOADED', error.retryAfter).retryAfter ?? Infinity) <= TURNED_AWAY_S
  );
}

/** Who was turned away may come again so soon; where a disk is full it is half a minute, and somebody has to make room. */
const TURNED_AWAY_S = 10;

function codeOf({ code, by }: FieldError): Code {
  if (!isCode(code)) return 'INTERNAL_SERVER_ERROR';
  if (by === 'subgraph' && code === LOST_FIELD) return 'SUBGRAPH_UNAVAILABLE';
  return by === 'gateway' || SUBGRAPH_SAYS.has(code) || SUBGRAPH_MEANS.has(code) ? code : 'INTERNAL_SERVER_ERROR';
}

/** How long is no secret of a subgraph's, and a client that is not told tries at once. */
function waitOf(code: Code, given: unknown): { retryAfter?: number } {
  if ((code !== 'RATE_LIMITED' && code !== 'OVERLOADED') || !Number.isInteger(given)) return {};
  const seconds = given as number;
  return seconds > 0 && seconds <= RETRY_AFTER_MAX_S ? { retryAfter: seconds } : {};
}

const RETRY_AFTER_MAX_S = 7 * 86_400;

/**
 * One line per request. What a client did wrong is no trouble of ours; what was hidden from it is. Where a service says when to come again it
 * has turned somebody away on purpose, and has its own line of it.
 */
function report(
  errors: readonly FieldError[],
  more: number,
  shown: readonly ClientError[],
  operation: Written,
  ids: object,
  logger: Logger,
): void {
  const hidden = shown.some(({ extensions: { code, retryAfter } }) => !CODES[code].says && retryAfter === undefined);
  const details = errors.slice(0, 10).map((error) => ({
    ...(isTold(error) ? {} : wordsOf(error)),
    path: fieldPath(error.path, operation),
    code: error.code,
    subgraph: error.subgraph,
  }));
  const fields = { ...ids, errors: details, count: errors.length + more };
  if (hidden) logger.error(fields, 'Fields failed');
  else logger.debug(fields, 'Fields were refused');
}

/** Only of what the client is not told: a refusal repeats what somebody has written, an address of theirs for example. */
function wordsOf({ message, cause }: FieldError): { message: string; cause?: string } {
  return {
    message: message.slice(0, 2_000),
    ...(cause === undefined || cause === NOT_TAKEN ? {} : { cause: inspect(cause, { depth: 3 }).slice(0, 2_000) }),
  };
}
