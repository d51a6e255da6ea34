import type { IncomingMessage } from 'node:http';
import { Failure } from '#libs/failure';

/** Who asks: from a client's token to a subgraph's assertion. */
export interface Identity {
  /** The global id of the bearer, null when there is no token; a bad token is UNAUTHENTICATED and nothing runs. */
  subject(request: IncomingMessage): Promise<string | null> | string | null;
  /** What `subgraph` is told, or undefined when nobody is told anything. */
  assertion(subgraph: string, subject: string | null): string | undefined;
}

/** IDENTITY=off: tokens are not looked at, and no assertion is sent. */
export const noIdentity: Identity = { subject: () => null, assertion: () => undefined };

/** IDENTITY=jwt. */
export function tokenIdentity(parts: {
  verifier: { verify(token: string): Promise<{ subject: string }> };
  signer: { sign(subgraph: string, subject: string | null): string };
}): Identity {
  return {
    subject(request) {
      const token = bearerOf(request);
      return token === null ? null : parts.verifier.verify(token).then(({ subject }) => subject);
    },
    assertion: (subgraph, subject) => parts.signer.sign(subgraph, subject),
  };
}

function bearerOf(request: IncomingMessage): string | null {
  const header = request.headers.authorization;
  if (header === undefined) return null;
  // Node keeps the first of two; which one did the proxy in front of us check?
  const copies = request.rawHeaders.filter(
    (name, index) => index % 2 === 0 && name.toLowerCase() === 'authorization',
  ).length;
  const token = /^bearer +([\w.~+/=-]+)$/i.exec(header)?.[1];
  if (copies !== 1 || token === undefined)
    throw new Failure('UNAUTHENTICATED', 'Authorization has to be one header: Bearer and a token.');
  return token;
}
