import type { Asker } from '#libs/database';
import { keyed, perRequest, type Loader } from '#libs/loader';
import type { RequestContext } from '#libs/subgraph-kit';
import type { Counts, Direction, Edge, Entry } from '../relation.cache.js';
import type { PageAsk } from './relation.queries.js';
import type { RelationReads } from './relation.reads.js';

/** The loaders of one request, so of one viewer. */
export interface RelationLoaders {
  readonly counts: Loader<string, Counts | null>;
  /** By target. Null for everybody when nobody is logged in. */
  readonly edges: Loader<string, Edge | null>;
  readonly pages: Readonly<Record<Direction, Loader<PageAsk, Entry[] | null>>>;
  /** After a write of this request, what was read before it is not shown any more. */
  clear(): void;
}

/** How somebody reads. */
type Reads = (asked: Asker) => RelationReads;

/** `source`: as `kept`, but for who must not be shown what is kept. */
export function relationLoaders(parts: { kept: Reads; source: Reads }): (context: RequestContext) => RelationLoaders {
  return perRequest((context: RequestContext) => {
    const { viewer, fresh } = context;
    const reads = (fresh ? parts.source : parts.kept)(context);
    const pages = (direction: Direction) =>
      keyed<PageAsk, Entry[]>(
        async (asks) => {
          const found = await reads.pages(direction, viewer, asks);
          return new Map(asks.map((ask, index) => [pageKey(ask), found[index] ?? []]));
        },
        { keyOf: pageKey },
      );
    const loaders = {
      counts: keyed<string, Counts>((ids) => reads.counts(ids)),
      edges: keyed<string, Edge>(async (ids) => (viewer === null ? new Map() : reads.edges(viewer, ids))),
      pages: { followers: pages('followers'), following: pages('following') },
    };
    return {
      ...loaders,
      clear: () => {
        for (const loader of [loaders.counts, loaders.edges, loaders.pages.followers, loaders.pages.following]) {
          loader.clearAll();
        }
      },
    };
  });
}

function pageKey({ userId, rows, behind }: PageAsk): string {
  return [userId, rows, ...(behind ?? [])].join(' ');
}
