export { ASSERTION_HEADER, AssertionSigner, AssertionVerifier, requireCall, type Asserted } from './assertion.js';
export type { Call } from './call.js';
export { CLIENT_HEADER, IDEMPOTENCY_HEADER, SESSION, SESSION_HEADER } from './caller.js';
export { ENDED_SESSIONS_PAGE, EndedSessions, type EndedSessionsPage } from './ended-sessions.js';
export { globalId, kindOfGlobalId, parseGlobalId, type Kind } from './global-id.js';
export { isId, newId, SHARDS, shardOf, timeOf, type NewIdOptions } from './ids.js';
export { loadOrCreateSecret, loadOrCreateSigningKey } from './key-files.js';
export { REFUSALS, RefusedCall, type Refusal } from './refused-call.js';
export { parseSigningKey, seedOf, signingKeyOf, type SigningKey } from './signing-key.js';
export { UnfitAnswer, whyNotFetched } from './why-not-fetched.js';
export {
  expiryOf,
  TOKEN_ALGORITHMS,
  TOKEN_LIFETIME_S_MAX,
  TokenIssuer,
  TokenVerifier,
  type TokenVerifierParts,
} from './token.js';
