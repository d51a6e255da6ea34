import type { IncomingMessage } from 'node:http';
import { ConsistencyTokens, mergeWrites, parseWrites, writesText, type Write } from '#libs/consistency';
import type { Operation } from '../engine.js';
import { Refusal } from './refusal.js';

export const CONSISTENCY_TOKEN_HEADER = 'consistency-token';
const COOKIE = 'consistency-token';

/**
 * What one request has to be shown, and what it writes. An operation of several calls shows the later ones what the earlier
 * ones have written. A query without a token has none.
 */
export class RequestConsistency {
  readonly #presented: readonly Write[];
  readonly #wrote: Write[] = [];
  readonly #now: () => number;
  #text: string | undefined;

  /** `now`: seconds since 1970. */
  constructor(presented: readonly Write[], now: () => number) {
    this.#presented = presented;
    this.#now = now;
  }

  /** What subgraphs are told, and part of what makes two reads equal; '' for nothing. */
  get upTo(): string {
    this.#text ??= writesText(this.writes);
    return this.#text;
  }

  /** What the reader has written, here and before. Nothing older than these may be shown, from whatever is kept. */
  get writes(): readonly Write[] {
    return this.#wrote.length === 0 ? this.#presented : mergeWrites(this.#presented, this.#wrote);
  }

  get hasWritten(): boolean {
    return this.#wrote.length > 0;
  }

  /** What a subgraph says that it has written. It speaks for itself only. */
  note(subgraph: string, text: string): void {
    const at = this.#now();
    const writes = (parseWrites(text) ?? []).filter(({ source }) => source === subgraph);
    if (writes.length === 0) return;
    this.#wrote.push(...writes.map((write) => ({ ...write, at })));
    this.#text = undefined;
  }
}

/** The client's side of reading one's writes: a header for programs, a cookie for browsers, either way the same token. */
export class Consistency {
  readonly #tokens: ConsistencyTokens;

  constructor(tokens: ConsistencyTokens) {
    this.#tokens = tokens;
  }

  /** Undefined for a query that has nothing to be shown. A header that is no token of this client is refused. */
  of(request: IncomingMessage, subject: string | null, type: Operation['type']): RequestConsistency | undefined {
    const header = request.headers[CONSISTENCY_TOKEN_HEADER];
    const cookie = cookieOf(request);
    if (header === undefined && cookie === undefined && type === 'query') return undefined;
    const writes = mergeWrites(
      typeof header === 'string' ? this.#tokens.read(header, subject) : [],
      cookie === undefined ? [] : this.#readCookie(cookie, subject),
    );
    return writes.length === 0 && type === 'query'
      ? undefined
      : new RequestConsistency(writes, () => this.#tokens.now());
  }

  /** The headers of an answer whose request has written. */
  headers(request: IncomingMessage, subject: string | null, { writes }: RequestConsistency): [string, string][] {
    const token = this.#tokens.make(subject, writes);
    const secure = isHttps(request) ? '; Secure' : '';
    return [
      [CONSISTENCY_TOKEN_HEADER, token],
      ['set-cookie', `${COOKIE}=${token}; Max-Age=${this.#tokens.lifetimeS}; Path=/; HttpOnly; SameSite=Lax${secure}`],
    ];
  }

  /** A browser sends it by itself, also after somebody else has logged in: what is not this person's says nothing. */
  #readCookie(cookie: string, subject: string | null): Write[] {
    try {
      return this.#tokens.read(cookie, subject);
    } catch {
      return [];
    }
  }
}

/**
 * `tributary-consistency: monotonic`: no read of this client may be older than one before, so nothing that is kept may answer it. Who may
 * not have that is told, rather than answered from a cache. It is no `Cache-Control: no-cache`, which a page's `fetch` with `cache: 'no-store'`
 * sends along, and a browser whose tools are open, and neither means this.
 */
export function asksMonotonicReads(
  { headers }: IncomingMessage,
  subject: string | null,
  mayAsk: ((subject: string | null) => boolean) | undefined,
): boolean {
  const asked = headers[CONSISTENCY_HEADER];
  if (asked === undefined) return false;
  if (asked !== 'monotonic') throw Refusal.of('BAD_REQUEST', `${CONSISTENCY_HEADER} takes monotonic, or is left out.`);
  if (mayAsk?.(subject) !== true)
    throw Refusal.of(
      'FORBIDDEN',
      `Monotonic reads are not for this client here (MONOTONIC_READS); leave ${CONSISTENCY_HEADER} out.`,
    );
  return true;
}

const CONSISTENCY_HEADER = 'tributary-consistency';

function cookieOf(request: IncomingMessage): string | undefined {
  const { cookie } = request.headers;
  if (cookie === undefined || !cookie.includes(COOKIE)) return undefined;
  for (const part of cookie.split(';')) {
    const equals = part.indexOf('=');
    if (equals > 0 && part.slice(0, equals).trim() === COOKIE) return part.slice(equals + 1).trim();
  }
  return undefined;
}

/** Here, or at the proxy in front of us. Who lies about it makes only their own cookie more careful. */
function isHttps(request: IncomingMessage): boolean {
  return 'encrypted' in request.socket || request.headers['x-forwarded-proto'] === 'https';
}
