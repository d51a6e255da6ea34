/**
 * What a browser keeps of one host's `Set-Cookie`, and sends (RFC 6265, 5.3 and 5.4): by name, the oldest first, one that is set again at its
 * place of before, until its Max-Age is over. Every attribute besides is as if it fitted.
 */
export class CookieJar {
  readonly #cookies = new Map<string, { value: string; until: number }>();
  readonly #clock: () => number;

  /** `clock`: milliseconds. */
  constructor(clock: () => number = Date.now) {
    this.#clock = clock;
  }

  set(setCookie: string): void {
    const [pair = '', ...attributes] = setCookie.split(';').map((part) => part.trim());
    const equals = pair.indexOf('=');
    const name = pair.slice(0, equals);
    const maxAge = attributes.find((one) => /^max-age=/i.test(one))?.slice('max-age='.length);
    const until = maxAge === undefined ? Number.POSITIVE_INFINITY : this.#clock() + Number(maxAge) * 1_000;
    if (until <= this.#clock()) this.#cookies.delete(name);
    else this.#cookies.set(name, { value: pair.slice(equals + 1), until });
  }

  names(): string[] {
    const now = this.#clock();
    return [...this.#cookies].filter(([, { until }]) => until > now).map(([name]) => name);
  }

  /** Undefined where there is nothing to send. */
  header(isSent: (name: string) => boolean = () => true): string | undefined {
    const pairs = this.names()
      .filter((name) => isSent(name))
      .map((name) => `${name}=${this.#cookies.get(name)?.value ?? ''}`);
    return pairs.length === 0 ? undefined : pairs.join('; ');
  }
}
