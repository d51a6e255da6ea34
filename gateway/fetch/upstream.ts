import { lookup } from 'node:dns/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from '#libs/telemetry';
import { addressesOf, type Address } from './addresses.js';
import { Endpoint, familyOf, type EndpointOptions } from './endpoint.js';
import { LatelyFound } from './lately-found.js';
import { RetryBudget } from './retry-budget.js';
import type { SubgraphTls } from './tls.js';

/** An endpoint, and where on it. */
export interface Target {
  readonly endpoint: Endpoint;
  readonly path: string;
}

/** The addresses of a name; those of the family of the first are the ones to be taken, where these are several machines. */
export type Lookup = (host: string) => Promise<readonly string[]>;

export interface UpstreamsOptions extends EndpointOptions {
  /** How often names are looked up again, ms; 0: the system does it, for each new connection. */
  readonly dnsMs?: number;
  readonly lookup?: Lookup;
  readonly random?: () => number;
}

/** Names are looked up out of turn at most so often, ms. */
const LOOK_AGAIN_MS = 1_000;
/** A call waits so long for it, ms. */
const LOOK_MS_MAX = 1_000;
/** What two addresses have refused alike, ms. */
const AGREED_MS = 1_000;

/** Where one subgraph is asked, and how much of what it is asked may be repeated. */
export class Upstream {
  readonly budget = new RetryBudget();
  readonly addresses: readonly Address[];
  targets: readonly Target[] = [];
  /** By address, what its name stood for last. */
  readonly known: (readonly Target[])[] = [];
  readonly lately: readonly LatelyFound[];
  readonly #random: () => number;
  readonly #clock: Clock;
  #agreedAt = Number.NEGATIVE_INFINITY;
  /** Looks its names up out of turn, at most once a second: all that are known may have been replaced since. */
  readonly lookAgain: () => Promise<void>;

  constructor(
    addresses: readonly Address[],
    { random, clock, lookUp }: { random: () => number; clock: Clock; lookUp: (upstream: Upstream) => Promise<void> },
  ) {
    this.addresses = addresses;
    this.lately = addresses.map(() => new LatelyFound());
    this.#random = random;
    this.#clock = clock;
    this.lookAgain = atMostEvery(LOOK_AGAIN_MS, clock, () => lookUp(this));
  }

  /** Two addresses have just refused the same question with 401 or the like. */
  agreed(): void {
    this.#agreedAt = this.#clock();
  }

  /**
   * Whether it is worth a repeat to know if such an answer is the address's doing. While it is not, a client with a wrong token costs the
   * others no retries, and can shut no address.
   */
  get wonders(): boolean {
    return this.#clock() - this.#agreedAt >= AGREED_MS;
  }

  /** Is a late call worth asking a second time? Not where the only others are starting or ending. */
  hasOther(tried: Target): boolean {
    const { targets } = this;
    return (
      targets.length === 1 ||
      targets.some((one) => one !== tried && one.endpoint.breaker.allows && one.endpoint.away === undefined)
    );
  }

  /**
   * Of two addresses by chance the one that has less to do (Mitzenmacher, "The Power of Two Choices", 2001), of those that answer;
   * not the one that was tried already, nor one that is ending, let alone starting, where there is another, but for one call now and then
   * that looks whether it is back. `targets`: only of these.
   */
  choose(isWrite: boolean, tried: Target | undefined, targets: readonly Target[] = this.targets): Target {
    if (targets.length === 1) return targets[0]!;
    const fits = (target: Target) => target.endpoint.breaker.allows;
    const others = targets.filter((target) => target !== tried && fits(target));
    let choice = others.filter(({ endpoint }) => endpoint.away === undefined || endpoint.mayLook(isWrite));
    if (choice.length === 0) {
      if (!targets.some((target) => fits(target) && target.endpoint.away === undefined)) void this.lookAgain();
      choice = others.filter(({ endpoint }) => endpoint.away === 'ending');
      // It ends within seconds, and one that has just been started in its place may still be left alone for its refused connections.
      if (choice.length > 0) for (const { endpoint } of targets) endpoint.breaker.hurry();
    }
    if (choice.length === 0) choice = others;
    if (choice.length === 0) choice = targets.filter(fits);
    if (choice.length === 0) choice = [...targets];
    const { length } = choice;
    const nth = Math.floor(this.#random() * length);
    const one = choice[nth]!;
    // Never the same one twice, where there is another: one of two that is slow would get a quarter of all calls, however many wait there.
    const other = choice[(nth + 1 + Math.floor(this.#random() * (length - 1))) % length]!;
    const less = load(other) < load(one) ? other : one;
    // Whose calls fail at once has little to do for that very reason, and would draw all of them.
    const chosen = less.endpoint.breaker.hasFailedLately ? one : less;
    if (chosen.endpoint.away !== undefined) chosen.endpoint.looks();
    return chosen;
  }
}

function load({ endpoint }: Target): number {
  return endpoint.inside + endpoint.waiting;
}

/**
 * By the text of its address, what is known of each subgraph. Names that stand for several machines become an endpoint for each;
 * two subgraphs at one address share theirs.
 */
export class Upstreams {
  #options: UpstreamsOptions;
  readonly #upstreams = new Map<string, Upstream>();
  readonly #endpoints = new Map<string, Endpoint>();
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: UpstreamsOptions) {
    this.#options = options;
  }

  get endpoints(): Iterable<Endpoint> {
    return this.#endpoints.values();
  }

  of(text: string): Upstream {
    let upstream = this.#upstreams.get(text);
    if (upstream === undefined) {
      upstream = new Upstream(addressesOf(text), {
        random: this.#options.random ?? Math.random,
        clock: this.#options.clock,
        lookUp: (made) => this.#lookUp(text, made),
      });
      upstream.known.push(...upstream.addresses.map((address) => [this.#target(address)]));
      upstream.targets = upstream.known.flat();
      this.#upstreams.set(text, upstream);
      void this.#lookUp(text, upstream);
      const { dnsMs = 0 } = this.#options;
      if (dnsMs > 0) this.#timer ??= setInterval(() => void this.lookUp(), dnsMs).unref();
    }
    return upstream;
  }

  /** Asks for all names again. */
  async lookUp(): Promise<void> {
    await Promise.all([...this.#upstreams].map(([text, upstream]) => this.#lookUp(text, upstream)));
  }

  /** New certificates: for new connections, which are made from now on. */
  renew(tls: SubgraphTls): void {
    this.#options = { ...this.#options, tls };
    for (const endpoint of this.#endpoints.values()) endpoint.renew(tls);
  }

  /** Forgets whatever no supergraph names any more: nobody would ask it again, and what it was like last would be told for ever. */
  keep(named: ReadonlySet<string>): void {
    const left = [...this.#upstreams.keys()].filter((text) => !named.has(text));
    if (left.length === 0) return;
    for (const text of left) this.#upstreams.delete(text);
    this.#retireUnused();
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#timer);
    await Promise.all([...this.#endpoints.values()].map(({ pool }) => pool.destroy()));
    this.#upstreams.clear();
    this.#endpoints.clear();
  }

  async #lookUp(text: string, upstream: Upstream): Promise<void> {
    const { dnsMs = 0, lookup: ask = lookUpAll } = this.#options;
    if (dnsMs === 0) return;
    await Promise.all(
      upstream.addresses.map(async (address, nth) => {
        if (address.host === undefined) return;
        // What was known of it stays where nothing is found: a name server that is away is no reason to forget where the machines are. The
        // other names follow, and wait for it no longer.
        const ips = [...new Set(await ask(address.host).catch(() => []))];
        if (ips.length === 0 || this.#closed || this.#upstreams.get(text) !== upstream) return;
        this.#follow(upstream, nth, ips);
      }),
    );
  }

  /**
   * An endpoint is asked by the addresses that were found, a single one too: a connection that is always busy is kept for ever, and would
   * lead to where the name was, for as long as somebody answers there.
   */
  #follow(upstream: Upstream, nth: number, ips: readonly string[]): void {
    const address = upstream.addresses[nth]!;
    const machines = upstream.lately[nth]!.found(ips.filter((ip) => familyOf(ip) === familyOf(ips[0]!)));
    upstream.known[nth] =
      machines.length === 1 ? [this.#target(address, ips)] : machines.map((ip) => this.#target(address, [ip], ip));
    const targets = upstream.known.flat();
    const same =
      targets.length === upstream.targets.length &&
      targets.every(({ endpoint }) => upstream.targets.some((one) => one.endpoint === endpoint));
    if (same) return;
    upstream.targets = targets;
    this.#retireUnused();
  }

  /** `label`: of one of several machines. */
  #target(address: Address, ips: readonly string[] = [], label?: string): Target {
    const key = address.socketPath ?? [address.origin, ...ips.toSorted()].join(' ');
    let endpoint = this.#endpoints.get(key);
    if (endpoint === undefined) {
      endpoint = new Endpoint(address, ips, label, this.#options);
      this.#endpoints.set(key, endpoint);
    }
    return { endpoint, path: address.path };
  }

  #retireUnused(): void {
    const used = new Set(
      [...this.#upstreams.values()].flatMap(({ targets }) => targets.map(({ endpoint }) => endpoint)),
    );
    for (const [key, endpoint] of this.#endpoints) {
      if (used.has(endpoint)) continue;
      this.#endpoints.delete(key);
      endpoint.retire();
    }
  }
}

/** Who comes before its time, or while one is under way, gets the look that there is; one that takes too long is waited for no longer. */
function atMostEvery(ms: number, clock: Clock, look: () => Promise<void>): () => Promise<void> {
  let at = -Infinity;
  let underWay = false;
  let last = Promise.resolve();
  return () => {
    const now = clock();
    if (underWay || now - at < ms) return last;
    at = now;
    underWay = true;
    const found = look().finally(() => (underWay = false));
    return (last = Promise.race([found, sleep(LOOK_MS_MAX, undefined, { ref: false })]));
  };
}

async function lookUpAll(host: string): Promise<string[]> {
  const found = await lookup(host, { all: true });
  return found.map(({ address }) => address);
}
