/** `extensions.explain`: how one operation was answered. All times are µs since it began. Nothing in it names an address. */
export interface Explanation {
  readonly version: 1;
  readonly engine: Readonly<Record<string, string>>;
  /** As it was planned: literals lifted, introspection left out. */
  readonly operation: string;
  /** `plan/print-plan.ts` */
  readonly plan: string;
  /** What the operation was estimated to cost (http/cost.ts); absent: nobody has counted. */
  readonly cost?: number;
  readonly planCached: boolean;
  readonly us: { readonly planned: number; readonly ran: number; readonly total: number };
  readonly fetches: readonly FetchExplained[];
  readonly requests: readonly RequestExplained[];
  /** The fetches that decide the time, first to last: each began when the one before had ended. */
  readonly criticalPath: readonly number[];
  /** With the entity cache on: where each field came from. */
  readonly cache?: readonly CacheExplained[] | undefined;
}

export interface CacheExplained {
  /** `User.displayName` */
  readonly field: string;
  /** Values that were kept, */
  readonly found: number;
  /** and those that had to be loaded, by reason. */
  readonly missing: Readonly<Record<string, number>>;
}

export interface FetchExplained {
  readonly id: number;
  readonly subgraph: string;
  readonly kind: 'query' | 'mutation' | 'entities';
  /** Where in the answer its outcome goes; empty: at the root. */
  readonly at: readonly string[];
  readonly waitsFor: readonly number[];
  readonly query: string;
  /** Undefined: it never came to that, because there was nothing to ask about. */
  readonly us: { readonly ready?: number; readonly sent?: number; readonly answered?: number; readonly ended?: number };
  /** Places in the answer that wait for an entity, */
  readonly asked: number;
  /** how many different ones were sent for them, */
  readonly sent: number;
  /** and how many the subgraph knew. */
  readonly found: number;
  /** asked − sent */
  readonly duplicates: number;
  /** With the entity cache on: entities (of a root fetch: fields) of which all was kept, so that nobody was asked about them. */
  readonly kept?: number;
  /** Indices into `requests`; a long list goes in several. */
  readonly requests: readonly number[];
}

export interface RequestExplained {
  readonly subgraph: string;
  /** More than one: they travelled together. */
  readonly fetches: readonly number[];
  readonly us: { readonly sent: number; readonly answered: number };
  readonly bytesOut: number;
  readonly bytesIn: number;
  /** Somebody else's equal call was under way, and its answer was taken. */
  readonly joined: boolean;
  readonly failed?: string;
}

/** From the fetch that ended last back to one that waited for nobody, each time by whoever ended last before it. */
export function criticalPath(fetches: readonly Pick<FetchExplained, 'id' | 'waitsFor' | 'us'>[]): number[] {
  const byId = new Map(fetches.map((fetch) => [fetch.id, fetch]));
  const endOf = (id: number) => byId.get(id)?.us.ended ?? -1;
  const latest = (ids: readonly number[]) =>
    ids.reduce<number | undefined>(
      (best, id) => (best === undefined || endOf(id) > endOf(best) ? id : best),
      undefined,
    );
  const path: number[] = [];
  for (let id = latest([...byId.keys()]); id !== undefined; id = latest(byId.get(id)!.waitsFor)) path.unshift(id);
  return path;
}
