import { createHmac, timingSafeEqual } from 'node:crypto';
import { Failure } from '#libs/failure';

/** The header in which the gateway tells a subgraph who asks. */
export const ASSERTION_HEADER = 'tributary-assertion';

/** How long a subgraph believes an assertion, and for how long the gateway hands out the same one. */
const BELIEVED_S = 30;
const REUSED_MS = 20_000;
/** How far the clocks of two machines may be apart. */
const CLOCK_SKEW_S = 5;
/** A clock that differs this much from one that nobody sets has been set. */
const SET_S = 2;
const REMEMBERED_MAX = 10_000;
const ISSUER = 'tributary-gateway';
// Our own words only, so the header is compared as text: there is no algorithm to confuse and no key to point at.
const HEADER = Buffer.from('{"alg":"HS256","typ":"assertion+jwt"}').toString('base64url');
/** Longer than anything we sign (about 250 characters). */
const LENGTH_MAX = 1_000;

interface Claims {
  iss: string;
  aud: string;
  iat: number;
  exp: number;
  /** `iat` by a clock that nobody has set since the gateway began, where that says another time. */
  also?: number;
  sub?: string;
}

/**
 * The gateway's side: a short-lived HS256 JWT that says to one subgraph "I am the gateway, and this is who asks". `subject` is the
 * person's global id; null for nobody. The same text is handed out for up to 20 s, so joining identical reads stays possible.
 *
 * When the clock of one of the two machines is set by minutes while they run, the service would refuse the gateway until it is set right,
 * or for ever, if it was wrong before. So each also knows what time it would be had nobody set its clock since it began (`steady`), and
 * is believed by either.
 */
export class AssertionSigner {
  readonly #secrets: (subgraph: string) => string;
  readonly #clock: () => number;
  readonly #steady: () => number;
  readonly #remembered = new Map<string, { assertion: string; until: number }>();

  constructor(parts: { secrets: (subgraph: string) => string; clock?: () => number; steady?: () => number }) {
    this.#secrets = parts.secrets;
    this.#clock = parts.clock ?? Date.now;
    this.#steady = parts.steady ?? this.#clock;
  }

  sign(subgraph: string, subject: string | null): string {
    const key = JSON.stringify([subgraph, subject]);
    const now = this.#clock();
    const known = this.#remembered.get(key);
    // A clock that was set back must not keep an old one alive.
    if (known && now < known.until && now >= known.until - REUSED_MS) return known.assertion;
    const iat = Math.floor(now / 1_000);
    const also = Math.floor(this.#steady() / 1_000);
    const claims: Claims = {
      iss: ISSUER,
      aud: subgraph,
      iat,
      exp: iat + BELIEVED_S,
      ...(Math.abs(also - iat) > SET_S ? { also } : {}),
      ...(subject === null ? {} : { sub: subject }),
    };
    const signed = `${HEADER}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}`;
    const assertion = `${signed}.${hmac(this.#secrets(subgraph), signed).toString('base64url')}`;
    this.#remembered.delete(key);
    this.#remembered.set(key, { assertion, until: now + REUSED_MS });
    if (this.#remembered.size > REMEMBERED_MAX) this.#forgetOldest();
    return assertion;
  }

  #forgetOldest(): void {
    for (const key of this.#remembered.keys()) {
      this.#remembered.delete(key);
      return;
    }
  }
}

/** The subgraph's side. Whatever is not exactly what our gateway signs for this subgraph now is UNAUTHENTICATED. */
export class AssertionVerifier {
  readonly #subgraph: string;
  readonly #secret: string;
  readonly #clock: () => number;
  readonly #steady: () => number;

  constructor(parts: { subgraph: string; secret: string; clock?: () => number; steady?: () => number }) {
    this.#subgraph = parts.subgraph;
    this.#secret = parts.secret;
    this.#clock = parts.clock ?? Date.now;
    this.#steady = parts.steady ?? this.#clock;
  }

  verify(assertion: string | undefined): { subject: string | null } {
    const claims = assertion === undefined || assertion.length > LENGTH_MAX ? undefined : this.#claimsOf(assertion);
    if (claims === undefined) throw new Failure('UNAUTHENTICATED', 'This service answers the gateway only.');
    return { subject: claims.sub ?? null };
  }

  /** A digest that only who has the secret can make, or try. */
  seal(text: string): string {
    return hmac(this.#secret, JSON.stringify(['sealed', text])).toString('base64url');
  }

  #claimsOf(assertion: string): Claims | undefined {
    const end = assertion.lastIndexOf('.');
    const signed = assertion.slice(0, end);
    if (!signed.startsWith(`${HEADER}.`)) return undefined;
    // Compared as text: base64url has several spellings of the same bytes.
    const expected = Buffer.from(hmac(this.#secret, signed).toString('base64url'));
    const came = Buffer.from(assertion.slice(end + 1));
    if (came.length !== expected.length || !timingSafeEqual(came, expected)) return undefined;
    // From here on the gateway wrote it; what is still open is for whom and when.
    const claims = JSON.parse(Buffer.from(signed.slice(HEADER.length + 1), 'base64url').toString()) as Claims;
    const { iat, exp, also = iat } = claims;
    const meant = claims.iss === ISSUER && claims.aud === this.#subgraph && exp - iat <= BELIEVED_S;
    const isTimely = (from: number, now: number): boolean =>
      now < from + exp - iat + CLOCK_SKEW_S && now > from - CLOCK_SKEW_S;
    const nows = [this.#clock() / 1_000, this.#steady() / 1_000];
    return meant && nows.some((now) => isTimely(iat, now) || isTimely(also, now)) ? claims : undefined;
  }
}

function hmac(secret: string, text: string): Buffer {
  return createHmac('sha256', secret).update(text).digest();
}
