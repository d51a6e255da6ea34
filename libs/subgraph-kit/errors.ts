import type { ApolloServerPlugin } from '@apollo/server';
import { unwrapResolverError } from '@apollo/server/errors';
import type { GraphQLFormattedError } from 'graphql';
import { CODES, Failure, isCode } from '#libs/failure';
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

/** What is not told is logged, once, with the request's id, so the two can be brought together. */
export function logMasked(logger: Logger): ApolloServerPlugin<RequestContext> {
  return {
    async requestDidStart() {
      return {
        async didEncounterErrors({ errors, contextValue, operationName }) {
          for (const error of errors) {
            const thrown = unwrapResolverError(error);
            const { code } = told({ message: error.message, extensions: error.extensions }, error);
            if (CODES[code].says) continue;
            const fields = {
              requestId: contextValue.requestId,
              traceId: contextValue.traceId,
              operationName,
              path: error.path?.join('.'),
              code,
              err: thrown,
            };
            logger.error(fields, 'A field failed');
          }
        },
      };
    },
  };
}

function told(
  formatted: GraphQLFormattedError,
  error: unknown,
): { message: string; code: keyof typeof CODES; retryAfter?: number | undefined } {
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
