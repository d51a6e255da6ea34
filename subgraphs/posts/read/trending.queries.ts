import type { Statements } from '#libs/database';
import type { CountedPost } from '../post.js';
import { noBlockBetween, POST_COLUMNS, postOf, type PostRow } from '../post.row.js';

export interface TrendingPost {
  /** As PostgreSQL writes it: the shortest text that is the same number. */
  readonly score: string;
  readonly post: CountedPost;
}

export interface Trending {
  /** When the list was made. RFC 3339, UTC, milliseconds. */
  readonly asOf: string;
  readonly posts: readonly TrendingPost[];
}

/** One page of the list as it was made, less what is gone since and what a block hides from the viewer. */
export async function trendingPage(
  database: Statements,
  viewer: string | null,
  { after, take }: { readonly after: { score: string; id: string } | undefined; readonly take: number },
): Promise<Trending> {
  const rows = await database.query<{ asOf: Date | null; score: string } & (PostRow | { id: null })>(
    // Of the other version it reads nothing: what it is asked is whether it is the one.
    `SELECT m.made_at AS "asOf", t.score::text AS score, t.* FROM (
       SELECT min(made_at) AS made_at FROM trending_slices WHERE slot = ${SERVING}
     ) m LEFT JOIN (
       SELECT v.score AS score, ${POST_COLUMNS} FROM trending v JOIN posts p ON p.id = v.id AND p.state = 'published'
       WHERE v.slot = ${SERVING} AND (v.score, v.id) < ($2::float8, $3::uuid) AND ${noBlockBetween('$1::uuid', 'v.author_id')}
       ORDER BY v.score DESC, v.id DESC LIMIT $4
     ) t ON true
     ORDER BY t.score DESC, t.id DESC`,
    [viewer, after?.score ?? 'Infinity', after?.id ?? LAST_ID, take],
  );
  const asOf = rows[0]?.asOf;
  if (!asOf) throw new Error('There is no read model named trending');
  return {
    asOf: asOf.toISOString(),
    posts: rows.flatMap((row) => (row.id === null ? [] : [{ score: String(row.score), post: postOf(row) }])),
  };
}

const SERVING = `(SELECT serving FROM read_models WHERE name = 'trending')`;
const LAST_ID = 'ffffffff-ffff-ffff-ffff-ffffffffffff';
