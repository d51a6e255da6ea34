import type { Statements } from '#libs/database';
import type { CountedPost } from '../post.js';
import { noBlockBetween, POST_COLUMNS, postOf, type PostRow } from '../post.row.js';
import { viewOf } from '../trending/slices.js';

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
  let slot = answeredLast;
  for (let asked = 0; asked < ASKED_MAX; asked++) {
    const rows = await database.query<Row>(
      // Of a version that does not answer it reads nothing: it is told so by `serving`.
      `SELECT m.serving, m.made_at AS "asOf", t.score::text AS score, t.* FROM (
         SELECT serving, (SELECT min(made_at) FROM trending_slices WHERE slot = serving) AS made_at
         FROM read_models WHERE name = 'trending'
       ) m LEFT JOIN (
         SELECT v.score AS score, ${POST_COLUMNS} FROM ${viewOf(slot)} v JOIN posts p ON p.id = v.id AND p.state = 'published'
         WHERE (SELECT serving FROM read_models WHERE name = 'trending') = ${slot}
           AND (v.score, v.id) < ($2::float8, $3::uuid) AND ${noBlockBetween('$1::uuid', 'v.author_id')}
         ORDER BY v.score DESC, v.id DESC LIMIT $4
       ) t ON true
       ORDER BY t.score DESC, t.id DESC`,
      [viewer, after?.score ?? 'Infinity', after?.id ?? LAST_ID, take],
    );
    const { serving, asOf } = rows[0] ?? {};
    if (!serving || !asOf) throw new Error('There is no read model named trending');
    if (serving === slot) {
      answeredLast = slot;
      return {
        asOf: asOf.toISOString(),
        posts: rows.flatMap((row) => (row.id === null ? [] : [{ score: String(row.score), post: postOf(row) }])),
      };
    }
    slot = serving;
  }
  throw new Error('The trending posts were switched at each attempt to read them');
}

type Row = { readonly serving: number; readonly asOf: Date | null; readonly score: string } & (PostRow | { id: null });

/** Asked first. Wrong, it costs a second statement, once for each switch. */
let answeredLast = 1;
const ASKED_MAX = 3;
const LAST_ID = 'ffffffff-ffff-ffff-ffff-ffffffffffff';
