/** Which client it is, as the gateway counts them: 22 characters from which no address can be read. With mutations only. */
export const CLIENT_HEADER = 'tributary-client';
/** Which log-in is used: the `jti` of its token. With mutations only. */
export const SESSION_HEADER = 'tributary-session';
/** What a client may repeat it by: digests of its `Idempotency-Key` and of what it asks. With mutations only. */
export const IDEMPOTENCY_HEADER = 'tributary-idempotency-key';
/** What client and session may be. */
export const SESSION = /^[\w-]{1,128}$/;
