import type { Statements } from '#libs/database';
import type { CountedPost } from '../post.js';
import { postCountOf } from '../post.counts.js';
import { NEWEST_MAX, type KnownPerson } from '../post.cache.js';
import { POST_COLUMNS, postOf, type PostRow } from '../post.row.js';

/** Whoever sees them: a block is not looked at. */
export async function postsByIds(database: Statements, ids: readonly string[]): Promise<Map<string, CountedPost>> {
  const rows = await database.query<PostRow>(
    `SELECT ${POST_COLUMNS} FROM posts p WHERE p.id = ANY($1::uuid[]) AND p.state = 'published'`,
    [ids],
  );
  return new Map(rows.map((row) => [row.id, postOf(row)]));
}

export async function peopleByIds(database: Statements, ids: readonly string[]): Promise<Map<string, KnownPerson>> {
  const rows = await database.query<{ id: string; postCount: number }>(
    `SELECT id, greatest(0, ${postCountOf('p')}) AS "postCount" FROM people p WHERE id = ANY($1::uuid[]) AND state = 'registered'`,
    [ids],
  );
  return new Map(rows.map(({ id, postCount }) => [id, { postCount }]));
}

/** The ids of each person's newest posts, as many as a page can have and one more. */
export async function newestPostIds(
  database: Statements,
  authorIds: readonly string[],
): Promise<Map<string, string[]>> {
  const rows = await database.query<{ id: string; ids: string[] }>(
    `SELECT a.id, ARRAY(
       SELECT p.id FROM posts p WHERE p.author_id = a.id AND p.state = 'published' ORDER BY p.id DESC LIMIT ${NEWEST_MAX}
     ) AS ids FROM unnest($1::uuid[]) AS a (id)`,
    [authorIds],
  );
  return new Map(rows.map(({ id, ids }) => [id, ids]));
}

/** Of these posts, those that the viewer likes. */
export async function likedBy(database: Statements, viewer: string, postIds: readonly string[]): Promise<string[]> {
  const rows = await database.query<{ id: string }>(
    'SELECT post_id AS id FROM likes WHERE post_id = ANY($2::uuid[]) AND user_id = $1 AND liked',
    [viewer, postIds],
  );
  return rows.map(({ id }) => id);
}

/** Of these people, those whom the viewer blocks or who block the viewer. */
export async function blockedWith(database: Statements, viewer: string, ids: readonly string[]): Promise<string[]> {
  const rows = await database.query<{ id: string }>(
    `SELECT blocked_id AS id FROM block_edges WHERE blocker_id = $1 AND blocked_id = ANY($2::uuid[])
     UNION SELECT blocker_id FROM block_edges WHERE blocked_id = $1 AND blocker_id = ANY($2::uuid[])`,
    [viewer, ids],
  );
  return rows.map(({ id }) => id);
}
