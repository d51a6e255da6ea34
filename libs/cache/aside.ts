import type { Clock } from '#libs/telemetry';
import { FreshLoads } from './fresh-loads.js';
import { parseKept } from './kept-text.js';
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

/**
 * What is on its way: a load under our lease, or our wait for somebody else's. Whoever the store tells that this very
 * lease still stands may join: no drop has come between.
 */
interface Flight {
  readonly token: string;
  readonly arriving: Promise<Texts>;
  /** We only wait for it. Such a flight is not joined by one that waits itself, or two could wait for each other. */
  readonly waits: boolean;
}

/**
 * Reads through the cache: what is kept, else what `load` finds. Values travel as JSON, so a Date is a text from the
 * first read on, and every caller has a copy of its own.
 */
export class Aside<V> {
  private readonly flights = new Map<string, Flight>();
  private readonly freshLoads = new FreshLoads();

  constructor(
    private readonly kept: Kept,
    private readonly options: AsideOptions,
  ) {}

  keyOf(id: string): string {
    return keyOf(this.options.prefix, id);
  }

  /** What is absent in the answer is known not to exist. */
  async getMany(ids: readonly string[], load: Load<V>): Promise<Map<string, V>> {
    const wanted = [...new Set(ids)];
    const found = new Map<string, V>();
    if (wanted.length === 0) return found;
    const texts = this.kept.mode === 'off' ? await textsOf(wanted, load) : await this.bring(wanted, load);
    const unusable = wanted.filter((id) => !put(found, id, texts.get(id), this.options.is));
    if (unusable.length > 0) {
      void this.kept.discard(unusable.map((id) => this.keyOf(id)));
      const loaded = await this.loadFresh(unusable, load);
      for (const id of unusable) put(found, id, loaded.get(id));
    }
    return found;
  }

  /** Asks the store, and gathers from everywhere it points to. `waited` is there when we ask again after a pause. */
  private async bring(
    wanted: readonly string[],
    load: Load<V>,
    waited?: { round: number; deadline: number },
  ): Promise<Texts> {
    const keys = wanted.map((id) => this.keyOf(id));
    const slots = await this.kept.ask(this.options.prefix, keys);
    if (slots === undefined) return this.loadFresh(wanted, load);

    const texts = new Map<string, string>();
    const arriving = new Set<Promise<Texts>>();
    const leased = new Map<string, string>();
    const awaited = new Map<string, string>();
    const alone: string[] = [];
    for (const [at, id] of wanted.entries()) {
      const slot = slots.get(keys[at]!);
      if (slot?.kind === 'kept') {
        texts.set(id, slot.text);
      } else if (slot === undefined || slot.kind === 'full') {
        alone.push(id);
      } else {
        const flight = this.flights.get(id);
        if (flight?.token === slot.token && !(flight.waits && waited)) arriving.add(flight.arriving);
        else (slot.kind === 'leased' ? leased : awaited).set(id, slot.token);
      }
    }
    if (leased.size > 0) arriving.add(this.lead(leased, load));
    if (awaited.size > 0) arriving.add(this.wait(awaited, load, waited));
    if (alone.length > 0) arriving.add(this.loadFresh(alone, load));
    return arriving.size === 0 ? texts : gather(wanted, texts, arriving);
  }

  /** Loads under our leases, and keeps what was found where the lease still stands by then. */
  private lead(leased: ReadonlyMap<string, string>, load: Load<V>): Promise<Texts> {
    const begunAt = this.kept.clock();
    const loading = textsOf([...leased.keys()], load);
    const filled = loading
      .catch(() => undefined) // Whoever asked hears of it; here it only means that the leases are given back.
      .then((texts) => this.kept.fill(this.options.prefix, this.fillsOf(leased, texts, begunAt)));
    this.fly(leased, { arriving: loading, waits: false }, filled);
    return loading;
  }

  /** Waits for what another process is loading; after a hundred milliseconds loads by itself, and fills nothing. */
  private wait(
    awaited: ReadonlyMap<string, string>,
    load: Load<V>,
    waited?: { round: number; deadline: number },
  ): Promise<Texts> {
    const { round, deadline } = waited ?? { round: 0, deadline: this.kept.clock() + WAIT_MAX_MS };
    const wanted = [...awaited.keys()];
    const pauseMs = PAUSES_MS[round];
    if (pauseMs === undefined || this.kept.clock() >= deadline) return this.loadFresh(wanted, load);
    const waiting = this.kept.sleep(pauseMs).then(() => this.bring(wanted, load, { round: round + 1, deadline }));
    this.fly(
      awaited,
      { arriving: waiting, waits: true },
      waiting.catch(() => {}),
    );
    return waiting;
  }

  /** Lets others join until it has landed. */
  private fly(leases: ReadonlyMap<string, string>, flight: Omit<Flight, 'token'>, landed: Promise<unknown>): void {
    for (const [id, token] of leases) this.flights.set(id, { ...flight, token });
    void landed.then(() => {
      for (const id of leases.keys()) if (this.flights.get(id)?.arriving === flight.arriving) this.flights.delete(id);
    });
  }

  private loadFresh(wanted: readonly string[], load: Load<V>): Promise<Texts> {
    return gather(
      wanted,
      new Map(),
      this.freshLoads.bring(wanted, (own) => textsOf(own, load)),
    );
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

async function gather(
  wanted: readonly string[],
  texts: Map<string, string>,
  arriving: Iterable<Promise<Texts>>,
): Promise<Texts> {
  const parts = await Promise.all(arriving);
  for (const id of wanted) {
    for (const part of parts) {
      const text = part.get(id);
      if (text !== undefined) texts.set(id, text);
    }
  }
  return texts;
}

async function textsOf<V>(ids: readonly string[], load: Load<V>): Promise<Texts> {
  const loaded = await load(ids);
  return new Map(ids.map((id) => [id, JSON.stringify(loaded.get(id) ?? null)]));
}

/** False when the text is no value of ours. */
function put<V>(
  found: Map<string, V>,
  id: string,
  text: string | undefined,
  is?: (value: unknown) => boolean,
): boolean {
  if (text === undefined || text === 'null') return true;
  const value = parseKept(text);
  if (value === undefined || value === null || is?.(value) === false) return false;
  found.set(id, value as V);
  return true;
}
