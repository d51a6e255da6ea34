import { createRemoteJWKSet, errors, type FlattenedJWSInput, type JWSHeaderParameters } from 'jose';
import { Failure } from '#libs/failure';

const FETCH_MS = 2_000;
/** A token that names an unknown key makes us look again, at most this often. */
const LOOK_AGAIN_MS = 30_000;
const REFRESH_MS = 600_000;
/** How long known keys are believed while their issuer cannot be reached. */
const BELIEVED_MS = 3_600_000;

/**
 * The keys that an issuer publishes (JWKS). Fetched when the first token comes; renewed behind the requests' backs, so no request waits
 * for it and a short absence of the issuer logs nobody out.
 */
export class RemoteKeys {
  readonly #keys;
  #fetchedAt = 0;
  #askedAt = 0;

  constructor(
    url: URL,
    private readonly clock: () => number,
  ) {
    this.#keys = createRemoteJWKSet(url, {
      timeoutDuration: FETCH_MS,
      cooldownDuration: LOOK_AGAIN_MS,
      cacheMaxAge: Infinity,
    });
  }

  readonly find = async (header?: JWSHeaderParameters, token?: FlattenedJWSInput) => {
    const known = this.#keys.jwks() !== undefined;
    const age = this.clock() - this.#fetchedAt;
    if (known && age > BELIEVED_MS) await this.#renew();
    else if (known && age > REFRESH_MS && this.clock() - this.#askedAt > LOOK_AGAIN_MS) this.#renew().catch(() => {});
    try {
      const key = await this.#keys(header, token);
      if (!known) this.#fetchedAt = this.clock();
      return key;
    } catch (cause) {
      // The keys are there, and this is none of them: the token's fault.
      const mismatch = cause instanceof errors.JWKSNoMatchingKey || cause instanceof errors.JWKSMultipleMatchingKeys;
      if (mismatch && !known) this.#fetchedAt = this.clock();
      throw mismatch ? cause : unavailable(cause);
    }
  };

  async #renew(): Promise<void> {
    this.#askedAt = this.clock();
    try {
      await this.#keys.reload();
    } catch (cause) {
      throw unavailable(cause);
    }
    this.#fetchedAt = this.clock();
  }
}

function unavailable(cause: unknown): Failure {
  return new Failure('SUBGRAPH_UNAVAILABLE', 'The keys of the token issuer could not be fetched.', { cause });
}
