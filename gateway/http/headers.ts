import type { IncomingHttpHeaders } from 'node:http';
import type { GraphqlOverHttpParts } from './graphql-over-http-parts.js';

/** Describe one connection, or the body that we write ourselves: passing them on breaks or smuggles messages. */
const CONNECTION = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'host',
  'expect',
  'accept',
  'accept-encoding',
  'content-type',
  'content-length',
  'content-encoding',
]);

/** By these the gateway tells a subgraph who asks, or other gateways do: a client's copy is a lie. */
const IDENTITY = new Set(['x-user-id', 'x-forwarded-user', 'x-gateway-secret', 'router-authorization', 'x-request-id']);

/** Why this header may not be named in FORWARD_HEADERS or FORWARD_RESPONSE_HEADERS; undefined when it may. */
export function whyNotForwarded(name: string, identity: 'off' | 'jwt'): string | undefined {
  const lower = name.toLowerCase();
  if (!isHeaderName(name)) return 'it is no header name';
  if (CONNECTION.has(lower)) return 'it belongs to one connection or one body';
  // Some servers read x_user_id as x-user-id.
  const dashed = lower.replaceAll('_', '-');
  if (dashed.startsWith('tributary-') || IDENTITY.has(dashed))
    return 'it tells who asks, and only the gateway says that';
  if (identity === 'jwt' && lower === 'authorization')
    return 'with IDENTITY=jwt a subgraph is told who asks by the assertion, never by the token';
  return undefined;
}

/** A token (RFC 9110 §5.1). */
export function isHeaderName(text: string): boolean {
  return /^[a-z0-9!#$%&'*+.^_`|~-]+$/i.test(text);
}

/** The client's headers that FORWARD_HEADERS names. What `Connection:` lists is for us alone (RFC 9110 §7.6.1). */
export function forwardedHeaders(headers: IncomingHttpHeaders, names: readonly string[]): ReadonlyMap<string, string> {
  if (names.length === 0) return NONE;
  const ours = namedByConnection(headers.connection ?? '');
  const found = new Map<string, string>();
  for (const name of names) {
    const value = headers[name];
    if (value !== undefined && !ours?.has(name)) found.set(name, Array.isArray(value) ? value.join(', ') : value);
  }
  return found;
}

function namedByConnection(connection: string): ReadonlySet<string> | undefined {
  // What nearly everybody says.
  if (connection === '' || connection === 'keep-alive' || connection === 'close') return undefined;
  return new Set(
    connection
      .toLowerCase()
      .split(',')
      .map((name) => name.trim()),
  );
}

const NONE: ReadonlyMap<string, string> = new Map();

/**
 * A well-formed id of a proxy of ours (TRUSTED_PROXIES) is kept, so that logs can be joined. What a stranger says gets a new one: it would be
 * a line of the log in their words.
 */
export function requestIdOf(
  headers: IncomingHttpHeaders,
  { newId, proxies = 0 }: Pick<GraphqlOverHttpParts, 'newId' | 'proxies'>,
): string {
  const given = proxies > 0 ? headers['x-request-id'] : undefined;
  return typeof given === 'string' && /^[\w-]{8,64}$/.test(given) ? given : newId();
}
