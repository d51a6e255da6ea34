import type { Statements } from '#libs/database';
import { evolve, type Post, type PostFact } from './post.js';
import { SNAPSHOT_SHAPE } from './snapshot.js';
import { factOf } from './stored-fact.js';

/** A point in a post's history: at most this version, at most this late. */
export interface Moment {
  readonly id: string;
  readonly version?: number;
  /** RFC 3339, UTC, milliseconds. */
  readonly at?: string;
}

/** What the facts made of a post, and the last of them. */
export interface Replayed {
  readonly post: Post;
  readonly fact: PostFact;
}

/**
 * Posts as they were, from their facts alone: the nearest snapshot before each moment, and the facts from there to the next
 * snapshot, so neither the search nor the fold grows with a post's history. One statement for all. Undefined: not yet published;
 * also, `of` published posts, what is gone by now.
 */
export async function replay(
  database: Statements,
  moments: readonly Moment[],
  of: 'all' | 'published' = 'all',
): Promise<(Replayed | undefined)[]> {
  const rows = await database.query<ReplayRow>(
    `SELECT k.n::int AS n, CASE WHEN e.version = s.version THEN s.post END AS snapshot,
       e.version, e.fact_version AS "factVersion", e.fact
     FROM unnest($1::uuid[], $2::int[], $3::timestamptz[]) WITH ORDINALITY AS k (post_id, version, at, n)
     LEFT JOIN LATERAL (
       SELECT s.version, s.post FROM post_snapshots s
       WHERE s.post_id = k.post_id AND s.version <= k.version AND s.at <= k.at AND s.shape = ${SNAPSHOT_SHAPE}
       ORDER BY s.version DESC LIMIT 1
     ) s ON true
     LEFT JOIN LATERAL (
       SELECT s2.version FROM post_snapshots s2
       WHERE s2.post_id = k.post_id AND s2.version > coalesce(s.version, 0) AND s2.shape = ${SNAPSHOT_SHAPE}
       ORDER BY s2.version LIMIT 1
     ) next ON true
     JOIN post_events e ON e.post_id = k.post_id AND e.version >= coalesce(s.version, 1)
       AND e.version <= k.version AND e.version < coalesce(next.version, ${VERSION_MAX})
     ${of === 'all' ? '' : `JOIN posts p ON p.id = k.post_id AND p.state = 'published'`}
     ORDER BY k.n, e.version`,
    [
      moments.map((moment) => moment.id),
      moments.map((moment) => moment.version ?? VERSION_MAX),
      moments.map((moment) => moment.at ?? 'infinity'),
    ],
  );
  const found: (Replayed | undefined)[] = moments.map(() => undefined);
  const over = new Set<number>();
  for (const { n, snapshot, factVersion, fact: stored } of rows) {
    const { id, at } = moments[n - 1] as Moment;
    const fact = factOf(stored, factVersion);
    if (at !== undefined && fact.at > at) over.add(n);
    if (!over.has(n)) found[n - 1] = { post: snapshot ?? evolve(id, found[n - 1]?.post, fact), fact };
  }
  return found;
}

interface ReplayRow {
  /** Which moment, from 1. */
  readonly n: number;
  /** Stands for the fact of its own version and all before it. */
  readonly snapshot: Post | null;
  readonly factVersion: number;
  readonly fact: Record<string, unknown>;
}

const VERSION_MAX = 2_147_483_647;
