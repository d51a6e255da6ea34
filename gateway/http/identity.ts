import type { IncomingMessage } from 'node:http';
import { LRUCache } from 'lru-cache';
import { Failure } from '#libs/failure';
import { systemClock, type Clock } from '#libs/telemetry';

/** Who asks: from a client's token to a subgraph's assertion. */
export interface Identity {
  /** The global id of the bearer, null when there is no token; a bad token is UNAUTHENTICATED and nothing runs. */
  subject(request: IncomingMessage): Promise<string | null> | string | null;
  /** What `subgraph` is told, or undefined when nobody is told anything. */
  assertion(subgraph: string, subject: string | null): string | undefined;
}

/** IDENTITY=off: tokens are not looked at, and no assertion is sent. */
export const noIdentity: Identity = { subject: () => null, assertion: () => undefined };

/**
 * Checking a signature takes 150 µs of CPU, as much as all else that is done for a small query; so a token that was good is
 * believed for a while, and no longer than it says itself.
 */
const BELIEVED_MS = 10_000;
const BELIEVED_BYTES = 8 * 1024 * 1024;

/** IDENTITY=jwt. */
export function tokenIdentity(parts: {
  verifier: { verify(token: string): Promise<{ subject: string }> };
  signer: { sign(subgraph: string, subject: string | null): string };
  clock?: Clock;
}): Identity {
  const { verifier, signer, clock = systemClock } = parts;
  const believed = new LRUCache<string, { readonly subject: string; readonly until: number }>({
    maxSize: BELIEVED_BYTES,
    sizeCalculation: (_value, token) => token.length + 200,
  });

  async function verified(token: string): Promise<string> {
    const { subject } = await verifier.verify(token);
    const until = Math.min(clock() + BELIEVED_MS, expiryOf(token));
    if (until > clock()) believed.set(token, { subject, until });
    return subject;
  }

  return {
    subject(request) {
      const token = bearerOf(request);
      if (token === null) return null;
      const known = believed.get(token);
      if (known === undefined) return verified(token);
      const now = clock();
      // A clock that was set back must not keep one alive.
      if (now < known.until && now >= known.until - BELIEVED_MS) return known.subject;
      believed.delete(token);
      return verified(token);
    },
    assertion: (subgraph, subject) => signer.sign(subgraph, subject),
  };
}

function bearerOf(request: IncomingMessage): string | null {
  const header = request.headers.authorization;
  if (header === undefined) return null;
  // Node keeps the first of two; which one did the proxy in front of us check?
  const copies = request.rawHeaders.filter((name, index) => index % 2 === 0 && name.toLowerCase() === 'authorization');
  const token = /^bearer +([\w.~+/=-]+)$/i.exec(header)?.[1];
  if (copies.length !== 1 || token === undefined) {
    throw new Failure('UNAUTHENTICATED', 'Authorization has to be one header: Bearer and a token.');
  }
  return token;
}

/** Of a token that was found good, in ms. */
function expiryOf(token: string): number {
  const { exp } = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8')) as { exp?: unknown };
  return typeof exp === 'number' ? exp * 1_000 : 0;
}
