import type { Logger } from '#libs/telemetry';
import type { Engine } from '../engine.js';
import type { Documents } from '../http/documents.js';
import type { SupergraphSource } from './source.js';
import type { Supergraph } from './supergraph.js';

/** All that belongs to one supergraph. A request takes it once and finishes on it, whatever is switched in meanwhile. */
export interface Serving {
  readonly supergraph: Supergraph;
  readonly engine: Engine;
  readonly documents: Documents;
}

/** The first tries come quickly, for a gateway is often started before what it waits for. */
const RETRY_MS = 200;
const READ_MS = 5_000;
/** While there is none to serve, nobody is answered: that is said this often. */
export const WAITS_SAID_MS = 60_000;

/**
 * Reads the supergraph, again and again, and serves the last good one. A new one is built whole beside the old one and switched in by
 * one assignment; the old engine is closed when its last request has been answered.
 */
export class ServedSupergraph {
  readonly #source: SupergraphSource;
  readonly #build: (sdl: string) => Promise<Serving>;
  readonly #pollMs: number;
  readonly #logger: Logger;
  readonly #waitsSaidMs: number;
  readonly #used: (supergraphs: readonly Supergraph[]) => void;
  readonly #inUse = new Set<Counted>();
  readonly #waiting = new Set<() => void>();
  #current: Counted | undefined;
  #trouble: string | undefined = 'it has not been read yet';
  /** Of `trouble` what the newest text itself is to blame for: it stays until there is another text. */
  #refused: string | undefined;
  #failures = 0;
  #saidAt = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;
  #reading: Promise<void> | undefined;
  #closed = new AbortController();

  constructor(parts: {
    source: SupergraphSource;
    build: (sdl: string) => Promise<Serving>;
    pollMs: number;
    logger: Logger;
    /** How often it is said that there is none, ms. */
    waitsSaidMs?: number;
    /** Told at each look, and when an old one has ended, by which supergraphs somebody is answered. */
    used?: (supergraphs: readonly Supergraph[]) => void;
  }) {
    this.#source = parts.source;
    this.#build = parts.build;
    this.#pollMs = parts.pollMs;
    this.#logger = parts.logger;
    this.#waitsSaidMs = parts.waitsSaidMs ?? WAITS_SAID_MS;
    this.#used = parts.used ?? (() => {});
  }

  /** Begins to read and to watch; resolves after the first try, whatever came of it. */
  start(): Promise<void> {
    return this.refresh();
  }

  get current(): Serving | undefined {
    return this.#current?.serving;
  }

  /** Why the newest supergraph is not (yet) served; undefined when it is. */
  get trouble(): string | undefined {
    return this.#trouble;
  }

  /** Resolves when there is one to serve. */
  served(): Promise<void> {
    return this.#current ? Promise.resolve() : new Promise((resolve) => this.#waiting.add(resolve));
  }

  /** Runs `work` on the one that is current now. */
  async with<T>(work: (serving: Serving) => Promise<T>): Promise<T | undefined> {
    const taken = this.#current;
    if (taken === undefined) return undefined;
    taken.inFlight += 1;
    try {
      return await work(taken.serving);
    } finally {
      taken.inFlight -= 1;
      this.#retire(taken);
    }
  }

  /** Looks now rather than at the next turn. */
  refresh(): Promise<void> {
    clearTimeout(this.#timer);
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined;
      if (this.#closed.signal.aborted) return;
      this.#tellUsed();
      const wait =
        this.#failures === 0
          ? this.#pollMs
          : Math.min(this.#pollMs, RETRY_MS * 1.5 ** Math.min(this.#failures - 1, 20));
      this.#timer = setTimeout(() => void this.refresh(), wait).unref();
    });
    return this.#reading;
  }

  async close(): Promise<void> {
    this.#closed.abort();
    clearTimeout(this.#timer);
    await this.#reading;
    const last = this.#current;
    this.#current = undefined;
    if (last) await last.serving.engine.close();
  }

  async #read(): Promise<void> {
    let read: string | undefined;
    try {
      const sdl = await this.#source.read(AbortSignal.any([this.#closed.signal, AbortSignal.timeout(READ_MS)]));
      this.#failures = 0;
      if (sdl === undefined) {
        // Where it comes from was away, and is there again with what is known of it already.
        if (this.#trouble !== this.#refused)
          this.#logger.info({ from: this.#source.from }, 'The supergraph can be read again');
        this.#trouble = this.#refused;
        return;
      }
      read = sdl;
      const serving = await this.#build(sdl);
      if (this.#closed.signal.aborted) {
        await serving.engine.close();
        return;
      }
      const old = this.#current;
      this.#current = { serving, inFlight: 0, retired: false };
      this.#inUse.add(this.#current);
      this.#trouble = this.#refused = undefined;
      const { supergraph, engine } = serving;
      this.#logger.info(
        {
          from: this.#source.from,
          supergraph: supergraph.id.slice(0, 12),
          subgraphs: [...supergraph.subgraphs.keys()],
          ...engine.about,
        },
        old ? 'Switched to a new supergraph' : 'Serving the supergraph',
      );
      if (old) this.#retire(old, true);
      for (const resolve of this.#waiting) resolve();
      this.#waiting.clear();
    } catch (error) {
      if (this.#closed.signal.aborted) return;
      this.#failures += 1;
      const trouble = error instanceof Error ? error.message : String(error);
      const now = performance.now();
      // Said once, not at every look; and again while nobody is answered for it.
      if (trouble !== this.#trouble || (!this.#current && now - this.#saidAt >= this.#waitsSaidMs)) {
        this.#saidAt = now;
        this.#logger[this.#current ? 'error' : 'warn'](
          { from: this.#source.from, trouble },
          SAID[this.#current ? 'stays' : 'waits'],
        );
      }
      this.#trouble = trouble;
      if (read !== undefined) this.#refused = trouble;
    }
  }

  #retire(counted: Counted, now = false): void {
    if (now) counted.retired = true;
    if (!counted.retired || counted.inFlight > 0 || counted.ended) return;
    counted.ended = true;
    this.#inUse.delete(counted);
    // One that is being built is told of when it is served, or is not.
    if (this.#reading === undefined) this.#tellUsed();
    counted.serving.engine
      .close()
      .catch((error: unknown) => this.#logger.error({ error: String(error) }, 'An old engine did not close'));
  }

  #tellUsed(): void {
    this.#used([...this.#inUse].map(({ serving }) => serving.supergraph));
  }
}

const SAID = {
  stays: 'The new supergraph cannot be served; the last good one stays',
  waits: 'There is no supergraph to serve yet; trying again',
};

interface Counted {
  readonly serving: Serving;
  inFlight: number;
  retired: boolean;
  ended?: boolean;
}
