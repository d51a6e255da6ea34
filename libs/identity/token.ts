import {
  createLocalJWKSet,
  errors,
  jwtVerify,
  SignJWT,
  type FetchImplementation,
  type JSONWebKeySet,
  type JWTHeaderParameters,
  type JWTPayload,
  type JWTVerifyGetKey,
} from 'jose';
import { Failure } from '#libs/failure';
import { globalId } from './global-id.js';
import { newId } from './ids.js';
import { RemoteKeys } from './remote-keys.js';
import type { SigningKey } from './signing-key.js';

/** RFC 9068's type: an access token, so that no other JWT signed by the same key is taken for one. */
const TYPE = 'at+jwt';
const ALGORITHM = 'EdDSA';
/** What an issuer may sign by. All of it with a private key: by a shared secret, whoever checks a token could make one. */
export const TOKEN_ALGORITHMS = [
  ALGORITHM,
  'Ed25519',
  'ES256',
  'ES384',
  'ES512',
  'PS256',
  'PS384',
  'PS512',
  'RS256',
  'RS384',
  'RS512',
] as const;
export type TokenAlgorithm = (typeof TOKEN_ALGORITHMS)[number];
/** As OpenID Connect has it (Core §2): at most 255 characters of ASCII; and none that ends a word or a line of ours. */
const SUBJECT = /^[!-~]{1,255}$/;
/**
 * Of clocks that are not ours (RFC 7519 §4.1.4: "no more than a few minutes"). Between gateways and services it is five seconds; an issuer's clock
 * nobody here sets, and with one of a few seconds who has just logged in would be from the future, at every gateway that is slow by more.
 */
const CLOCK_TOLERANCE_S = 60;
/** Ours have about 450 characters. */
const LENGTH_MAX = 4_096;

/** A token is good for at most so long, s. Whoever lowers TOKEN_LIFETIME_S makes those of before no shorter. */
export const TOKEN_LIFETIME_S_MAX = 30 * 86_400;

/**
 * When the token of a log-in runs out, s since 1970, by its name: whoever is told to end it is told no more (`jti`). Undefined: the name
 * does not say; it was made before names did, or by somebody else.
 */
export function expiryOf(session: string): number | undefined {
  const [, expires] = /_([0-9a-z]{6,7})$/.exec(session) ?? [];
  return expires === undefined ? undefined : Number.parseInt(expires, 36);
}

/** Makes the token that a log-in answers. */
export class TokenIssuer {
  readonly #key: SigningKey;
  readonly #beside: readonly SigningKey[];
  readonly #issuer: string;
  readonly #audience: string;
  readonly #lifetimeS: number;
  readonly #clock: () => number;

  /** `beside`: keys that signed until lately, or will soon, and are published as well: so long are their tokens good. */
  constructor(parts: {
    key: SigningKey;
    beside?: readonly SigningKey[];
    issuer: string;
    audience: string;
    lifetimeS: number;
    clock?: () => number;
  }) {
    this.#key = parts.key;
    this.#beside = parts.beside ?? [];
    this.#issuer = parts.issuer;
    this.#audience = parts.audience;
    this.#lifetimeS = parts.lifetimeS;
    this.#clock = parts.clock ?? Date.now;
  }

  /** `generation`: of the person's log-ins, when the password was looked at; when it is raised, this token ends. */
  issue(userUuid: string, generation = 0): Promise<string> {
    const now = Math.floor(this.#clock() / 1_000);
    const expires = now + this.#lifetimeS;
    return new SignJWT(generation === 0 ? {} : { gen: generation })
      .setProtectedHeader({ alg: ALGORITHM, typ: TYPE, kid: this.#key.publicJwk.kid })
      .setIssuer(this.#issuer)
      .setAudience(this.#audience)
      .setSubject(globalId('user', userUuid))
      .setIssuedAt(now)
      .setExpirationTime(expires)
      .setJti(`${newId()}_${expires.toString(36)}`)
      .sign(this.#key.privateKey);
  }

  /** What stands at /.well-known/jwks.json. */
  jwks(): JSONWebKeySet {
    const keys = [this.#key, ...this.#beside].map(({ publicJwk }) => publicJwk);
    // Of two by one name it would not be clear which is meant.
    return { keys: [...new Map(keys.map((key) => [key.kid, key])).values()] };
  }
}

export interface TokenVerifierParts {
  /** Where the issuer publishes its keys, or the keys themselves. */
  readonly keys: URL | JSONWebKeySet;
  readonly issuer: string;
  readonly audience: string;
  /** What it may be signed by; absent: what our own issuer signs by. */
  readonly algorithms?: readonly TokenAlgorithm[];
  /** Its `typ`; absent: at+jwt. JWT also takes one that says none. */
  readonly type?: string;
  /** True: one log-in can be ended here, so each has to have a name (`jti`). */
  readonly revocable?: boolean;
  readonly clock?: () => number;
  /** The same, had nobody set it since this process began; a token that is from the future by both is refused. */
  readonly steady?: () => number;
  /** How the issuer is asked; absent: with the platform's `fetch`. */
  readonly fetch?: FetchImplementation | undefined;
  /** Told of a token that was refused for its length, in characters: its issuer puts more into them than fits. */
  readonly tooLong?: ((length: number, most: number) => void) | undefined;
  /** Told of a token that the issuer has signed, and that is for others: by which claim, or `typ`. */
  readonly forOthers?: ((claim: 'iss' | 'aud' | 'typ') => void) | undefined;
}

/**
 * Tells whose token it is. Algorithms, type, issuer and audience are pinned here, the key is one of the issuer's and of the algorithm's
 * kind: nothing in the token chooses how it is checked. Who a subject is, only the services know: to a gateway it is a text. Whatever is wrong with it is UNAUTHENTICATED; keys that cannot be fetched are SUBGRAPH_UNAVAILABLE,
 * because then it is not the client who has to do something.
 */
export class TokenVerifier {
  /** Where keys are fetched, and whether they have come once; undefined: they were given. */
  readonly remote: Pick<RemoteKeys, 'known' | 'first'> | undefined;
  readonly #key: JWTVerifyGetKey;
  readonly #issuer: string;
  readonly #audience: string;
  readonly #algorithms: readonly TokenAlgorithm[];
  readonly #type: string;
  readonly #revocable: boolean;
  readonly #clock: () => number;
  readonly #steady: () => number;
  readonly #tooLong: TokenVerifierParts['tooLong'];
  readonly #forOthers: TokenVerifierParts['forOthers'];

  constructor({ keys, issuer, audience, clock = Date.now, steady = clock, fetch, ...rules }: TokenVerifierParts) {
    this.#tooLong = rules.tooLong;
    this.#forOthers = rules.forOthers;
    const { algorithms = [ALGORITHM], type = TYPE, revocable = true } = rules;
    this.#algorithms = algorithms;
    this.#type = mediaTypeOf(type);
    this.#revocable = revocable;
    const remote = keys instanceof URL ? new RemoteKeys(keys, steady, fetch) : undefined;
    this.remote = remote;
    this.#key = remote?.find ?? createLocalJWKSet(keys as JSONWebKeySet);
    this.#issuer = issuer;
    this.#audience = audience;
    this.#clock = clock;
    this.#steady = steady;
  }

  async verify(token: string): Promise<{ subject: string }> {
    const { subject } = await this.open(token);
    return { subject };
  }

  /** The same, with everything that the issuer says in it. */
  async open(token: string): Promise<{ subject: string; claims: Readonly<Record<string, unknown>> }> {
    try {
      if (token.length > LENGTH_MAX) {
        this.#tooLong?.(token.length, LENGTH_MAX);
        throw new RangeError(`a token of ${token.length} characters`);
      }
      const { payload, protectedHeader } = await jwtVerify(token, this.#key, {
        algorithms: [...this.#algorithms],
        issuer: this.#issuer,
        audience: this.#audience,
        requiredClaims: ['sub', 'iat', 'exp', ...(this.#revocable ? ['jti'] : [])],
        clockTolerance: CLOCK_TOLERANCE_S,
        currentDate: new Date(this.#clock()),
      });
      this.#refuseWhatJoseAllows(token, protectedHeader, payload);
      return { subject: String(payload.sub), claims: payload };
    } catch (cause) {
      if (cause instanceof Failure && cause.code === 'SUBGRAPH_UNAVAILABLE') throw cause;
      // Claims are looked at only where the signature is good.
      if (cause instanceof errors.JWTClaimValidationFailed && (cause.claim === 'iss' || cause.claim === 'aud'))
        this.#forOthers?.(cause.claim);
      throw new Failure('UNAUTHENTICATED', 'The token is not valid (any more); log in again.', { cause });
    }
  }

  #refuseWhatJoseAllows(token: string, { typ }: JWTHeaderParameters, { iat, sub, jti }: JWTPayload): void {
    // RFC 7519 §5.1: what says no type is a JWT.
    const type = typ === undefined && this.#type === JWT ? JWT : mediaTypeOf(typ);
    if (type !== this.#type) {
      this.#forOthers?.('typ');
      throw new TypeError('a token of another type');
    }
    if (typeof sub !== 'string' || !SUBJECT.test(sub)) throw new TypeError('the subject is a text of a line');
    if (this.#revocable && typeof jti !== 'string') throw new TypeError('the name of a log-in is a text');
    // jose looks at iat only with maxTokenAge.
    if (typeof iat !== 'number' || iat > Math.max(this.#clock(), this.#steady()) / 1_000 + CLOCK_TOLERANCE_S)
      throw new RangeError('issued in the future');
    const claims = Buffer.from(token.split('.')[1] ?? '', 'base64url').toString();
    if (namesTwice(claims)) throw new TypeError('a claim is there twice');
  }
}

const JWT = 'jwt';

/** RFC 7515 §4.1.9: `application/` may be left out, and case does not matter. */
function mediaTypeOf(typ: unknown): string {
  return typeof typ === 'string' ? typ.toLowerCase().replace(/^application\//, '') : '';
}

/** JSON.parse takes the last of two equal names, other parsers the first: such a text means two things. */
export function namesTwice(json: string): boolean {
  const open: (Set<string> | undefined)[] = [];
  let text = '';
  for (const [token] of json.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\]:]/g)) {
    if (token === '{') open.push(new Set());
    else if (token === '[') open.push(undefined);
    else if (token === '}' || token === ']') open.pop();
    else if (token !== ':') text = JSON.parse(token) as string;
    else if (open.at(-1)?.has(text)) return true;
    else open.at(-1)?.add(text);
  }
  return false;
}
