import type { IncomingMessage } from 'node:http';
import { LRUCache } from 'lru-cache';
import { Failure } from '#libs/failure';
import type { AssertionSigner, Call, EndedSessions, TokenVerifier } from '#libs/identity';
import { systemClock, type Clock } from '#libs/telemetry';
import { grantsOf, type Grants } from '../authorization/grants.js';

/** Who asks: from a client's token to a subgraph's assertion. */
export interface Identity {
  /** Whose token it is, null when there is none; a bad token is UNAUTHENTICATED and nothing runs. */
  bearer(request: IncomingMessage): Promise<Bearer> | Bearer | null;
  /** Has this token been good before, not long ago? Asks nobody, and checks nothing. */
  knows?(request: IncomingMessage): boolean;
  /** Throws when this log-in has ended since: the rest of the request may have come late. */
  requireStill?(bearer: Bearer): void;
  /** What tokens are checked by, where that is fetched. */
  readonly keys?: TokenVerifier['remote'];
  /** What `subgraph` is told with this call, once, or undefined when nobody is told anything. */
  assertion(subgraph: string, subject: string | null, call: Call, write?: string): string | undefined;
}

export interface Bearer {
  /** As its issuer has it: of our users a global id. */
  readonly subject: string;
  readonly claims: Readonly<Record<string, unknown>>;
  readonly grants: Grants;
}

/** IDENTITY=off: tokens are not looked at, and no assertion is sent. */
export const noIdentity: Identity = { bearer: () => null, assertion: () => undefined };

/**
 * Checking a signature takes 150 µs of CPU, as much as all else that is done for a small query; so a token that was good is
 * believed for a while, and no longer than it says itself.
 */
const BELIEVED_MS = 10_000;
const BELIEVED_BYTES = 8 * 1024 * 1024;

/** IDENTITY=jwt. */
export function tokenIdentity(parts: {
  verifier: Pick<TokenVerifier, 'open'> & Partial<Pick<TokenVerifier, 'remote'>>;
  signer: Pick<AssertionSigner, 'sign'>;
  clock?: Clock;
  /** Log-ins that ended before their tokens ran out; absent: none do. */
  ended?: Pick<EndedSessions, 'known' | 'require' | 'requireNow'> | undefined;
}): Identity {
  const { verifier, signer, clock = systemClock, ended } = parts;
  const believed = new LRUCache<string, { readonly bearer: Bearer; readonly until: number }>({
    maxSize: BELIEVED_BYTES,
    // Claims are at most as long as the token that they came in.
    sizeCalculation: (_value, token) => token.length * 3 + 400,
  });

  async function verified(token: string): Promise<Bearer> {
    const { subject, claims } = await verifier.open(token).catch((error: unknown) => {
      believed.delete(token);
      throw error;
    });
    const bearer = { subject, claims, grants: grantsOf(claims) };
    const { exp } = claims;
    const until = Math.min(clock() + BELIEVED_MS, typeof exp === 'number' ? exp * 1_000 : 0);
    if (until > clock()) believed.set(token, { bearer, until });
    return bearer;
  }

  /** Asked for every request, also of a token that is believed. */
  function unlessEnded(bearer: Bearer): Bearer | Promise<Bearer> {
    if (!ended) return bearer;
    if (!ended.known) return ended.require(bearer.subject, bearer.claims).then(() => bearer);
    ended.requireNow(bearer.subject, bearer.claims);
    return bearer;
  }

  return {
    keys: verifier.remote,
    bearer(request) {
      const token = bearerOf(request);
      if (token === null) return null;
      const known = believed.get(token);
      if (known === undefined) return verified(token).then(unlessEnded);
      const now = clock();
      // A clock that was set back must not keep one alive.
      if (now < known.until && now >= known.until - BELIEVED_MS) return unlessEnded(known.bearer);
      // Known still, and not believed whatever the clock says next.
      believed.set(token, { bearer: known.bearer, until: 0 });
      return verified(token).then(unlessEnded);
    },
    knows(request) {
      const token = tokenOf(request.headers.authorization);
      return token !== undefined && believed.has(token);
    },
    requireStill({ subject, claims }) {
      ended?.requireNow(subject, claims);
    },
    assertion: (...what) => signer.sign(...what),
  };
}

function bearerOf(request: IncomingMessage): string | null {
  const header = request.headers.authorization;
  if (header === undefined) return null;
  // Node keeps the first of two; which one did the proxy in front of us check?
  const copies = request.rawHeaders.filter((name, index) => index % 2 === 0 && name.toLowerCase() === 'authorization');
  const token = tokenOf(header);
  if (copies.length !== 1 || token === undefined) {
    throw new Failure('UNAUTHENTICATED', 'Authorization has to be one header: Bearer and a token.');
  }
  return token;
}

function tokenOf(header: string | undefined): string | undefined {
  return header === undefined ? undefined : /^bearer +([\w.~+/=-]+)$/i.exec(header)?.[1];
}
