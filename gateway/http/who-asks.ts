import type { IncomingMessage } from 'node:http';
import { CLIENT_GONE } from './ending.js';
import type { GraphqlOverHttpParts } from './graphql-over-http-parts.js';
import type { Bearer, Identity } from './identity.js';
import { refusalOf } from './refusal.js';

/** Who asks, by the headers alone: before the body of somebody who has nothing left would be read. */
export function whoAsks(
  request: IncomingMessage,
  { identity, rates, timeoutMs }: GraphqlOverHttpParts,
): Asking | Promise<Asking> {
  const counted =
    request.headers.authorization === undefined
      ? undefined
      : rates?.lookAtToken(request, () => identity.knows?.(request) === true, timeoutMs);
  return counted === undefined ? asking(request, identity) : countedAsking(request, identity, counted);
}

export interface Asking {
  /** Null: nobody, as far as we know. */
  readonly bearer: Bearer | null;
  /** Why the token is none. Told when nothing else is wrong with the request. */
  readonly wrong?: unknown;
}

async function countedAsking(
  request: IncomingMessage,
  identity: Identity,
  counted: Promise<(isForged: boolean) => void>,
): Promise<Asking> {
  const looked = await counted;
  // Meanwhile: nobody is there whose token it would be.
  const found: Asking = request.destroyed ? { bearer: null, wrong: CLIENT_GONE } : await asking(request, identity);
  // Where its issuer cannot be asked it may be good.
  looked(found.wrong !== undefined && refusalOf(found.wrong).status < 500);
  return found;
}

function asking(request: IncomingMessage, identity: Identity): Asking | Promise<Asking> {
  const isNone = (wrong: unknown): Asking => ({ bearer: null, wrong });
  try {
    const bearer = identity.bearer(request);
    return bearer instanceof Promise ? bearer.then((good) => ({ bearer: good }), isNone) : { bearer };
  } catch (error) {
    return isNone(error);
  }
}
