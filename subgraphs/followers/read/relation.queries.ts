import type { Statements } from '#libs/database';

export interface Counts {
  readonly followers: number;
  readonly following: number;
}

/** What a viewer and a target are to each other, as the viewer may know it. */
export interface Edge {
  readonly follows: boolean;
  readonly followed: boolean;
  readonly blocks: boolean;
}

export type Direction = 'followers' | 'following';

/** One row of a list: who, and since when (RFC 3339, UTC, milliseconds). */
export type Entry = readonly [userId: string, followedAt: string];

export interface PageAsk {
  readonly direction: Direction;
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
    `SELECT w.id, coalesce(follower_count, 0) AS followers, coalesce(following_count, 0) AS following
     FROM unnest($1::uuid[]) AS w (id) LEFT JOIN people ON user_id = w.id
     WHERE coalesce(state, 'active') = 'active'`,
    [userIds],
  );
  return new Map(rows.map(({ id, followers, following }) => [id, { followers, following }]));
}

/** What each viewer and target are to each other, both directions by one statement; in the order asked. */
export async function edgesOf(
  statements: Statements,
  asks: readonly { viewer: string; target: string }[],
): Promise<Edge[]> {
  return statements.query<Edge>(
    `SELECT EXISTS (SELECT FROM follows WHERE follower_id = viewer AND followee_id = target) AS follows,
       EXISTS (SELECT FROM follows WHERE follower_id = target AND followee_id = viewer) AS followed,
       EXISTS (SELECT FROM blocks WHERE blocker_id = viewer AND blocked_id = target) AS blocks
     FROM unnest($1::uuid[], $2::uuid[]) WITH ORDINALITY AS w (viewer, target, n) ORDER BY n`,
    [asks.map(({ viewer }) => viewer), asks.map(({ target }) => target)],
  );
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

/** Whom each viewer is not shown, in either direction of the block; at most `most` + 1 of them. */
export async function hiddenFrom(
  statements: Statements,
  viewers: readonly string[],
  most: number,
): Promise<Map<string, string[]>> {
  const rows = await statements.query<{ viewer: string; ids: string[] }>(
    `SELECT viewer, ARRAY (
         (SELECT blocked_id FROM blocks WHERE blocker_id = viewer LIMIT $2)
         UNION (SELECT blocker_id FROM blocks WHERE blocked_id = viewer LIMIT $2)
         LIMIT $2
       ) AS ids
     FROM unnest($1::uuid[]) AS w (viewer)`,
    [viewers, most + 1],
  );
  return new Map(rows.map(({ viewer, ids }) => [viewer, ids]));
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
