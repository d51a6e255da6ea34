import { setMaxListeners } from 'node:events';
import type { Clock, Logger } from '#libs/telemetry';
import type { SubgraphClient } from '../engine.js';
import type { Supergraph } from './supergraph.js';

const TRY_MS = 1_000;
const RETRY_MS = 150;
const RETRY_MS_MAX = 2_000;
/** While one is waited for this gateway is not ready: that is said this often. */
const SAID_MS = 60_000;

/**
 * Which subgraphs have answered at least once. Asked only until each of them has: one that goes away later is a hole in answers, and
 * no reason to take every gateway out of service.
 */
export class Reachable {
  readonly #client: SubgraphClient;
  readonly #logger: Logger;
  readonly #clock: Clock;
  /** Those that are asked for, until they have answered or nobody names them. */
  readonly #named = new Set<string>();
  readonly #seen = new Set<string>();
  readonly #troubles = new Map<string, string>();
  readonly #closed = new AbortController();

  constructor(parts: { client: SubgraphClient; logger: Logger; clock: Clock }) {
    this.#client = parts.client;
    this.#logger = parts.logger;
    this.#clock = parts.clock;
    // One listener for each subgraph of a graph, and there may be many.
    setMaxListeners(0, this.#closed.signal);
  }

  /** What is still waited for, in words that name no address. */
  missing(supergraph: Supergraph): string[] {
    return [...supergraph.subgraphs.values()]
      .filter((subgraph) => !this.#seen.has(keyOf(subgraph)))
      .map(({ name }) => `subgraph ${name}: ${this.#troubles.get(name) ?? 'it has not answered yet'}`);
  }

  /** Resolves when every subgraph of it has answered, or is no longer named. */
  async all(supergraph: Supergraph): Promise<void> {
    await Promise.all([...supergraph.subgraphs.values()].map((subgraph) => this.#until(subgraph)));
  }

  /** Asks no others any more. */
  keep(supergraphs: readonly Supergraph[]): void {
    const named = new Set(supergraphs.flatMap(({ subgraphs }) => [...subgraphs.values()].map(keyOf)));
    for (const key of this.#named) if (!named.has(key)) this.#named.delete(key);
  }

  close(): void {
    this.#closed.abort();
  }

  async #until(subgraph: { name: string; url: string }): Promise<void> {
    const key = keyOf(subgraph);
    this.#named.add(key);
    let saidAt = Number.NEGATIVE_INFINITY;
    for (
      let waitMs = RETRY_MS;
      !this.#seen.has(key) && this.#named.has(key) && !this.#closed.signal.aborted;
      waitMs = Math.min(waitMs * 1.5, RETRY_MS_MAX)
    ) {
      try {
        await this.#client.post(
          { subgraph: subgraph.name, url: subgraph.url, type: 'query', body: '{"query":"{__typename}"}' },
          {
            requestId: 'is-it-there',
            subject: null,
            headers: new Map(),
            signal: this.#closed.signal,
            deadline: this.#clock() + TRY_MS,
            responseHeaders: [],
          },
        );
        this.#seen.add(key);
        this.#troubles.delete(subgraph.name);
      } catch (error) {
        const trouble = TROUBLES[(error as { code?: string }).code ?? ''] ?? 'it does not answer';
        const now = this.#clock();
        if (this.#troubles.get(subgraph.name) !== trouble || now - saidAt >= SAID_MS) {
          saidAt = now;
          this.#logger.warn(
            { subgraph: subgraph.name, url: subgraph.url, detail: String(error) },
            'Waiting for a subgraph',
          );
        }
        this.#troubles.set(subgraph.name, trouble);
        await sleep(waitMs, this.#closed.signal);
      }
    }
  }
}

const TROUBLES: Record<string, string> = {
  SUBGRAPH_UNAVAILABLE: 'it cannot be reached',
  SUBGRAPH_TIMEOUT: 'it does not answer in time',
  SUBGRAPH_BAD_RESPONSE: 'it answers, but refuses this gateway or is no GraphQL service',
};

function keyOf({ name, url }: { name: string; url: string }): string {
  return `${name} ${url}`;
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, ms).unref();
    signal.addEventListener('abort', end);
  });
}
