import type { Requirement } from './requirements.js';

/** What is known of whoever asks, as far as `@authenticated`, `@requiresScopes` and `@policy` want to know it. */
export interface Grants {
  /** Somebody, by a token that was found good. */
  readonly authenticated: boolean;
  readonly scopes: ReadonlySet<string>;
  /** Which of these policies hold for this request. Asked at most once for a request, and only when its operation names some. */
  policies(asked: readonly string[]): ReadonlySet<string> | Promise<ReadonlySet<string>>;
}

const nothing: ReadonlySet<string> = new Set();

/** Who did not say who it is: also everybody with IDENTITY=off. */
export const nobody: Grants = { authenticated: false, scopes: nothing, policies: () => nothing };

/** Grants as they were, in so far as an operation asked. */
export interface Seen {
  readonly authenticated: boolean;
  readonly scopes: readonly string[];
  readonly policies: readonly string[];
}

export function grantsSeen({ authenticated, scopes, policies }: Seen): Grants {
  const held = new Set(policies);
  return { authenticated, scopes: new Set(scopes), policies: () => held };
}

/** Scopes by `scope` (RFC 8693, RFC 9068: separated by blanks), `scopes` or `scp`, as text or as a list; policies by `policies`. */
export function grantsOf(claims: Readonly<Record<string, unknown>>): Grants {
  const scopes = new Set(['scope', 'scopes', 'scp'].flatMap((name) => wordsOf(claims[name])));
  const policies = new Set(textsOf(claims['policies']));
  return { authenticated: true, scopes, policies: () => policies };
}

/** True where what is asked is there. */
export function isMet(
  requirement: Requirement,
  { authenticated, scopes }: Pick<Grants, 'authenticated' | 'scopes'>,
  policies: ReadonlySet<string>,
): boolean {
  if (requirement.kind === 'authenticated') return authenticated;
  const has = requirement.kind === 'scopes' ? scopes : policies;
  const { anyOf } = requirement;
  return anyOf.length === 0 || anyOf.some((all) => all.every((one) => has.has(one)));
}

function wordsOf(claim: unknown): string[] {
  if (typeof claim === 'string') return claim.split(' ').filter((word) => word !== '');
  return textsOf(claim);
}

/** A policy's name is any text, so one text is one policy. */
function textsOf(claim: unknown): string[] {
  if (typeof claim === 'string') return [claim];
  return Array.isArray(claim) ? claim.filter((one) => typeof one === 'string') : [];
}
