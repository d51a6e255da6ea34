import { lookup } from 'node:dns/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { addressesOf, type Address } from './addresses.js';
import { Endpoint, type EndpointOptions } from './endpoint.js';
import { RetryBudget } from './retry-budget.js';

/** An endpoint, and where on it. */
export interface Target {
  readonly endpoint: Endpoint;
  readonly path: string;
}

/** The addresses of a name, all of one family. */
export type Lookup = (host: string) => Promise<readonly string[]>;

export interface UpstreamsOptions extends EndpointOptions {
  /** How often names are looked up again, ms; 0: the system does it, for each connection. */
  readonly dnsMs?: number;
  readonly lookup?: Lookup;
  readonly random?: () => number;
}

/** Names are looked up out of turn at most so often, ms. */
const LOOK_AGAIN_MS = 1_000;
/** A call waits so long for it, ms. */
const LOOK_MS_MAX = 1_000;

/** Where one subgraph is asked, and how much of what it is asked may be repeated. */
export class Upstream {
  readonly budget = new RetryBudget();
  readonly addresses: readonly Address[];
  targets: readonly Target[] = [];
  readonly #random: () => number;
  /** Looks its names up out of turn, at most once a second: all that are known may have been replaced since. */
  readonly lookAgain: () => Promise<void>;

  constructor(addresses: readonly Address[], random: () => number, lookAgain: () => Promise<void>) {
    this.addresses = addresses;
    this.#random = random;
    this.lookAgain = lookAgain;
  }

  /**
   * Of two addresses by chance the one that has less to do (Mitzenmacher, "The Power of Two Choices", 2001), of those that answer;
   * not the one that was tried already, nor one that is ending, let alone starting, where there is another. `targets`: only of these.
   */
  choose(tried: Target | undefined, targets: readonly Target[] = this.targets): Target {
    if (targets.length === 1) return targets[0]!;
    const fits = (target: Target) => target.endpoint.breaker.allows;
    const others = targets.filter((target) => target !== tried && fits(target));
    let choice = others.filter(({ endpoint }) => endpoint.away === undefined);
    if (choice.length === 0) {
      if (!targets.some((target) => fits(target) && target.endpoint.away === undefined)) void this.lookAgain();
      choice = others.filter(({ endpoint }) => endpoint.away === 'ending');
      // It ends within seconds, and one that has just been started in its place may still be left alone for its refused connections.
      if (choice.length > 0) for (const { endpoint } of targets) endpoint.breaker.hurry();
    }
    if (choice.length === 0) choice = others;
    if (choice.length === 0) choice = targets.filter(fits);
    if (choice.length === 0) choice = [...targets];
    const one = choice[Math.floor(this.#random() * choice.length)]!;
    const other = choice[Math.floor(this.#random() * choice.length)]!;
    return load(other) < load(one) ? other : one;
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
  readonly #options: UpstreamsOptions;
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
      const made: Upstream = (upstream = new Upstream(
        addressesOf(text),
        this.#options.random ?? Math.random,
        atMostEvery(LOOK_AGAIN_MS, () => this.#lookUp(text, made)),
      ));
      upstream.targets = upstream.addresses.map((address) => this.#target(address, undefined));
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
    if (dnsMs === 0 || upstream.addresses.every(({ host }) => host === undefined)) return;
    let targets: Target[];
    try {
      const found = await Promise.all(
        upstream.addresses.map(async (address) => {
          const ips = address.host === undefined ? [] : await ask(address.host);
          // One machine is as well asked by its name: each new connection looks it up.
          return ips.length < 2 ? [{ address, ip: undefined }] : ips.map((ip) => ({ address, ip }));
        }),
      );
      if (this.#closed || this.#upstreams.get(text) !== upstream) return;
      targets = found.flat().map(({ address, ip }) => this.#target(address, ip));
    } catch {
      // What was known stays: a name server that is away is no reason to forget where the machines are.
      return;
    }
    const same =
      targets.length === upstream.targets.length &&
      targets.every(({ endpoint }) => upstream.targets.some((one) => one.endpoint === endpoint));
    if (same) return;
    upstream.targets = targets;
    this.#retireUnused();
  }

  #target(address: Address, ip: string | undefined): Target {
    const key = address.socketPath ?? `${address.origin} ${ip ?? ''}`;
    let endpoint = this.#endpoints.get(key);
    if (endpoint === undefined) {
      endpoint = new Endpoint(address, ip, this.#options);
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
function atMostEvery(ms: number, look: () => Promise<void>): () => Promise<void> {
  let at = -Infinity;
  let underWay = false;
  let last = Promise.resolve();
  return () => {
    const now = performance.now();
    if (underWay || now - at < ms) return last;
    at = now;
    underWay = true;
    const found = look().finally(() => (underWay = false));
    return (last = Promise.race([found, sleep(LOOK_MS_MAX, undefined, { ref: false })]));
  };
}

async function lookUpAll(host: string): Promise<string[]> {
  const found = await lookup(host, { all: true });
  return found.filter(({ family }) => family === found[0]!.family).map(({ address }) => address);
}
