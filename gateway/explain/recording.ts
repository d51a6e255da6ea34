import { asFailure } from '#libs/failure';
import type { RunCache } from '../cache/run-cache.js';
import type { Compiled, CompiledFetch, CompiledRoot } from '../run/compile.js';
import type { Observer } from '../run/observer.js';
import type { Outgoing } from '../run/requests.js';
import type { Send } from '../run/run.js';
import { criticalPath, type Explanation, type FetchExplained, type RequestExplained } from './explanation.js';

interface FetchTimes {
  ready?: number;
  sent?: number;
  answered?: number;
  ended?: number;
  asked: number;
  different: number;
  found: number;
  kept: number;
  readonly requests: number[];
}

/** Writes down how one run goes. Made, and even loaded, only for a request that asks for it. */
export class Recording implements Observer {
  readonly #now: () => number;
  readonly #began: number;
  /** Calls of the whole engine so far that took somebody else's answer. */
  readonly #joined: () => number;
  readonly #times = new Map<number, FetchTimes>();
  readonly #requests: RequestExplained[] = [];
  #compiled: Compiled | undefined;
  #cached: Explanation['cache'];
  #planCached = false;
  #planned = 0;

  constructor(joined: () => number, now: () => number = () => performance.now()) {
    this.#joined = joined;
    this.#now = now;
    this.#began = now();
  }

  planned(compiled: Compiled, cached: boolean): void {
    this.#compiled = compiled;
    this.#planCached = cached;
    this.#planned = this.#us();
  }

  ready(fetch: CompiledFetch): void {
    this.#of(fetch.id).ready = this.#us();
  }

  kept(fetch: CompiledFetch): void {
    this.#of(fetch.id).kept += 1;
  }

  ended(fetch: CompiledFetch): void {
    this.#of(fetch.id).ended = this.#us();
  }

  sending(send: Send, what: CompiledRoot | Outgoing): Send {
    let body = 0;
    return async (subgraph, type, text) => {
      // The bodies of a list that goes in pieces are sent in their order.
      const counted = 'asked' in what ? countsOf(what, body++) : [{ id: what.id, asked: 1, different: 1, alias: '' }];
      const before = this.#joined();
      const sent = this.#us();
      const answer = send(subgraph, type, text);
      const joined = this.#joined() > before;
      const ids = counted.map(({ id }) => id);
      for (const { id, asked, different } of counted) {
        const times = this.#of(id);
        times.sent ??= sent;
        times.asked += asked;
        times.different += different;
      }
      const tell = (bytesIn: number, failed?: string) => {
        const answered = this.#us();
        const index = this.#requests.length;
        this.#requests.push({
          subgraph,
          fetches: [...new Set(ids)],
          us: { sent, answered },
          bytesOut: Buffer.byteLength(text),
          bytesIn,
          joined,
          ...(failed === undefined ? {} : { failed }),
        });
        for (const id of ids) {
          this.#of(id).answered = answered;
          this.#of(id).requests.push(index);
        }
      };
      try {
        const bytes = await answer;
        tell(bytes.length);
        for (const { id, alias } of counted) this.#of(id).found += foundIn(bytes, alias);
        return bytes;
      } catch (error) {
        tell(0, asFailure(error).code);
        throw error;
      }
    };
  }

  cached({ found, reasons }: RunCache): void {
    const fields = new Set([...found.keys(), ...reasons.keys()]);
    this.#cached = [...fields].map((field) => ({
      field,
      found: found.get(field) ?? 0,
      missing: Object.fromEntries(reasons.get(field) ?? []),
    }));
  }

  explanation(about: Pick<Explanation, 'engine' | 'operation' | 'plan' | 'cost'>, ran: number): Explanation {
    const fetches = (this.#compiled?.fetches ?? []).map((fetch) => this.#explained(fetch));
    return {
      version: 1,
      ...about,
      planCached: this.#planCached,
      us: { planned: this.#planned, ran, total: this.#us() },
      fetches,
      requests: this.#requests,
      criticalPath: criticalPath(fetches),
      ...(this.#cached ? { cache: this.#cached } : {}),
    };
  }

  /** µs since it began. */
  elapsed(): number {
    return this.#us();
  }

  #explained(fetch: CompiledFetch): FetchExplained {
    const { asked, different, found, kept, requests, ...us } = this.#of(fetch.id);
    const units = fetch.kind === 'root' ? [] : fetch.units;
    return {
      id: fetch.id,
      subgraph: fetch.subgraph,
      kind: fetch.kind === 'entities' ? 'entities' : fetch.mutation ? 'mutation' : 'query',
      at:
        fetch.kind === 'root'
          ? fetch.locator.keys.length > 0
            ? [fetch.locator.keys.join('.')]
            : []
          : units.flatMap(({ locators }) => locators.map(({ keys }) => keys.join('.'))),
      waitsFor: this.#compiled!.fetches.filter(({ next }) => next.includes(fetch)).map(({ id }) => id),
      query: fetch.kind === 'root' ? fetch.operation : units.map(({ alone }) => alone.operation).join('\n'),
      us,
      asked,
      sent: different,
      found,
      duplicates: asked - different,
      ...(this.#cached ? { kept } : {}),
      requests: [...new Set(requests)],
    };
  }

  #of(id: number): FetchTimes {
    let times = this.#times.get(id);
    if (!times) {
      times = { asked: 0, different: 0, found: 0, kept: 0, requests: [] };
      this.#times.set(id, times);
    }
    return times;
  }

  #us(): number {
    return Math.round((this.#now() - this.#began) * 1_000);
  }
}

function countsOf({ asked }: Outgoing, body: number) {
  return asked
    .filter((one) => one.body === body)
    .map(({ part, offset, count, alias }) => ({
      id: part.fetch.id,
      asked: part.targets.slice(offset, offset + count).reduce((sum, places) => sum + places.length, 0),
      different: count,
      alias,
    }));
}

/** What cannot be read is told as an error of the answer, not here. */
function foundIn(bytes: Buffer, alias: string): number {
  try {
    const { data } = JSON.parse(bytes.toString('utf8')) as { data?: Record<string, unknown> | null };
    if (!data) return 0;
    if (alias === '') return 1;
    const entities = data[alias];
    return Array.isArray(entities) ? entities.filter((entity) => entity !== null).length : 0;
  } catch {
    return 0;
  }
}
