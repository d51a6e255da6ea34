import type { ServerResponse } from 'node:http';

/** What one answer set last: all that its request had presented, and what it wrote. */
export const COOKIE = 'consistency-token';
/** `consistency-token.Zm9vYm`: what one mutation wrote. */
const OWN = /^consistency-token\.[\w-]{6}$/;

/** So many of a request are read, the newest, and no more are left with a browser by an answer that knows of them, */
const OWN_MAX = 32;
/** nor more bytes of them, names and all. A request has 16 KB for all of its headers, and is refused beyond. */
const OWN_BYTES = 4 * 1024;
/**
 * So much of it one gateway tells a client while one of its mutations is under way, whose answer cannot know of it and take it away: a share
 * for each of its processes, which do not know of one another.
 */
const MEANWHILE_BYTES = 2 * 1024;
/** An answer takes away no more than these. */
const DROPS_MAX = 64;

export interface OwnCookie {
  readonly name: string;
  readonly token: string;
}

/** What `Cookie:` says: the one that all answers set, and those of single mutations, oldest first (RFC 6265, 5.4). */
export function cookiesOf(header: string | undefined): { common: string | undefined; own: readonly OwnCookie[] } {
  let common: string | undefined;
  if (header === undefined || !header.includes(COOKIE)) return { common, own: NONE };
  const own: OwnCookie[] = [];
  for (const part of header.split(';')) {
    const equals = part.indexOf('=');
    if (equals <= 0) continue;
    const name = part.slice(0, equals).trim();
    const token = part.slice(equals + 1).trim();
    if (name === COOKIE) common ??= token;
    else if (OWN.test(name)) own.push({ name, token });
  }
  return { common, own };
}

const NONE: readonly OwnCookie[] = [];

/** Which of a request's are looked at. */
export function newest(own: readonly OwnCookie[]): readonly OwnCookie[] {
  return own.length > OWN_MAX ? own.slice(-OWN_MAX) : own;
}

/**
 * Names that an answer takes away, of all that its request presented; the common cookie holds what they name. `isNeeded`: it says something
 * to this client, and a mutation that has not seen it may still be answered and set the common cookie without it. `bytes`: what is added.
 */
export function dropped(
  own: readonly OwnCookie[],
  isNeeded: (cookie: OwnCookie) => boolean,
  bytes: number,
): readonly string[] {
  const drops: string[] = [];
  let many = 1;
  let all = bytes;
  for (const cookie of own.toReversed()) {
    const size = bytesOf(cookie);
    if (many < OWN_MAX && all + size <= OWN_BYTES && isNeeded(cookie)) {
      many += 1;
      all += size;
    } else drops.push(cookie.name);
  }
  return drops.slice(-DROPS_MAX);
}

/** In a request, with what separates it from the next. */
export function bytesOf({ name, token }: OwnCookie): number {
  return name.length + token.length + 3;
}

/**
 * Mutations that are under way here, by client. However many of them one page sends at once, its next request is not refused for the
 * cookies that it was told: it would be until they end. Beyond the bound an answer sets the common cookie alone.
 */
export class UnderWay {
  readonly #clients = new Map<string, { mutations: number; told: number }>();
  readonly #bytesMax: number;

  /** `processes`: of this gateway. */
  constructor(processes: number) {
    this.#bytesMax = MEANWHILE_BYTES / processes;
  }

  /** One more, until `response` is done with. What is answered says whether this one may add so many bytes. */
  begin(client: string, response: Pick<ServerResponse, 'destroyed' | 'once'>): (bytes: number) => boolean {
    if (response.destroyed) return () => false;
    const of = this.#clients.get(client) ?? { mutations: 0, told: 0 };
    this.#clients.set(client, of);
    of.mutations += 1;
    response.once('close', () => {
      of.mutations -= 1;
      if (of.mutations === 0) this.#clients.delete(client);
    });
    const before = of.told;
    return (bytes) => {
      const meanwhile = of.told - before;
      // One it may always tell: of two mutations at once that are answered here nothing is lost.
      if (meanwhile > 0 && meanwhile + bytes > this.#bytesMax) return false;
      of.told += bytes;
      return true;
    };
  }

  get clients(): number {
    return this.#clients.size;
  }
}
