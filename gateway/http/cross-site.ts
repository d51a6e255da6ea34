import type { IncomingHttpHeaders } from 'node:http';
import { isHeaderName } from './headers.js';
import { Refusal } from './refusal.js';

export interface CorsRules {
  /** Exact origins, or `*` for every one. */
  readonly origins: readonly string[];
  readonly credentials: boolean;
  /** Headers that a page on those origins may send, besides the usual ones; in lower case, as below. */
  readonly headers: readonly string[];
  /** Headers of answers that it may read, besides the usual ones. */
  readonly exposed: readonly string[];
}

/** What pages send: what this gateway reads, who an Apollo client says it is (`clientAwareness`), and the trace of a browser (W3C). */
const SENT = [
  'content-type',
  'authorization',
  'x-request-id',
  'consistency-token',
  'tributary-consistency',
  'idempotency-key',
  'tributary-cost',
  'apollographql-client-name',
  'apollographql-client-version',
  'traceparent',
  'tracestate',
  'baggage',
];

const READ = ['x-request-id', 'consistency-token', 'retry-after', 'tributary-cost'];

/** Any of these makes a browser ask first (a preflight), which CORS then decides. Apollo Server knows the first two. */
const PREFLIGHTED = [
  'apollo-require-preflight',
  'x-apollo-operation-name',
  'graphql-require-preflight',
  'x-requested-with',
];

/**
 * May a page of another site have sent this, without the browser having asked us? A POST of application/json is always
 * asked for first. A GET is not, and urql sends queries by GET with no header of its own: `Sec-Fetch-Site`, which pages
 * cannot forge, tells our own pages from others. Without it (an old browser, or no browser) one of the headers above
 * has to be there.
 */
export function refuseCrossSite(method: string, headers: IncomingHttpHeaders, cors: CorsRules): void {
  const contentType = headers['content-type'];
  if (method === 'POST' && contentType !== undefined && !isSimple(contentType)) return;
  if (PREFLIGHTED.some((name) => headers[name] !== undefined && headers[name] !== '')) return;
  if (method === 'GET') {
    const site = headers['sec-fetch-site'];
    if (site === 'same-origin' || site === 'none') return;
    // Node's fetch says Sec-Fetch-Mode alone. A browser says both or neither, and no page can take one away.
    if (site === undefined && headers['sec-fetch-mode'] !== undefined) return;
    if (headers.origin !== undefined && isAllowed(headers.origin, cors)) return;
    if (contentType !== undefined && !isSimple(contentType)) return;
  }
  throw Refusal.of(
    'BAD_REQUEST',
    'A page of another site could have sent this request. Send POST with content-type application/json, or the header apollo-require-preflight: 1.',
  );
}

/** What a form or a script can send anywhere without being asked; a type we cannot read counts as such. */
function isSimple(contentType: string): boolean {
  if (contentType === 'application/json') return false;
  const type = contentType.split(';')[0]!.trim().toLowerCase();
  return (
    type === '' ||
    type === 'text/plain' ||
    type === 'application/x-www-form-urlencoded' ||
    type === 'multipart/form-data' ||
    !type.includes('/')
  );
}

function isAllowed(origin: string, cors: CorsRules): boolean {
  return cors.origins.includes('*') || cors.origins.includes(origin);
}

/** Why CORS_HEADERS may not name this; undefined when it may. */
export function whyNoPageHeader(name: string): string | undefined {
  if (name === '*') return 'browsers take * for no token (authorization), and with cookies for nothing; name each';
  return isHeaderName(name) ? undefined : 'it is no header name';
}

/** Why CORS_ORIGINS may not name this, to follow it; undefined when it may. An origin is compared as it comes, letter by letter. */
export function whyNoOrigin(text: string): string | undefined {
  // `null` is what a page in a sandbox or from a file says.
  if (text === '*' || text === 'null') return undefined;
  if (text.includes('*')) return 'nothing is read into a * but by itself; name each origin';
  const address = /^[\w+.-]+:\/\//.test(text) ? text : `https://${text}`;
  const meant = originOf(address);
  if (meant === text) return undefined;
  return `browsers say scheme and host, in lower case and nothing after it${meant === undefined ? '' : `: ${meant}`}`;
}

/** Of `capacitor://localhost` and the like, which browsers do not know, URL says nothing. */
function originOf(address: string): string | undefined {
  if (!URL.canParse(address)) return undefined;
  const { origin, protocol, host } = new URL(address);
  if (host === '') return undefined;
  return origin === 'null' ? `${protocol}//${host.toLowerCase()}` : origin;
}

/** The headers that let a page of an allowed origin read the answer. */
export function corsHeaders(origin: string | undefined, cors: CorsRules): Record<string, string> {
  if (cors.origins.length === 0) return {};
  if (origin === undefined || !isAllowed(origin, cors)) return { vary: 'Origin' };
  return {
    // Never `*` together with credentials: the settings refuse that pair.
    'access-control-allow-origin': cors.origins.includes('*') ? '*' : origin,
    ...(cors.credentials ? { 'access-control-allow-credentials': 'true' } : {}),
    'access-control-expose-headers': [...READ, ...cors.exposed].join(', '),
    vary: 'Origin',
  };
}

/** What OPTIONS answers besides; a foreign origin learns nothing from it. */
export function preflightHeaders(origin: string | undefined, cors: CorsRules): Record<string, string> {
  const allowed = corsHeaders(origin, cors);
  if (allowed['access-control-allow-origin'] === undefined) return allowed;
  return {
    ...allowed,
    'access-control-allow-methods': 'GET, POST',
    'access-control-allow-headers': [...SENT, ...PREFLIGHTED, ...cors.headers].join(', '),
    'access-control-max-age': '600',
  };
}
