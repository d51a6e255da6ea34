import type { ApolloServerPlugin } from '@apollo/server';
import { unwrapResolverError } from '@apollo/server/errors';
import type { GraphQLError, GraphQLFormattedError } from 'graphql';
import { CODES, cut, Exhausted, fieldPath, Failure, isCode, type Code } from '#libs/failure';
import { RefusedCall, type Refusal } from '#libs/identity';
import { OVERLOADED_HEADER } from '#libs/lifecycle';
import type { Logger } from '#libs/telemetry';
import type { RequestContext } from './context.js';

/** What leaves a subgraph: message, path and code of a `Failure` or of graphql-js itself; of anything else only that it failed. */
export function formatError(formatted: GraphQLFormattedError, error: unknown): GraphQLFormattedError {
  const { message, code, retryAfter } = told(formatted, error);
  return {
    message,
    ...(formatted.path ? { path: formatted.path } : {}),
    extensions: { code, ...(retryAfter === undefined ? {} : { retryAfter }) },
  };
}

/**
 * What is not told is logged, with the request's id, so the two can be brought together. While a database is away every key of a batch
 * fails by one error, and by as many loaders as a page has fields: one line for each thing that went wrong, not for each field.
 */
export function logMasked(logger: Logger): ApolloServerPlugin<RequestContext> {
  return {
    async requestDidStart() {
      return {
        async didEncounterErrors({ errors, contextValue: { requestId, traceId }, operationName, operation, document }) {
          const kinds = masked(errors);
          // Who wrote the operation has chosen the names in it.
          const ids = { requestId, traceId, operationName: operationName && cut(operationName, NAME_MAX) };
          for (const { first, thrown, code, count } of kinds.slice(0, LINES_MAX)) {
            const path =
              first.path && operation && document && fieldPath(first.path, { definition: operation, document });
            if (isTurnedAway(thrown))
              logger.warn({ ...ids, path, count, code, reason: thrown.message }, 'A field was refused for now');
            else logger.error({ ...ids, path, count, code, err: thrown }, 'A field failed');
          }
          const more = kinds.slice(LINES_MAX).reduce((sum, { count }) => sum + count, 0);
          if (more > 0) logger.error({ ...ids, count: more }, 'More fields failed, each kind by another error');
        },
      };
    },
  };
}

/** Tells of a call that got past the door and is refused where it writes, once however many fields it has. */
export function tellRefused(refused: (why: Refusal) => void): ApolloServerPlugin<RequestContext> {
  return {
    async requestDidStart() {
      return {
        async didEncounterErrors({ errors }) {
          const found = errors.map(unwrapResolverError).find((thrown) => thrown instanceof RefusedCall);
          if (found !== undefined) refused(found.why);
        },
      };
    },
  };
}

/** Tells the gateway that fewer calls at once would get more done, where something of the answer was refused for that. */
export function tellExhausted(): ApolloServerPlugin<RequestContext> {
  return {
    async requestDidStart() {
      return {
        async didEncounterErrors({ errors, response }) {
          if (errors.some((error) => unwrapResolverError(error) instanceof Exhausted))
            response.http.headers.set(OVERLOADED_HEADER, '1');
        },
      };
    },
  };
}

/** Of one request. */
const LINES_MAX = 10;
/** Characters. */
const NAME_MAX = 100;

interface Kind {
  /** As GraphQL has it; its path is where this was met first. */
  readonly first: GraphQLError;
  readonly thrown: unknown;
  readonly code: Code;
  count: number;
}

/** Those that a client is not told of, equal ones together, the most frequent first. */
function masked(errors: readonly GraphQLError[]): Kind[] {
  const kinds = new Map<string, Kind>();
  for (const error of errors) {
    const thrown = unwrapResolverError(error);
    const { code } = told({ message: error.message, extensions: error.extensions }, error);
    if (CODES[code].says) continue;
    const key = wordsOf(thrown);
    const known = kinds.get(key);
    if (known) known.count += 1;
    else kinds.set(key, { first: error, thrown, code, count: 1 });
  }
  return [...kinds.values()].toSorted((one, other) => other.count - one.count);
}

/** A line is full, as it is meant to be, or a disk, of which there is a line of its own; whoever was turned away is told when to come again. */
function isTurnedAway(thrown: unknown): thrown is Failure {
  return thrown instanceof Failure && thrown.code === 'OVERLOADED' && thrown.retryAfterS !== undefined;
}

/** By its words and its cause's: who waits for one load together may be given an error each. */
function wordsOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown);
  return `${thrown.name} ${thrown.message} ${thrown.cause instanceof Error ? thrown.cause.message : ''}`;
}

function told(
  formatted: GraphQLFormattedError,
  error: unknown,
): { message: string; code: Code; retryAfter?: number | undefined } {
  const thrown = unwrapResolverError(error);
  if (thrown instanceof Failure)
    return { message: thrown.clientMessage, code: thrown.code, retryAfter: thrown.retryAfterS };
  // Of the whole operation, not of a field: thrown before anything was resolved.
  const original = (thrown as { originalError?: unknown } | null)?.originalError;
  if (original instanceof Failure) return { message: original.clientMessage, code: original.code };
  const code = formatted.extensions?.['code'];
  // A resolver's own error has no code of ours; graphql-js and Apollo Server mark what the client did wrong by theirs.
  if (thrown !== error || !isCode(code))
    return { message: CODES.INTERNAL_SERVER_ERROR.message, code: 'INTERNAL_SERVER_ERROR' };
  return { message: CODES[code].says ? formatted.message : CODES[code].message, code };
}
