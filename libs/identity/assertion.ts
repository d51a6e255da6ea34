import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { digestOf, type Call } from './call.js';
import { RefusedCall, type Refusal } from './refused-call.js';
import { TakenCalls } from './taken-calls.js';

/** The header in which the gateway tells a subgraph who asks. */
export const ASSERTION_HEADER = 'tributary-assertion';

/** How long a subgraph believes an assertion. */
const BELIEVED_S = 30;
/** How far the clocks of two machines may be apart. */
const CLOCK_SKEW_S = 5;
/** A clock that differs this much from one that nobody sets has been set. */
const SET_S = 2;
const ISSUER = 'tributary-gateway';
// Our own words only, so the header is compared as text: there is no algorithm to confuse and no key to point at.
const HEADER = Buffer.from('{"alg":"HS256","typ":"assertion+jwt"}').toString('base64url');
/** Longer than anything we sign: about 400 characters, and with the longest subject (255, each escaped) 1,100. */
const LENGTH_MAX = 1_500;

interface Claims {
  iss: string;
  aud: string;
  iat: number;
  exp: number;
  /** `iat` by a clock that nobody has set since the gateway began, where that says another time. */
  also?: number;
  sub?: string;
  /** Which call it is for, and what that call is. Gateways of before say neither: what they sign is for every call of its time. */
  jti?: string;
  call?: string;
  /** Of a mutation: the name that all its calls have in common. Absent: its gateway is of before, or it is none. */
  write?: string;
}

/** What a subgraph believes of a call: who asks (a global id; null for nobody), and by which name it was taken. */
export interface Asserted {
  readonly subject: string | null;
  /** Absent: it is for every call of that time. */
  readonly call?: {
    readonly id: string;
    readonly digest: string;
    /** What has one effect at most, by this call or another. */
    readonly write: string;
  };
}

/**
 * The gateway's side: a short-lived HS256 JWT that says to one subgraph "I am the gateway, this is who asks, and this is what". Each
 * attempt of a call is signed anew, since a subgraph takes an assertion once. `write` is what those of one mutation have in common: one that
 * had no effect, and could be sent once more by somebody else, has none after another had its.
 *
 * When the clock of one of the two machines is set by minutes while they run, the service would refuse the gateway until it is set right,
 * or for ever, if it was wrong before. So each also knows what time it would be had nobody set its clock since it began (`steady`), and
 * is believed by either.
 */
export class AssertionSigner {
  readonly #secrets: (subgraph: string) => string;
  readonly #clock: () => number;
  /** Names of calls have to differ, and nobody is to guess them: it is the signature that cannot be made by others. So they are counted. */
  readonly #prefix = randomBytes(9).toString('base64url');
  #calls = 0;
  readonly #steady: () => number;

  constructor(parts: { secrets: (subgraph: string) => string; clock?: () => number; steady?: () => number }) {
    this.#secrets = parts.secrets;
    this.#clock = parts.clock ?? Date.now;
    this.#steady = parts.steady ?? this.#clock;
  }

  sign(subgraph: string, subject: string | null, call: Call, write?: string): string {
    this.#calls += 1;
    const iat = Math.floor(this.#clock() / 1_000);
    const also = Math.floor(this.#steady() / 1_000);
    const claims: Claims = {
      iss: ISSUER,
      aud: subgraph,
      iat,
      exp: iat + BELIEVED_S,
      ...(Math.abs(also - iat) > SET_S ? { also } : {}),
      ...(subject === null ? {} : { sub: subject }),
      jti: this.#prefix + this.#calls.toString(36),
      call: digestOf(call),
      ...(write === undefined ? {} : { write }),
    };
    const signed = `${HEADER}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}`;
    return `${signed}.${hmac(this.#secrets(subgraph), signed)}`;
  }
}

/** The subgraph's side. Whatever is not exactly what our gateway signs for this subgraph and this call now is UNAUTHENTICATED. */
export class AssertionVerifier {
  readonly #subgraph: string;
  readonly #secret: string;
  readonly #clock: () => number;
  readonly #steady: () => number;
  readonly #takesTimed: boolean;
  readonly #taken: TakenCalls;
  /** Told of each call that is refused; by the door, which knows of all of them. */
  readonly refused: (why: Refusal) => void;

  /** `timed`: also takes what is for every call of its time, as gateways of before sign it. `callsMax`: of `TakenCalls`. */
  constructor(parts: {
    subgraph: string;
    secret: string;
    clock?: () => number;
    steady?: () => number;
    timed?: boolean;
    callsMax?: number | undefined;
    refused?: ((why: Refusal) => void) | undefined;
  }) {
    this.refused = parts.refused ?? (() => {});
    this.#subgraph = parts.subgraph;
    this.#secret = parts.secret;
    this.#clock = parts.clock ?? Date.now;
    this.#steady = parts.steady ?? this.#clock;
    this.#takesTimed = parts.timed ?? false;
    // One of a clock that is ahead is believed so much longer after it was taken.
    const believedMs = (BELIEVED_S + 2 * CLOCK_SKEW_S) * 1_000;
    const { callsMax } = parts;
    this.#taken = new TakenCalls({ believedMs, skewMs: CLOCK_SKEW_S * 1_000, callsMax, now: this.#steady() });
  }

  /** Takes it: the same text is refused from then on. What was asked has to be held against it (`requireCall`). */
  take(assertion: string | undefined): Asserted {
    if (assertion === undefined || assertion.length > LENGTH_MAX) throw new RefusedCall('unsigned');
    const claims = this.#claimsOf(assertion);
    const { sub: subject = null, jti: id, call: digest, write = id } = claims;
    if (id === undefined || digest === undefined || write === undefined) {
      if (!this.#takesTimed) throw new RefusedCall('untied');
      return { subject };
    }
    const missed = this.#taken.take(id, claims.signedS, this.#steady());
    if (missed !== undefined) throw new RefusedCall(missed);
    return { subject, call: { id, digest, write } };
  }

  /** A digest that only who has the secret can make, or try. */
  seal(text: string): string {
    return hmac(this.#secret, JSON.stringify(['sealed', text]));
  }

  /** `signedS`: when it was signed, by our clock that nobody sets, s. */
  #claimsOf(assertion: string): Claims & { readonly signedS: number } {
    const end = assertion.lastIndexOf('.');
    const signed = assertion.slice(0, end);
    if (!signed.startsWith(`${HEADER}.`)) throw new RefusedCall('unsigned');
    // Compared as text: base64url has several spellings of the same bytes.
    const expected = Buffer.from(hmac(this.#secret, signed));
    const came = Buffer.from(assertion.slice(end + 1));
    if (came.length !== expected.length || !timingSafeEqual(came, expected)) throw new RefusedCall('signature');
    // From here on the gateway wrote it; what is still open is for whom and when.
    const claims = JSON.parse(Buffer.from(signed.slice(HEADER.length + 1), 'base64url').toString()) as Claims;
    const { iat, exp, also = iat } = claims;
    if (claims.iss !== ISSUER || claims.aud !== this.#subgraph || exp - iat > BELIEVED_S)
      throw new RefusedCall('audience');
    const [clock, steady] = [this.#clock() / 1_000, this.#steady() / 1_000];
    for (const now of [clock, steady])
      for (const from of [iat, also])
        if (now < from + exp - iat + CLOCK_SKEW_S && now > from - CLOCK_SKEW_S)
          return { ...claims, signedS: from + Math.round(steady - now) };
    throw new RefusedCall(clock > iat ? 'expired' : 'early');
  }
}

/** Throws unless this is the call that was signed. The digest is no secret, so how long comparing takes tells nothing. */
export function requireCall({ call }: Asserted, came: Call): void {
  if (call !== undefined && call.digest !== digestOf(came)) throw new RefusedCall('altered');
}

function hmac(secret: string, text: string): string {
  return createHmac('sha256', secret).update(text).digest('base64url');
}
