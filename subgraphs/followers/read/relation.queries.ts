import type { Statements } from '#libs/database';
import type { Counts, Direction, Edge, Entry } from '../relation.cache.js';
import { wholeCount } from '../relation.counts.js';

export interface PageAsk {
  readonly userId: string;
  readonly rows: number;
  /** Undefined: from the newest. */
  readonly behind: Entry | undefined;
}

/**
 * Both counts of each person in one row. Who was deleted has none. Who was never heard of has 0: whether somebody exists is
 * for users to say, and nobody follows a person before this service has heard of both.
 */
export async function countsOf(statements: Statements, userIds: readonly string[]): Promise<Map<string, Counts>> {
  const rows = await statements.query<Counts & { id: string }>(
    `SELECT w.id, greatest(0, ${wholeCount('followers', 'p')}) AS followers, greatest(0, ${wholeCount('following', 'p')}) AS following
     FROM unnest($1::uuid[]) AS w (id) LEFT JOIN people p ON p.user_id = w.id
     WHERE coalesce(state, 'active') = 'active'`,
    [userIds],
  );
  return new Map(rows.map(({ id, followers, following }) => [id, { followers, following }]));
}

/** What the viewer and each target are to each other, both directions by one statement. */
export async function edgesOf(
  statements: Statements,
  viewer: string,
  targets: readonly string[],
): Promise<Map<string, Edge>> {
  const rows = await statements.query<Edge & { target: string }>(
    `SELECT target,
       EXISTS (SELECT FROM follows WHERE follower_id = $1 AND followee_id = target) AS follows,
       EXISTS (SELECT FROM follows WHERE follower_id = target AND followee_id = $1) AS followed,
       EXISTS (SELECT FROM blocks WHERE blocker_id = $1 AND blocked_id = target) AS blocks
     FROM unnest($2::uuid[]) AS w (target)`,
    [viewer, targets],
  );
  return new Map(rows.map(({ target, follows, followed, blocks }) => [target, { follows, followed, blocks }]));
}

/**
 * Pages of any number of lists of one direction, newest first, without the people whom a block stands between them and the
 * viewer; in the order asked. Each page is one descent of an index, wherever it begins.
 */
export async function pagesOf(
  statements: Statements,
  direction: Direction,
  viewer: string | null,
  asks: readonly PageAsk[],
): Promise<Entry[][]> {
  const rows = await statements.query<{ n: number; id: string; at: Date }>(PAGES[direction], [
    asks.map(({ userId }) => userId),
    asks.map(({ rows }) => rows),
    asks.map(({ behind }) => behind?.[1] ?? 'infinity'),
    asks.map(({ behind }) => behind?.[0] ?? 'ffffffff-ffff-ffff-ffff-ffffffffffff'),
    viewer,
  ]);
  const pages: Entry[][] = asks.map(() => []);
  for (const { n, id, at } of rows) pages[n - 1]?.push([id, at.toISOString()]);
  return pages;
}

/** Whom the viewer is not shown, whichever of the two blocks; at most `most` of them. */
export async function hiddenFrom(statements: Statements, viewer: string, most: number): Promise<string[]> {
  const rows = await statements.query<{ id: string }>(
    `SELECT id FROM (
       (SELECT blocked_id AS id FROM blocks WHERE blocker_id = $1 LIMIT $2)
       UNION (SELECT blocker_id FROM blocks WHERE blocked_id = $1 LIMIT $2)
     ) AS hidden LIMIT $2`,
    [viewer, most],
  );
  return rows.map(({ id }) => id);
}

const PAGES: Readonly<Record<Direction, string>> = {
  followers: pageStatement('followee_id', 'follower_id'),
  following: pageStatement('follower_id', 'followee_id'),
};

function pageStatement(owner: string, other: string): string {
  return `
    SELECT w.n::integer AS n, page.id, page.at
    FROM unnest($1::uuid[], $2::integer[], $3::timestamptz[], $4::uuid[]) WITH ORDINALITY AS w (user_id, rows, at, id, n)
    CROSS JOIN LATERAL (
      SELECT f.${other} AS id, f.followed_at AS at FROM follows f
      WHERE f.${owner} = w.user_id AND (f.followed_at, f.${other}) < (w.at, w.id)
        AND ($5::uuid IS NULL OR NOT EXISTS (
          SELECT FROM blocks WHERE (blocker_id = $5 AND blocked_id = f.${other}) OR (blocker_id = f.${other} AND blocked_id = $5)))
      ORDER BY f.followed_at DESC, f.${other} DESC
      LIMIT w.rows
    ) AS page
    ORDER BY w.n, page.at DESC, page.id DESC`;
}
