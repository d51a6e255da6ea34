import type { Item } from './item.js';
import type { RunCache } from './run-cache.js';

/** Of a caller that waits for another process to load: 100 ms in all. */
const PAUSES_MS = [2, 4, 8, 16, 30, 40];
/** Nobody waits longer for a load in this process, and for at most so many: after that it loads by itself. */
const FLIGHT_MAX_MS = 10_000;
const FLIGHTS_MAX = 6;
const REFRESHING_MAX = 256;

/** One load for all who want the same: what one lookup loads and others may wait for, and what it waits for itself. */
export class Flights {
  readonly #run: RunCache;
  /** Loads in this process, and pauses for one in another, that were waited for. */
  #flown = 0;
  #paused = 0;
  /** What keeps that which this one has loaded. */
  readonly #fillings: Promise<void>[] = [];
  readonly #leading = new Map<string, () => void>();
  #waits = false;

  constructor(run: RunCache) {
    this.#run = run;
  }

  /** Does another request load it, in this process, or this one? */
  has(flight: string | undefined): boolean {
    return flight !== undefined && this.#run.graph.cache.flights.has(flight);
  }

  leads(flight: string | undefined): boolean {
    return flight !== undefined && this.#leading.has(flight);
  }

  /** This one loads it; whoever asks meanwhile may wait for that. */
  lead({ flight }: Item): void {
    const { flights } = this.#run.graph.cache;
    if (flight === undefined || flights.has(flight)) return;
    let over!: () => void;
    const flying = new Promise<void>((resolve) => (over = resolve));
    const late = setTimeout(() => landed(), FLIGHT_MAX_MS).unref();
    const landed = (): void => {
      clearTimeout(late);
      if (flights.get(flight) === flying) flights.delete(flight);
      over();
    };
    flights.set(flight, flying);
    this.#run.flights.add(flight);
    this.#leading.set(flight, landed);
  }

  /** Undefined: somebody loads it already. Else what to call when it has come. */
  leadRefresh(item: Item): (() => void) | undefined {
    const { refreshing } = this.#run.graph.cache;
    if (refreshing.has(item.entity) || refreshing.size >= REFRESHING_MAX) return undefined;
    refreshing.add(item.entity);
    return () => refreshing.delete(item.entity);
  }

  /** These have come, and are kept when `filling` is over. */
  fill(items: readonly Item[], filling: Promise<void>): void {
    this.#fillings.push(filling);
    void filling.then(() => this.land(items));
  }

  /**
   * What was loaded for these has come and is kept, or will never come: whoever waits for it looks again. As soon as that is so, and not
   * when all of this request is done: two requests that each wait for what the other loads would wait for ever.
   */
  land(items: readonly Item[]): void {
    for (const { flight } of items) {
      if (flight === undefined) continue;
      this.#leading.get(flight)?.();
      this.#leading.delete(flight);
    }
  }

  /** Whatever came of it, nobody waits for this one any more. */
  landed(): void {
    this.waitsNoMore();
    const left = [...this.#leading.values()];
    this.#leading.clear();
    if (left.length === 0) return;
    void Promise.all(this.#fillings).then(() => {
      for (const over of left) over();
    });
  }

  /** Counted from here on, and not when it begins to wait: in one turn of the event loop thousands may be told to. */
  mayWait(): boolean {
    const { cache } = this.#run.graph;
    if (this.#waits) return true;
    if (cache.waiters >= cache.waitersMax) return false;
    cache.waiters += 1;
    return (this.#waits = true);
  }

  waitsNoMore(): void {
    if (this.#waits) this.#run.graph.cache.waiters -= 1;
    this.#waits = false;
  }

  /**
   * Were these waited for often enough? When another process has had its time the first of us loads, and the others wait for that: so
   * whoever is told yes leads before its turn of the event loop ends, or all would.
   */
  hasWaited(items: readonly Item[]): boolean {
    if (this.#flown === FLIGHTS_MAX) return true;
    return this.#paused === PAUSES_MS.length && !items.some(({ flight }) => this.has(flight));
  }

  /**
   * Until it is time to look again. Of a load in this process it is known when it is over; of one in another only looking again tells, for
   * at most a tenth of a second.
   */
  async over(items: readonly Item[]): Promise<void> {
    const { cache } = this.#run.graph;
    const flights = items.flatMap(({ flight }) => cache.flights.get(flight ?? '') ?? []);
    if (flights.length > 0) {
      this.#flown += 1;
      await Promise.all(flights);
    } else {
      await cache.sleep(PAUSES_MS[this.#paused]!);
      this.#paused += 1;
    }
  }
}
