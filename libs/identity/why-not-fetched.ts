/**
 * Why something could not be fetched, in words that say nothing of where it is, what was sent or what came: `status 404`, `ECONNREFUSED`, `an answer
 * that is no JSON`. Anybody may read them at /health/ready, so nothing that an error has from elsewhere is among them.
 */
export function whyNotFetched(error: unknown): string {
  let why = 'it failed';
  // The last cause is the nearest to what happened; those before it say where in our code it was met.
  let at = error as Thrown | null | undefined;
  for (let depth = 0; typeof at === 'object' && at !== null && depth < DEPTH_MAX; depth += 1) {
    why = wordsOf(at) ?? why;
    at = at.cause as Thrown | null | undefined;
  }
  return why;
}

/** What whoever fetches throws of an answer that is not to be used. Its words are ours. */
export class UnfitAnswer extends Error {
  override readonly name = 'UnfitAnswer';
}

/** A time limit's is a DOMException. */
interface Thrown {
  readonly name?: unknown;
  readonly code?: unknown;
  readonly cause?: unknown;
}

const DEPTH_MAX = 8;

function wordsOf(error: Thrown): string | undefined {
  if (error instanceof UnfitAnswer) return error.message;
  const { name, code } = error;
  if (name === 'TimeoutError' || name === 'AbortError') return LATE;
  if (name === 'SyntaxError') return 'an answer that is no JSON';
  if (typeof code !== 'string') return undefined;
  if (Object.hasOwn(JOSE, code)) return JOSE[code];
  // Of the system, TLS and undici. Those of ours and of jose say no more than that it failed.
  return /^(E[A-Z_]{2,}|UND_ERR_\w+|[A-Z][A-Z0-9_]*CERT\w*|UNABLE_TO_\w+|SELF_SIGNED\w*|HOSTNAME_MISMATCH)$/.test(code)
    ? code
    : undefined;
}

const LATE = 'no answer in time';

const JOSE: Readonly<Record<string, string | undefined>> = {
  ERR_JWKS_TIMEOUT: LATE,
  ERR_JWKS_INVALID: 'an answer that is no set of keys',
  ERR_JOSE_GENERIC: undefined,
};
