import type { Clock } from '#libs/telemetry';
import { FreshLoads } from './fresh-loads.js';
import { keyOf } from './keys.js';
import type { Fill, Slot } from './store.js';

/** As long as a database lets a statement run. A load that outlives its lease answers its callers and fills nothing. */
export const LEASE_MS = 2_000;

/** How long a caller waits for what another process is loading, and the pauses between its questions. */
export const WAIT_MAX_MS = 100;
const PAUSES_MS = [2, 4, 8, 16, 30, 40];

export interface AsideOptions {
  /** `service.thing`, for example `posts.by-id`: one kind of value. */
  readonly prefix: string;
  /** At most LIFETIME_MAX_MS. Up to a tenth is taken off by chance, so that what was kept together does not end together. */
  readonly ttlMs: number;
  /** How long it is known that there is none. Default: as `ttlMs`, at most ten seconds. */
  readonly negativeTtlMs?: number;
  /** Is it what this code keeps here? What another release or another hand left there counts as not kept. */
  readonly is?: (value: unknown) => boolean;
}

/** What an Aside needs of the cache that it belongs to. */
export interface Kept {
  readonly mode: 'on' | 'off';
  /** Undefined: the cache cannot be asked now. */
  ask(prefix: string, keys: readonly string[]): Promise<ReadonlyMap<string, Slot> | undefined>;
  fill(prefix: string, entries: readonly Fill[]): Promise<void>;
  /** Takes away what is no value of ours; it may stay when the store does not answer. */
  discard(keys: readonly string[]): Promise<void>;
  readonly clock: Clock;
  readonly random: () => number;
  readonly sleep: (ms: number) => Promise<void>;
}

export type Load<V> = (missing: readonly string[]) => Promise<ReadonlyMap<string, V>>;

/** JSON by id; 'null' is what does not exist. */
type Texts = ReadonlyMap<string, string>;

/** A load under a lease. Whoever the store tells that this very lease still stands may join it. */
interface Flight {
  readonly token: string;
  readonly loading: Promise<Texts>;
}

/**
 * Reads through the cache: what is kept, else what `load` finds. Values travel as JSON, so a Date is a text from the
 * first read on, and every caller has a copy of its own.
 */
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
    const arriving: Promise<void>[] = [];
    const expect = (wanted: Iterable<string>, loading: Promise<Texts>): void => {
      const arrived = loading.then((texts) => {
        for (const id of wanted) putLoaded(found, id, texts.get(id));
      });
      arrived.catch(() => {}); // Awaited below; until then its failure is nobody's.
      arriving.push(arrived);
    };
    const expectFresh = (wanted: readonly string[]): void => {
      for (const loading of this.fresh.bring(wanted, (own) => textsOf(own, load))) expect(wanted, loading);
    };

    let wanted: readonly string[] = [...new Set(ids)];
    if (this.kept.mode === 'off' && wanted.length > 0) {
      expect(wanted, textsOf(wanted, load));
      wanted = [];
    }
    const deadline = this.kept.clock() + WAIT_MAX_MS;
    for (let round = 0; wanted.length > 0; round++) {
      const keys = wanted.map((id) => this.keyOf(id));
      const slots = await this.kept.ask(this.options.prefix, keys);
      if (slots === undefined) {
        expectFresh(wanted);
        break;
      }
      const rest = this.take(wanted, keys, slots, found);
      for (const [loading, joined] of rest.joined) expect(joined, loading);
      if (rest.leased.size > 0) expect(rest.leased.keys(), this.lead(rest.leased, load));
      if (rest.alone.length > 0) expectFresh(rest.alone);

      wanted = rest.awaited;
      const pauseMs = PAUSES_MS[round];
      if (pauseMs === undefined || this.kept.clock() >= deadline) {
        expectFresh(wanted);
        break;
      }
      if (wanted.length > 0) await this.kept.sleep(pauseMs);
    }
    await Promise.all(arriving);
    return found;
  }

  /** Puts what is kept into `found`, and says where the rest is to come from. */
  private take(
    wanted: readonly string[],
    keys: readonly string[],
    slots: ReadonlyMap<string, Slot>,
    found: Map<string, V>,
  ) {
    const joined = new Map<Promise<Texts>, string[]>();
    const leased = new Map<string, string>();
    const awaited: string[] = [];
    const alone: string[] = [];
    const corrupt: string[] = [];
    for (const [at, id] of wanted.entries()) {
      const slot = slots.get(keys[at]!);
      if (slot === undefined || slot.kind === 'full') {
        alone.push(id);
      } else if (slot.kind === 'kept') {
        if (putKept(found, id, slot.text, this.options.is)) continue;
        alone.push(id);
        corrupt.push(keys[at]!);
      } else {
        const flight = this.flights.get(id);
        if (flight?.token === slot.token) {
          const others = joined.get(flight.loading);
          if (others === undefined) joined.set(flight.loading, [id]);
          else others.push(id);
        } else if (slot.kind === 'leased') {
          leased.set(id, slot.token);
        } else {
          awaited.push(id);
        }
      }
    }
    if (corrupt.length > 0) void this.kept.discard(corrupt);
    return { joined, leased, awaited, alone };
  }

  /** Loads under our leases, and keeps what was found where the lease still stands by then. */
  private lead(leased: ReadonlyMap<string, string>, load: Load<V>): Promise<Texts> {
    const begunAt = this.kept.clock();
    const loading = textsOf([...leased.keys()], load);
    for (const [id, token] of leased) this.flights.set(id, { token, loading });
    // Whoever asked hears of a failure; here it only means that the leases are given back.
    const settled = loading.catch(() => undefined);
    void settled
      .then((texts) => this.kept.fill(this.options.prefix, this.fillsOf(leased, texts, begunAt)))
      .then(() => {
        for (const [id, token] of leased) if (this.flights.get(id)?.token === token) this.flights.delete(id);
      });
    return loading;
  }

  /** A lifetime counts from the beginning of the load: that is how old the value may be. */
  private fillsOf(leased: ReadonlyMap<string, string>, texts: Texts | undefined, begunAt: number): Fill[] {
    const { ttlMs, negativeTtlMs = Math.min(ttlMs, 10_000) } = this.options;
    const ageMs = this.kept.clock() - begunAt;
    return Array.from(leased, ([id, token]) => {
      const value = texts?.get(id) ?? null;
      const lifetimeMs = (value === 'null' ? negativeTtlMs : ttlMs) * (1 - 0.1 * this.kept.random());
      return { key: this.keyOf(id), token, value, ttlMs: Math.floor(lifetimeMs - ageMs) };
    });
  }
}

async function textsOf<V>(ids: readonly string[], load: Load<V>): Promise<Texts> {
  const loaded = await load(ids);
  return new Map(ids.map((id) => [id, JSON.stringify(loaded.get(id) ?? null)]));
}

function putLoaded<V>(found: Map<string, V>, id: string, text: string | undefined): void {
  if (text !== undefined && text !== 'null') found.set(id, JSON.parse(text) as V);
}

/** False when the text is no value of ours. */
function putKept<V>(found: Map<string, V>, id: string, text: string, is: AsideOptions['is']): boolean {
  if (text === 'null') return true;
  try {
    // A reviver makes parsing five times slower, so it is for texts that could hold the name, escaped or not.
    const value: unknown = /__proto__|\\u/.test(text) ? JSON.parse(text, refuseProto) : JSON.parse(text);
    if (value === null || is?.(value) === false) return false;
    found.set(id, value as V);
    return true;
  } catch {
    return false;
  }
}

/** As JSON.parse leaves it, `__proto__` is harmless until somebody merges the object into another. */
function refuseProto(name: string, value: unknown): unknown {
  if (name === '__proto__') throw new SyntaxError('a kept value names __proto__');
  return value;
}
