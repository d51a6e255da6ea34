import { createHmac, timingSafeEqual } from 'node:crypto';
import { Failure } from '#libs/failure';
import { mergeWrites, parseWrites, writesText, WRITES_TEXT_MAX, type Write } from './writes.js';

/** How far the clocks of two gateways may be apart. */
const CLOCK_SKEW_S = 60;
const MAC_BYTES = 16;
/** So many a client may send at once, in one header or several. */
const TOKENS_MAX = 16;

/**
 * Makes and reads the token that a client carries from its writes to its reads: `1.<made at>.<writes>.<MAC>`, in characters
 * that a header and a cookie take. The MAC
 * (HMAC-SHA-256, 128 bits) is over text and subject, so it is good for one person only. What somebody wrote before they
 * were anybody (a sign-up) is bound to nobody, and good for whoever they are then: it says nothing but what to wait for.
 */
export class ConsistencyTokens {
  readonly lifetimeS: number;
  readonly #secret: string;
  readonly #clock: () => number;

  constructor(parts: { secret: string; lifetimeS: number; clock?: () => number }) {
    this.#secret = parts.secret;
    this.lifetimeS = parts.lifetimeS;
    this.#clock = parts.clock ?? Date.now;
  }

  make(subject: string | null, writes: readonly Write[]): string {
    const signed = `1.${this.now().toString(36)}.${writesText(writes)}`;
    return `${signed}.${this.#mac(signed, subject)}`;
  }

  /** What the bearer has to be shown; writes that are older than a token lives are left out. Throws CONSISTENCY_TOKEN_REFUSED. */
  read(token: string, subject: string | null): Write[] {
    const [, signed, madeAt, text, mac] = token.length > TOKEN_LENGTH_MAX ? [] : (TOKEN.exec(token) ?? []);
    if (signed === undefined || madeAt === undefined || text === undefined || mac === undefined)
      throw refused('it is not one of ours');
    if (!this.#isMac(mac, signed, subject) && !(subject !== null && this.#isMac(mac, signed, null)))
      throw refused('it is not yours, or not one of ours');
    const now = this.now();
    if (Number.parseInt(madeAt, 36) > now + CLOCK_SKEW_S) throw refused('it comes from the future');
    // From here on a gateway of ours wrote it.
    const writes = parseWrites(text) ?? [];
    return writes.filter(({ at }) => at > now - this.lifetimeS);
  }

  /** Of a client that keeps several: `token, token`. Each has to be this bearer's. Throws CONSISTENCY_TOKEN_REFUSED. */
  readAll(tokens: string, subject: string | null): Write[] {
    if (!tokens.includes(',')) return this.read(tokens, subject);
    const list = tokens.split(',', TOKENS_MAX + 1);
    if (list.length > TOKENS_MAX) throw refused(`there are more than ${TOKENS_MAX}`);
    return mergeWrites(...list.map((token) => this.read(token.trim(), subject)));
  }

  /** Seconds since 1970. */
  now(): number {
    return Math.floor(this.#clock() / 1_000);
  }

  #mac(signed: string, subject: string | null): string {
    const bound = JSON.stringify(['consistency', signed, subject]);
    return createHmac('sha256', this.#secret).update(bound).digest().subarray(0, MAC_BYTES).toString('base64url');
  }

  #isMac(mac: string, signed: string, subject: string | null): boolean {
    // Compared as text: base64url has several spellings of the same bytes.
    const expected = Buffer.from(this.#mac(signed, subject));
    const came = Buffer.from(mac);
    return came.length === expected.length && timingSafeEqual(came, expected);
  }
}

function refused(why: string): Failure {
  return new Failure(
    'CONSISTENCY_TOKEN_REFUSED',
    `The consistency token cannot be used: ${why}. Send the one of your last mutation, or none.`,
  );
}

const TOKEN_LENGTH_MAX = WRITES_TEXT_MAX + 300;
const TOKEN = /^(1\.([0-9a-z]{1,8})\.([\w!:~.|-]*))\.([\w-]{22})$/;
