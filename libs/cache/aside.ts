import type { Clock } from '#libs/telemetry';
import { FreshLoads } from './fresh-loads.js';
import { keyOf } from './keys.js';
import type { Fill, Slot } from './store.js';

/** Longer than a database lets a statement run. A load that outlives its lease answers its caller and fills nothing. */
export const LEASE_MS = 2_000;
/** How long a caller waits for what another process is loading, with the pauses between its questions. */
export const WAIT_MAX_MS = 100;
const PAUSES_MS = [2, 4, 8, 16, 30, 40];

type Texts = ReadonlyMap<string, string>;
type Load<V> = (missing: readonly string[]) => Promise<ReadonlyMap<string, V>>;

/** What an Aside needs of the cache that it belongs to. */
export interface Kept {
  /** Undefined: there is no cache to ask now. */
  ask(prefix: string, keys: readonly string[]): Promise<ReadonlyMap<string, Slot> | undefined>;
  fill(prefix: string, entries: readonly Fill[]): Promise<void>;
  drop(keys: readonly string[]): Promise<void>;
  readonly clock: Clock;
  readonly random: () => number;
  readonly sleep: (ms: number) => Promise<void>;
}

export interface AsideOptions {
  /** `service.thing`, for example `posts.by-id`: one kind of value. */
  readonly prefix: string;
  /** At most LIFETIME_MAX_MS. Up to a tenth is taken off by chance, so that what was kept together does not end together. */
  readonly ttlMs: number;
  /** How long it is known that there is none. Default: as `ttlMs`, at most ten seconds. */
  readonly negativeTtlMs?: number;
  /** Is it what this code keeps here? Anything else, from an older release or another hand, counts as not kept. */
  readonly is?: (value: unknown) => boolean;
}

/** A load under a lease. It may be joined by whoever the store tells that this very lease still stands. */
interface Flight {
  readonly token: string;
  readonly loading: Promise<Texts>;
}

/** Reads through the cache: what is kept, else what `load` finds. Values travel as JSON, so every caller has a copy of its own. */
export class Aside<V> {
  private readonly flights = new Map<string, Flight>();
  private readonly fresh = new FreshLoads();

  constructor(
    private readonly kept: Kept,
    private readonly options: AsideOptions,
  ) {}

  keyOf(id: string): string {
    return keyOf(this.options.prefix, id);
  }

  /** What is absent in the answer is known not to exist. */
  async getMany(ids: readonly string[], load: Load<V>): Promise<Map<string, V>> {
    const found = new Map<string, V>();
    const loads: Promise<unknown>[] = [];
    const bring = (loading: Promise<Texts>, wanted: readonly string[]): void => {
      const bringing = loading.then((texts) => {
        for (const id of wanted) this.put(found, id, texts.get(id));
      });
      bringing.catch(() => {}); // it is awaited below; until then its failure is nobody's
      loads.push(bringing);
    };
    const loadFresh = (wanted: readonly string[]): void => {
      for (const loading of this.fresh.bring(wanted, (own) => this.textsOf(own, load))) bring(loading, wanted);
    };

    let wanted: readonly string[] = [...new Set(ids)];
    const deadline = this.kept.clock() + WAIT_MAX_MS;
    for (let round = 0; wanted.length > 0; round++) {
      const slots = await this.kept.ask(
        this.options.prefix,
        wanted.map((id) => this.keyOf(id)),
      );
      if (slots === undefined) {
        loadFresh(wanted);
        break;
      }
      const sorted = this.sort(wanted, slots, found);
      for (const [loading, joined] of sorted.joined) bring(loading, joined);
      if (sorted.leased.size > 0) bring(this.lead(sorted.leased, load), [...sorted.leased.keys()]);
      if (sorted.alone.length > 0) loadFresh(sorted.alone);
      wanted = sorted.awaited;
      if (wanted.length === 0) break;
      const pauseMs = PAUSES_MS[round];
      if (pauseMs === undefined || this.kept.clock() >= deadline) {
        loadFresh(wanted);
        break;
      }
      await this.kept.sleep(pauseMs);
    }
    await Promise.all(loads);
    return found;
  }

  /** Puts what is kept into `found`, and says what is to be done about the rest. */
  private sort(wanted: readonly string[], slots: ReadonlyMap<string, Slot>, found: Map<string, V>) {
    const joined = new Map<Promise<Texts>, string[]>();
    const leased = new Map<string, string>();
    const awaited: string[] = [];
    const alone: string[] = [];
    const corrupt: string[] = [];
    for (const id of wanted) {
      const key = this.keyOf(id);
      const slot = slots.get(key);
      if (slot === undefined || slot.kind === 'full') {
        alone.push(id);
      } else if (slot.kind === 'kept') {
        if (this.put(found, id, slot.text, this.options.is)) continue;
        alone.push(id);
        corrupt.push(key);
      } else {
        const flight = this.flights.get(id);
        if (flight?.token === slot.token) joined.set(flight.loading, [...(joined.get(flight.loading) ?? []), id]);
        else if (slot.kind === 'leased') leased.set(id, slot.token);
        else awaited.push(id);
      }
    }
    if (corrupt.length > 0) void this.kept.drop(corrupt);
    return { joined, leased, awaited, alone };
  }

  /** Loads under our leases and keeps what was found. Whoever asks meanwhile joins. */
  private lead(leased: ReadonlyMap<string, string>, load: Load<V>): Promise<Texts> {
    const begunAt = this.kept.clock();
    const loading = this.textsOf([...leased.keys()], load);
    for (const [id, token] of leased) this.flights.set(id, { token, loading });
    void loading
      .catch(() => undefined) // the callers hear of it; here it only means that the leases are given back
      .then((texts) => this.kept.fill(this.options.prefix, this.fillsOf(leased, texts, begunAt)))
      .then(() => {
        for (const [id, token] of leased) if (this.flights.get(id)?.token === token) this.flights.delete(id);
      });
    return loading;
  }

  /** A lifetime counts from the beginning of the load: that is how old the value may be. */
  private fillsOf(leased: ReadonlyMap<string, string>, texts: Texts | undefined, begunAt: number): Fill[] {
    const { ttlMs, negativeTtlMs = Math.min(ttlMs, 10_000) } = this.options;
    const age = this.kept.clock() - begunAt;
    return Array.from(leased, ([id, token]) => {
      const value = texts?.get(id) ?? null;
      const lifetimeMs = (value === 'null' ? negativeTtlMs : ttlMs) * (1 - 0.1 * this.kept.random());
      return { key: this.keyOf(id), token, value, ttlMs: Math.floor(lifetimeMs - age) };
    });
  }

  private async textsOf(ids: readonly string[], load: Load<V>): Promise<Texts> {
    const loaded = await load(ids);
    return new Map(ids.map((id) => [id, JSON.stringify(loaded.get(id) ?? null)]));
  }

  /** False when the text is not a value of ours. */
  private put(found: Map<string, V>, id: string, text: string | undefined, is?: (value: unknown) => boolean): boolean {
    if (text === undefined) return true;
    if (text === 'null') return true;
    try {
      const value: unknown =
        text.includes('__proto__') || text.includes('\\u') ? JSON.parse(text, refuseProto) : JSON.parse(text);
      if (value === null || (is !== undefined && !is(value))) return false;
      found.set(id, value as V);
      return true;
    } catch {
      return false;
    }
  }
}

/** `__proto__` is harmless as JSON.parse leaves it, until somebody merges the object into another. */
function refuseProto(name: string, value: unknown): unknown {
  if (name === '__proto__') throw new SyntaxError('a kept value names __proto__');
  return value;
}
