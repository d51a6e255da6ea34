import {
  createRemoteJWKSet,
  customFetch,
  errors,
  type FetchImplementation,
  type FlattenedJWSInput,
  type JWSHeaderParameters,
} from 'jose';
import { Failure } from '#libs/failure';
import { UnfitAnswer, whyNotFetched } from './why-not-fetched.js';

const FETCH_MS = 2_000;
/** A token that names an unknown key makes us look again, at most this often; sooner after a look that failed. */
const LOOK_AGAIN_MS = 30_000;
const FAILED_AGAIN_MS = 2_000;
/** Keys as old as this are renewed behind the requests' backs, so where tokens come all the time no request waits for it. */
const RENEW_MS = 300_000;
/** Keys older than this are not believed before they are renewed: what the issuer withdrew ends here, also where no token came meanwhile. */
const REFRESH_MS = 600_000;
/** How long known keys are believed while their issuer cannot be reached. */
const BELIEVED_MS = 3_600_000;
/** So long after the issuer could not be reached no request waits for it; it is asked on behind their backs. */
const AWAY_MS = 5_000;

/**
 * The keys that an issuer publishes (JWKS). Fetched by `first` or when the first token comes, renewed while they are in use; a short absence of the
 * issuer logs nobody out, and lets no request wait but the first that finds out.
 */
export class RemoteKeys {
  readonly #keys;
  #fetchedAt = 0;
  #askedAt = 0;
  /** Since then the issuer has not answered; undefined: its last answer was one. */
  #failedAt: number | undefined;
  #renewal: Promise<void> | undefined;

  constructor(
    url: URL,
    private readonly clock: () => number,
    /** As `fetch` of the platform; absent: that. */
    fetch?: FetchImplementation,
  ) {
    // When to fetch is decided here, by our clock: by itself jose does so for the first token only.
    this.#keys = createRemoteJWKSet(url, {
      timeoutDuration: FETCH_MS,
      cooldownDuration: Infinity,
      cacheMaxAge: Infinity,
      [customFetch]: tellingStatus(fetch ?? globalThis.fetch),
    });
  }

  /** Have they ever come? */
  get known(): boolean {
    return this.#keys.jwks() !== undefined;
  }

  /** Fetches them before a token needs them. */
  async first(): Promise<void> {
    if (!this.known) await this.#renew();
  }

  readonly find = async (header?: JWSHeaderParameters, token?: FlattenedJWSInput) => {
    await this.#keepYoung();
    try {
      return await this.#keys(header, token);
    } catch (cause) {
      if (!isMismatch(cause)) throw unavailable(cause);
      if (this.#renewal === undefined && this.clock() - this.#askedAt <= this.#pauseMs)
        throw this.#failedAt === undefined ? cause : unavailable(cause);
    }
    await this.#renew();
    // The keys are there, and this is none of them: the token's fault.
    return this.#keys(header, token);
  };

  async #keepYoung(): Promise<void> {
    const now = this.clock();
    const age = this.#keys.jwks() === undefined ? Infinity : now - this.#fetchedAt;
    if (age > BELIEVED_MS) return this.#renew();
    const isAway = this.#failedAt !== undefined && now - this.#failedAt <= AWAY_MS;
    if (age > REFRESH_MS && !isAway) return this.#renew().catch(() => {});
    if (age > RENEW_MS && now - this.#askedAt > this.#pauseMs) this.#renew().catch(() => {});
  }

  get #pauseMs(): number {
    return this.#failedAt === undefined ? LOOK_AGAIN_MS : FAILED_AGAIN_MS;
  }

  /** One at a time: who needs it meanwhile waits for the same. */
  #renew(): Promise<void> {
    this.#renewal ??= this.#fetch().finally(() => (this.#renewal = undefined));
    return this.#renewal;
  }

  async #fetch(): Promise<void> {
    const askedAt = (this.#askedAt = this.clock());
    try {
      await this.#keys.reload();
    } catch (cause) {
      this.#failedAt = this.clock();
      throw unavailable(cause);
    }
    this.#failedAt = undefined;
    this.#fetchedAt = askedAt;
  }
}

function isMismatch(cause: unknown): boolean {
  return cause instanceof errors.JWKSNoMatchingKey || cause instanceof errors.JWKSMultipleMatchingKeys;
}

/** jose says of any other status only that it is not 200. */
function tellingStatus(fetch: FetchImplementation): FetchImplementation {
  return async (url, init) => {
    const response = await fetch(url, init);
    if (response.status === 200) return response;
    await response.body?.cancel();
    throw new UnfitAnswer(`status ${response.status}`);
  };
}

function unavailable(cause: unknown): Failure {
  const why = `The keys of the token issuer could not be fetched: ${whyNotFetched(cause)}.`;
  return new Failure('SUBGRAPH_UNAVAILABLE', why, { cause });
}
