import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { ConsistencyTokens, mergeWrites, parseWrites, writesText, type Write } from '#libs/consistency';
import type { Operation } from '../engine.js';
import { bytesOf, COOKIE, cookiesOf, dropped, newest, UnderWay, type OwnCookie } from './consistency-cookies.js';
import { clientOf } from './rates.js';
import { Refusal } from './refusal.js';

export const CONSISTENCY_TOKEN_HEADER = 'consistency-token';

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

  /** What this request has written. */
  get wrote(): readonly Write[] {
    return this.#wrote;
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

export interface ConsistencyParts {
  /** How long a mutation may take, from when its browser sends it until it is answered, with what clocks and lines add; seconds. */
  readonly overlapS: number;
  /** How many proxies stand before us. */
  readonly proxies: number;
  /** How many processes of this gateway share its port (WORKERS). */
  readonly processes: number;
  /** For the name of a cookie: six characters of base64url that nobody else has. */
  readonly newName?: () => string;
}

/**
 * The client's side of reading one's writes: a header for programs, cookies for browsers, either way the same token. A browser sends and keeps
 * them by itself, and the answer that it is told last does not know what was answered meanwhile: so beside the common cookie, which holds
 * all that its request knew, each mutation sets one of its own.
 */
export class Consistency {
  readonly #tokens: ConsistencyTokens;
  readonly #parts: ConsistencyParts;
  readonly #underWay: UnderWay;
  readonly #mutations = new WeakMap<RequestConsistency, Mutation>();

  constructor(tokens: ConsistencyTokens, parts: ConsistencyParts) {
    this.#tokens = tokens;
    this.#parts = parts;
    this.#underWay = new UnderWay(parts.processes);
  }

  /** Undefined for a query that has nothing to be shown. A header that is no token of this client is refused. */
  of(
    request: IncomingMessage,
    response: Pick<ServerResponse, 'destroyed' | 'once'>,
    subject: string | null,
    type: Operation['type'],
  ): RequestConsistency | undefined {
    const header = request.headers[CONSISTENCY_TOKEN_HEADER];
    const { common, own } = cookiesOf(request.headers.cookie);
    if (header === undefined && common === undefined && own.length === 0 && type === 'query') return undefined;
    const read = new Map(newest(own).map((cookie) => [cookie.name, this.#readCookie(cookie.token, subject)]));
    const writes = mergeWrites(
      typeof header === 'string' ? this.#tokens.readAll(header, subject) : [],
      common === undefined ? [] : this.#readCookie(common, subject),
      ...read.values(),
    );
    if (writes.length === 0 && type === 'query') return undefined;
    const consistency = new RequestConsistency(writes, () => this.#tokens.now());
    if (type === 'mutation') {
      const mayTell = this.#underWay.begin(subject ?? clientOf(request, this.#parts.proxies), response);
      this.#mutations.set(consistency, { own, read, mayTell });
    }
    return consistency;
  }

  /** The headers of an answer whose request has written. */
  headers(request: IncomingMessage, subject: string | null, consistency: RequestConsistency): [string, string][] {
    const token = this.#tokens.make(subject, consistency.writes);
    const { own, read, mayTell } = this.#mutations.get(consistency) ?? UNKNOWN;
    const one = { name: `${COOKIE}.${this.#newName()}`, token: this.#tokens.make(subject, consistency.wrote) };
    const bytes = bytesOf(one);
    const isTold = mayTell(bytes);
    const settled = this.#tokens.now() - this.#parts.overlapS;
    const isNeeded = ({ name }: OwnCookie): boolean => read.get(name)?.some(({ at }) => at > settled) ?? false;
    const secure = isHttps(request) ? '; Secure' : '';
    const set = (name: string, value: string, maxAgeS: number): [string, string] => [
      'set-cookie',
      `${name}=${value}; Max-Age=${maxAgeS}; Path=/; HttpOnly; SameSite=Lax${secure}`,
    ];
    return [
      [CONSISTENCY_TOKEN_HEADER, token],
      set(COOKIE, token, this.#tokens.lifetimeS),
      ...(isTold ? [set(one.name, one.token, this.#tokens.lifetimeS)] : []),
      ...dropped(own, isNeeded, isTold ? bytes : 0).map((name) => set(name, '', 0)),
    ];
  }

  #newName(): string {
    return this.#parts.newName?.() ?? randomBytes(4).toString('base64url');
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

interface Mutation {
  /** Those that it presented, oldest first. */
  readonly own: readonly OwnCookie[];
  /** What those said that were looked at, by name. */
  readonly read: ReadonlyMap<string, readonly Write[]>;
  readonly mayTell: (bytes: number) => boolean;
}

const UNKNOWN: Mutation = { own: [], read: new Map(), mayTell: () => true };

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

/** Here, or at the proxy in front of us. Who lies about it makes only their own cookie more careful. */
function isHttps(request: IncomingMessage): boolean {
  return 'encrypted' in request.socket || request.headers['x-forwarded-proto'] === 'https';
}
