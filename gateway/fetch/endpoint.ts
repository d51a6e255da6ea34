import type { LookupFunction } from 'node:net';
import { Pool } from 'undici';
import type { Clock } from '#libs/telemetry';
import { AdaptiveLimit } from './adaptive-limit.js';
import type { Address } from './addresses.js';
import { Breaker } from './breaker.js';
import { Line } from './line.js';
import type { SubgraphTls } from './tls.js';

/** Calls that wait for a connection to one address; more are refused. */
export const WAITING_MAX = 50_000;

/** Of how long calls hold their places, the weight of the last one; and of how many calls it is known how many requests they were of. */
const RECENT = 1 / 32;
const COUNTED = 1_024;
/** Of how many come, so long ago counts a third as much. */
const RATE_MS = 200;
const KEEP_ALIVE_MS = 4_000;
/** After so long one read looks whether it is back; it is told so again while it is not. */
const AWAY_MS = 2_000;
/** What cannot be asked twice does not go to whom may be closing its door just now; where nobody reads it looks itself. */
const AWAY_WRITE_MS = 8_000;

/** Who is `ending` answers for a while yet, who is `starting` does not. */
export type Away = 'starting' | 'ending';

export interface EndpointOptions {
  /** To one address; calls beyond wait in line for as long as their request has time. */
  readonly connections: number;
  readonly timeoutMs: number;
  /** Failures in a row after which an address is not asked for a moment; 0: never. */
  readonly breakerFailures?: number;
  /** How long a connection is kept without a call; shorter than any service drains (DRAIN_MS). */
  readonly keepAliveMs?: number;
  /** Whom https: addresses have to be, and who we are to them. */
  readonly tls?: SubgraphTls | undefined;
  readonly clock: Clock;
}

/** Some places at an address: who holds or waits for one, and how many there are while it bears no more. */
export class Places {
  readonly line: Line;
  readonly limit: AdaptiveLimit;
  /** How long whoever was let in last has waited in line. */
  waitedMs = 0;

  #meanMs = 0;
  #took = 0;
  #comePerMs = 0;
  #cameAt = 0;
  /** When one that came first found the line that there is, by its number; and when one last found any that had stood for a while. */
  #waitsSince = 0;
  #formed = 0;
  #crowdedAt = Number.NEGATIVE_INFINITY;
  #calls = 0;
  #requests = 0;

  constructor(most: number) {
    this.line = new Line(most, WAITING_MAX);
    this.limit = new AdaptiveLimit(most);
  }

  /** A call was made; `isFirst`: of its request, to this subgraph, and not to show what was written. */
  asked(isFirst: boolean): void {
    this.#calls += 1;
    if (isFirst) this.#requests += 1;
    if (this.#calls < COUNTED) return;
    this.#calls /= 2;
    this.#requests /= 2;
  }

  /** A call held its place for so long. */
  took(ms: number): void {
    this.#took += 1;
    this.#meanMs += Math.max(RECENT, 1 / this.#took) * (ms - this.#meanMs);
  }

  /** Somebody comes who has not asked here before: told after `share`, or whoever comes alone to calls that take long would be too many. */
  came(now: number): void {
    this.#comePerMs = this.#comersPerMs(now) + 1 / RATE_MS;
    this.#cameAt = now;
  }

  #comersPerMs(now: number): number {
    return this.#comePerMs * Math.exp((this.#cameAt - now) / RATE_MS);
  }

  /**
   * Of those who come now, which share may be let in, 1 or more: all. As many as are answered meanwhile, by how many calls at once it bears, how long one takes and
   * how many a request asks; a quarter more while nobody waits, fewer the longer it takes until all who wait are answered with what else they will ask, and
   * nobody when that is five times `aimMs`. (The same two terms, how fast it is and how long the line, are those of PIE, RFC 8033.)
   *
   * By how many wait alone whoever comes would be let in by waves: calls that begin together end together, and while the line is empty for that moment
   * what those who were let in before will ask later is not in it. So it is crowded for a while after, unless half of it has nothing to do. Asked for ten times what four such services could, 44 % was left of it.
   */
  share(aimMs: number, now: number): number {
    const { waiting, places, inside, formed } = this.line;
    if (waiting > 0) {
      if (formed !== this.#formed) this.#waitsSince = now;
      this.#formed = formed;
      if (now - this.#waitsSince >= aimMs / 10) this.#crowdedAt = now;
    }
    const isBusy = waiting > 0 || inside * 2 >= places;
    // Of one that has not ended a call yet nothing is known but that it takes longer than they have waited: it may hang.
    const meanMs = this.#took === 0 && waiting > 0 ? now - this.#waitsSince : this.#meanMs;
    if (!isBusy || now - this.#crowdedAt >= 2 * meanMs) return Infinity;
    const requestMs = ((this.#calls / Math.max(1, this.#requests)) * meanMs) / places;
    const room = 1.25 - (waiting * requestMs) / (4 * aimMs);
    return room <= 0 ? 0 : room / (this.#comersPerMs(now) * requestMs);
  }

  /** Do those who wait for one wait longer than this, as far as the last who got one tells? */
  isLate(ms: number): boolean {
    return this.line.waiting > 0 && this.waitedMs > ms;
  }
}

/**
 * One address as it is called: its connections, who waits for one, what it bears and whether it answers.
 *
 * Mutations hold half of its connections at most (a bulkhead: Nygard, Release It!): what is written may take long for reasons of its own,
 * as a password does that waits to be hashed, and whoever reads has nothing to do with it. They wait in a line of their own, and what of
 * theirs is too much leaves fewer places to them alone. While the address is found to bear less, those that were let in before keep their
 * turn, also among those who wait for a place of all: until they are through they may hold more than half of what is left.
 */
export class Endpoint {
  readonly origin: string;
  #pool: Pool;
  readonly places: Places;
  /** Of these places, those that mutations may hold. */
  readonly writing: Places;
  readonly breaker: Breaker;
  readonly #clock: Clock;
  readonly #open: (tls: SubgraphTls | undefined) => Pool;
  readonly #isSecure: boolean;
  #how: Away | undefined;
  #awaySince = 0;
  #lookedAt = 0;
  #retired = false;

  /** `ips`: of its name, where it was looked up; several are the ways to one machine, tried one after the other. */
  constructor(
    { origin, socketPath }: Address,
    ips: readonly string[],
    label: string | undefined,
    options: EndpointOptions,
  ) {
    const { connections, timeoutMs, breakerFailures = 0, keepAliveMs = KEEP_ALIVE_MS, clock } = options;
    this.origin = socketPath ?? (label === undefined ? origin : `${origin} (${label})`);
    this.#isSecure = origin.startsWith('https:');
    this.#open = (tls) =>
      new Pool(origin, {
        connections,
        pipelining: 1,
        connect: {
          timeout: Math.min(1_000, timeoutMs),
          ...tls,
          ...(socketPath === undefined ? {} : { socketPath }),
          // The certificate is still that of the name.
          ...(ips.length === 0 ? {} : { lookup: always(ips) }),
        },
        // Node's server closes after 5 s without a request; we let go first, so that neither writes into a closed socket.
        keepAliveTimeout: keepAliveMs,
        // Whatever a server says (keep-alive: timeout=75): past this nothing is left that could be sent to one that has begun to end.
        keepAliveMaxTimeout: keepAliveMs,
        maxHeaderSize: 16 * 1024,
        // The whole call has one deadline, in Attempt.
        headersTimeout: 0,
        bodyTimeout: 0,
      });
    this.#pool = this.#open(options.tls);
    this.#clock = clock;
    this.places = new Places(connections);
    this.writing = new Places(halfOf(connections));
    this.breaker = new Breaker({ failuresMax: breakerFailures || Number.POSITIVE_INFINITY, clock });
  }

  /** It is starting or ending: who is asked instead, where there is somebody. */
  goesAway(how: Away): void {
    this.#lookedAt = this.#clock();
    if (this.#how === undefined) this.#awaySince = this.#lookedAt;
    this.#how = how;
  }

  get away(): Away | undefined {
    return this.#how;
  }

  /** It answered a call like anybody. One that began before it said that it goes tells nothing. */
  answersAgain(startedAt: number): void {
    if (startedAt > this.#awaySince) this.#how = undefined;
  }

  /**
   * May a call go to it to see whether it is back? One at a time: of a crowd that came all at once some would be in the line of its port
   * when that is closed, and what they sent would be lost.
   */
  mayLook(isWrite: boolean): boolean {
    return this.#clock() - this.#lookedAt >= (isWrite ? AWAY_WRITE_MS : AWAY_MS);
  }

  looks(): void {
    this.#lookedAt = this.#clock();
  }

  get pool(): Pool {
    return this.#pool;
  }

  /**
   * Whatever is asked from now on is asked on new connections, made with these; what is under way ends on its own. Where no certificate is
   * shown nothing is made anew.
   */
  renew(tls: SubgraphTls): void {
    if (!this.#isSecure) return;
    const before = this.#pool;
    this.#pool = this.#open(tls);
    void before.close();
  }

  /** Calls under way. */
  get inside(): number {
    return this.places.line.inside;
  }

  /** Calls that wait for a connection. */
  get waiting(): number {
    return this.places.line.waiting + this.writing.line.waiting;
  }

  /** Mutations that it is given at once: what was too much leaves fewer of them, and so does an address that bears less of all. */
  get writingMost(): number {
    return Math.min(this.writing.limit.places, halfOf(this.places.limit.places));
  }

  /** A call was answered: it may bear one more. */
  answered(isWrite: boolean): void {
    const { places, writing } = this;
    const more = places.limit.answered(places.line.inside);
    const moreWrites = isWrite && writing.limit.answered(writing.line.inside);
    if (more || moreWrites) this.#adapt();
  }

  /** A call was made; `isFirst`: as of its places. */
  asked(isWrite: boolean, isFirst: boolean): void {
    this.places.asked(isFirst);
    if (isWrite) this.writing.asked(isFirst);
  }

  /** Somebody comes who has not asked here before, and for whom a lot is drawn; told after `share`. */
  came(isWrite: boolean): void {
    const now = this.#clock();
    this.places.came(now);
    if (isWrite) this.writing.came(now);
  }

  /** Which share of those who come now may be let in. */
  share(isWrite: boolean, aimMs: number): number {
    const now = this.#clock();
    const share = this.places.share(aimMs, now);
    return isWrite ? Math.min(share, this.writing.share(aimMs, now)) : share;
  }

  /** One of `places`, which began as that cohort, was too much. */
  overloaded({ limit }: Places, cohort: number): void {
    if (limit.overloaded(cohort)) this.#adapt();
  }

  #adapt(): void {
    const { places, writing } = this;
    places.line.places = places.limit.places;
    writing.line.places = this.writingMost;
  }

  /** An attempt that was started is over, so long after it was sent; undefined: it never was. */
  leave(isWrite: boolean, ms: number | undefined): void {
    if (ms !== undefined) this.places.took(ms);
    if (ms !== undefined && isWrite) this.writing.took(ms);
    this.places.line.leave();
    if (this.#retired) this.retire();
  }

  /** Its name stands for other machines now, or nobody names it: who is under way or in line is still answered. */
  retire(): void {
    this.#retired = true;
    if (this.inside === 0 && !this.pool.closed) void this.pool.close();
  }
}

function halfOf(places: number): number {
  return Math.max(1, Math.floor(places / 2));
}

function always(ips: readonly string[]): LookupFunction {
  const found = ips.map((address) => ({ address, family: familyOf(address) }));
  const [{ address, family }] = found as [(typeof found)[number]];
  return (_host, { all }, done) => (all ? done(null, found) : done(null, address, family));
}

export function familyOf(ip: string): 4 | 6 {
  return ip.includes(':') ? 6 : 4;
}
