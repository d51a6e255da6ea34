import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import { LRUCache } from 'lru-cache';
import type { Budget } from '#libs/rate-limit';
import { Refusal } from './refusal.js';

/** What was no operation that could run has cost us this much, or what it was to read it. */
const REFUSED = 10;

/**
 * What a request takes of a budget at the least, whatever its operation costs. A unit is 0.1 ms of CPU (reading.ts): the smallest query that
 * asks a service takes the gateway 0.1 ms (bench/results) and a service about 0.6 ms a call (bench/cache), of which larger operations pay
 * a part by their objects.
 */
const REQUEST = 5;

/**
 * So many bytes, read of services or written to the client, are one unit: 10 kB of long texts are 0.08 ms to parse and to write (Node 20),
 * and leaves cost nothing. Thirty aliases of a text of 5,000 bytes in a hundred posts are 15 MB, for an operation of 202.
 */
const BYTES = 10_000;

/** Of so many clients it is remembered that they have nothing left; of others it is found out by what they ask. */
const SPENT_MAX = 10_000;

/**
 * So many tokens that are none are looked at of an address that has nothing left, each 150 µs. More than people there log in with meanwhile:
 * who has no log-in must not keep out those who have, and who has one already is let through whatever others send (Identity.knows).
 */
const FORGED_MAX = 20;

/** So many of one address wait to be looked at while as many are as could all be forged, and so long. Those of a crowd take milliseconds. */
const WAITING_MAX = 1_000;
const WAITING_MS = 5_000;

/** Of an address that has nothing left, until then. */
interface Looks {
  readonly until: number;
  /** What was found to be no token. */
  forged: number;
  underWay: number;
  readonly waiting: Set<() => void>;
}

/** How much each client may ask for. */
export class Rates {
  readonly #person: Budget | undefined;
  readonly #address: Budget | undefined;
  readonly #people: Budget | undefined;
  readonly #proxies: number;
  /** Until when they have nothing left: what is over is over, whatever it costs, until a window ends. */
  readonly #spent = new Map<Budget, LRUCache<string, number>>();
  readonly #looks = new LRUCache<string, Looks>({ max: SPENT_MAX });

  /**
   * Absent: as much as they like. `people`: all who are logged in at one address, together. `proxies`: how many stand before us
   * (TRUSTED_PROXIES).
   */
  constructor(parts: {
    person: Budget | undefined;
    address: Budget | undefined;
    people?: Budget | undefined;
    proxies: number;
  }) {
    this.#person = parts.person;
    this.#address = parts.address;
    this.#people = parts.people;
    this.#proxies = parts.proxies;
  }

  /**
   * Counts an operation of this cost, for the person who is logged in and then for the people at the address, else for the address.
   * Throws RATE_LIMITED when that is more than is left. Ten operations by ten requests cost what they cost in one.
   */
  async take(request: IncomingMessage, subject: string | null, cost: number): Promise<void> {
    if (subject === null) return this.#spend(this.#address, request, undefined, cost);
    await this.#spend(this.#person, request, subject, cost);
    // One by one: who has nothing left takes nothing of what the others there have.
    await this.#spend(this.#people, request, undefined, cost);
  }

  /** Counts an operation of this cost that is about to run, as `take` does, but no request is nearly free. */
  async begin(request: IncomingMessage, subject: string | null, cost: number): Promise<void> {
    await this.take(request, subject, Math.max(REQUEST, cost));
  }

  /** Counts the bytes of an answer that has been made, as far as what its operation has paid does not cover them. */
  async oweBytes(request: IncomingMessage, subject: string | null, cost: number, bytes: number): Promise<void> {
    const more = Math.ceil(bytes / BYTES) - Math.max(REQUEST, cost);
    if (more > 0) await this.owe(request, subject, more);
  }

  /** Counts what has been done for this client already: it has its answer, and is refused from its next request on if that was too much. */
  async owe(request: IncomingMessage, subject: string | null, cost: number): Promise<void> {
    await this.take(request, subject, cost).catch((error: unknown) => {
      if (!(error instanceof Refusal)) throw error;
    });
  }

  async #spend(budget: Budget | undefined, request: IncomingMessage, who: string | undefined, cost: number) {
    if (!budget) return;
    const key = who ?? clientOf(request, this.#proxies);
    const waitMs = await budget.take(key, Math.max(1, cost));
    if (waitMs === 0) return;
    let spent = this.#spent.get(budget);
    if (!spent) this.#spent.set(budget, (spent = new LRUCache({ max: SPENT_MAX })));
    spent.set(key, performance.now() + waitMs);
    throw tooMany(waitMs);
  }

  /**
   * Throws RATE_LIMITED when it is known that this client has nothing left: before its body is read, its document parsed and validated. Those
   * are the dearest things that are done for somebody who is refused, and a new document each time misses every cache. Asks no Redis.
   */
  requireLeft(request: IncomingMessage, subject: string | null): void {
    if (this.#spent.size === 0) return;
    if (subject === null) return this.#requireLeft(this.#address, request, undefined);
    this.#requireLeft(this.#person, request, subject);
    this.#requireLeft(this.#people, request, undefined);
  }

  #requireLeft(budget: Budget | undefined, request: IncomingMessage, who: string | undefined): void {
    const waitMs = this.#waitOf(budget, request, who);
    if (waitMs > 0) throw tooMany(waitMs);
  }

  #waitOf(budget: Budget | undefined, request: IncomingMessage, who: string | undefined): number {
    const spent = budget && this.#spent.get(budget);
    if (!spent || spent.size === 0) return 0;
    const key = who ?? clientOf(request, this.#proxies);
    const until = spent.get(key);
    if (until === undefined) return 0;
    const waitMs = until - performance.now();
    if (waitMs <= 0) spent.delete(key);
    return waitMs;
  }

  /**
   * Before a token is looked at that is not `known`. Throws RATE_LIMITED where its address has nothing left and has sent more than a few that
   * were none since: each refusal would cost the look as well. Resolves to how to tell what it was; undefined: nobody counts. Nobody waits for
   * that longer than `mostMs`, as long as their request may take.
   */
  lookAtToken(
    request: IncomingMessage,
    known: () => boolean,
    mostMs = WAITING_MS,
  ): Promise<(isForged: boolean) => void> | undefined {
    if (this.#spent.size === 0) return undefined;
    const waitMs = this.#waitOf(this.#address, request, undefined);
    if (waitMs <= 0 || known()) return undefined;
    const key = clientOf(request, this.#proxies);
    const now = performance.now();
    let looks = this.#looks.get(key);
    if (!looks || looks.until <= now)
      this.#looks.set(key, (looks = { until: now + waitMs, forged: 0, underWay: 0, waiting: new Set() }));
    return look(looks, waitMs, Math.min(WAITING_MS, mostMs));
  }

  /**
   * Counts what was refused before it had a cost: neither documents that are none, nor bodies and tokens that are none, are free. `reading`:
   * what the document was to read.
   */
  refused(request: IncomingMessage, subject: string | null, reading = 0): Promise<void> {
    return this.take(request, subject, Math.max(REFUSED, reading));
  }
}

/** As many at once as may still be forged: which of them are is known when they have been looked at, and the others do not count. */
async function look(looks: Looks, waitMs: number, mostMs: number): Promise<(isForged: boolean) => void> {
  const { waiting } = looks;
  const until = performance.now() + mostMs;
  while (looks.forged + looks.underWay >= FORGED_MAX) {
    const leftMs = until - performance.now();
    if (looks.forged >= FORGED_MAX || waiting.size >= WAITING_MAX || leftMs <= 0) throw tooMany(waitMs);
    await new Promise<void>((resolve) => {
      const go = (): void => {
        clearTimeout(late);
        waiting.delete(go);
        resolve();
      };
      const late = setTimeout(go, leftMs);
      waiting.add(go);
    });
  }
  looks.underWay += 1;
  return (isForged) => {
    looks.underWay -= 1;
    if (isForged) looks.forged += 1;
    // One that is forged leaves no place; with the last of those nobody has one.
    for (const go of waiting) {
      if (isForged && looks.forged < FORGED_MAX) break;
      go();
      if (!isForged) break;
    }
  };
}

function tooMany(waitMs: number): Refusal {
  const seconds = Math.ceil(waitMs / 1_000);
  return Refusal.of('RATE_LIMITED', `Too many requests; wait ${seconds} s.`, {
    headers: { 'retry-after': String(seconds) },
  });
}

/** Which client it is, in as many words as it takes to count it; its address cannot be read off it. */
export function clientOf(request: IncomingMessage, proxies: number): string {
  return createHash('sha256')
    .update(networkOf(clientAddress(request, proxies)))
    .digest('base64url')
    .slice(0, 22);
}

/**
 * Whose request it is. Every proxy adds to X-Forwarded-For whom it was asked by, so with n of them the n-th from the end is what the
 * first of ours has seen; what stands before it anybody may have written.
 */
export function clientAddress(
  { socket, headers }: Pick<IncomingMessage, 'socket' | 'headers'>,
  proxies: number,
): string {
  const own = socket.remoteAddress ?? 'local';
  if (proxies === 0) return own;
  const forwarded = [headers['x-forwarded-for'] ?? ''].flat().join(',').split(',');
  const address = withoutPort(forwarded.at(-proxies)?.trim() ?? '');
  return isIP(address) === 0 ? own : address;
}

/** Some proxies write `203.0.113.7:4711` or `[2001:db8::1]:4711`. */
function withoutPort(text: string): string {
  return /^\[([^\]]+)\](?::\d+)?$/.exec(text)?.[1] ?? text.replace(/^(\d+\.\d+\.\d+\.\d+):\d+$/, '$1');
}

/**
 * One customer of a provider commonly has a whole /56 of IPv6, some a /48 (RIPE-690 §4.2), so counted by /64 they would be 256 clients. An
 * IPv4 address is one, also when it is written as IPv6.
 */
export function networkOf(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  if (isIP(address) !== 6) return address;
  const [head = '', tail] = address.replace(/%.*$/, '').toLowerCase().split('::');
  const groups = head === '' ? [] : head.split(':');
  const last = tail === undefined || tail === '' ? [] : tail.split(':');
  const whole =
    tail === undefined ? groups : [...groups, ...Array<string>(8 - groups.length - last.length).fill('0'), ...last];
  const [a, b, c, d] = whole.map((group) => Number.parseInt(group, 16));
  return `${[a!, b!, c!, d! & 0xff00].map((group) => group.toString(16)).join(':')}::/56`;
}
