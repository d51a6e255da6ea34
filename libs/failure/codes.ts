/**
 * The one table of what a client can be told went wrong. `docs/errors.md` is tested to agree with it.
 *
 * - `status`: the HTTP status when the whole request fails with this code before anything was executed. A failing field
 *   answers 200 with the code in `errors[].extensions.code`.
 * - `says`: whether the message of the thrower may reach a client. Otherwise `message` replaces it.
 * - `retry`: may the same request succeed later without being changed?
 */
export const CODES = {
  BAD_REQUEST: { status: 400, says: true, retry: false, message: 'The HTTP request is not a GraphQL request.' },
  GRAPHQL_PARSE_FAILED: { status: 400, says: true, retry: false, message: 'The document is not GraphQL.' },
  GRAPHQL_VALIDATION_FAILED: {
    status: 400,
    says: true,
    retry: false,
    message: 'The operation does not fit the schema.',
  },
  BAD_USER_INPUT: { status: 400, says: true, retry: false, message: 'A value is not what this field takes.' },
  OPERATION_RESOLUTION_FAILURE: {
    status: 400,
    says: true,
    retry: false,
    message: 'Which operation to run is not clear.',
  },
  PERSISTED_QUERY_NOT_FOUND: { status: 200, says: true, retry: false, message: 'No document has this id.' },
  PERSISTED_QUERY_NOT_SUPPORTED: { status: 200, says: true, retry: false, message: 'Send the whole query text.' },
  UNAUTHENTICATED: { status: 401, says: true, retry: false, message: 'Log in first.' },
  FORBIDDEN: { status: 403, says: true, retry: false, message: 'This is not yours to do.' },
  UNAUTHORIZED_FIELD_OR_TYPE: { status: 403, says: true, retry: false, message: 'Unauthorized field or type.' },
  NOT_FOUND: { status: 404, says: true, retry: false, message: 'There is no such thing.' },
  ACCOUNT_FROZEN: {
    status: 403,
    says: true,
    retry: false,
    message: 'This account is being deleted; nothing can be done in its name.',
  },
  CONFLICT: { status: 409, says: true, retry: false, message: 'It was changed in between.' },
  IDEMPOTENCY_KEY_REUSED: {
    status: 422,
    says: true,
    retry: false,
    message: 'This Idempotency-Key came with another operation or other variables before; make a new one.',
  },
  IDEMPOTENCY_KEY_IN_USE: {
    status: 409,
    says: true,
    retry: true,
    message: 'The first request with this Idempotency-Key is still under way; try again in a moment.',
  },
  CONSISTENCY_TOKEN_REFUSED: {
    status: 400,
    says: true,
    retry: false,
    message: 'The consistency token cannot be used; send the one of your last mutation, or none.',
  },
  NOT_CAUGHT_UP: {
    status: 503,
    says: false,
    retry: true,
    message: 'What you have just changed has not arrived everywhere yet; try again.',
  },
  DONE_NOT_SHOWN: {
    status: 503,
    says: false,
    retry: false,
    message:
      'It is done. Only this part of the answer cannot be shown yet: read it in a moment, and do not do it again.',
  },
  RATE_LIMITED: { status: 429, says: true, retry: true, message: 'Too many requests; wait.' },
  OVERLOADED: { status: 503, says: false, retry: true, message: 'The service is busy; try again.' },
  ANSWER_TOO_LONG: {
    status: 400,
    says: true,
    retry: false,
    message: 'The answer would be longer than one may be; ask for less at once.',
  },
  SUBGRAPH_UNAVAILABLE: {
    status: 502,
    says: false,
    retry: true,
    message: 'A part of the answer could not be fetched.',
  },
  SUBGRAPH_TIMEOUT: { status: 504, says: false, retry: true, message: 'A part of the answer took too long.' },
  SUBGRAPH_BAD_RESPONSE: { status: 502, says: false, retry: false, message: 'A part of the answer was unusable.' },
  GATEWAY_TIMEOUT: { status: 504, says: false, retry: true, message: 'The request took too long.' },
  INTERNAL_SERVER_ERROR: { status: 500, says: false, retry: false, message: 'Internal server error' },
} as const satisfies Record<string, { status: number; says: boolean; retry: boolean; message: string }>;

/** A code that a client can act on: `errors[].extensions.code`. */
export type Code = keyof typeof CODES;

export function isCode(value: unknown): value is Code {
  return typeof value === 'string' && Object.hasOwn(CODES, value);
}
