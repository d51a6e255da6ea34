import type { Statements } from '#libs/database';

/**
 * Fills an empty store for the seed: facts, their events and our copies of the others', by multi-row inserts and without the
 * outbox, since every service is filled by its own such file. `recount` comes last. Callers give chunks of a few thousand.
 */
export async function loadPeople(database: Statements, userIds: readonly string[]): Promise<void> {
  await database.query(
    `INSERT INTO people (id, state) SELECT id, 'registered' FROM unnest($1::uuid[]) AS id ON CONFLICT (id) DO NOTHING`,
    [userIds],
  );
}

export interface SeedEdge {
  readonly followerId: string;
  readonly followeeId: string;
}

export async function loadEdges(database: Statements, edges: readonly SeedEdge[]): Promise<void> {
  await database.query(
    `INSERT INTO follow_edges (follower_id, followee_id) SELECT * FROM unnest($1::uuid[], $2::uuid[])
     ON CONFLICT (follower_id, followee_id) DO NOTHING`,
    [edges.map((edge) => edge.followerId), edges.map((edge) => edge.followeeId)],
  );
}

export interface SeedPost {
  readonly id: string;
  readonly authorId: string;
  readonly body: string;
  /** RFC 3339, UTC, milliseconds. */
  readonly createdAt: string;
  readonly inReplyToId: string | null;
}

/** A post and its first event in one statement, so there is never one without the other. */
export async function loadPosts(database: Statements, posts: readonly SeedPost[]): Promise<void> {
  await database.query(
    `WITH seeds AS (
       SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::timestamptz[], $5::text[], $6::uuid[])
         AS s (id, author_id, body, created_at, at, in_reply_to_id)
     ), published AS (
       INSERT INTO posts (id, author_id, body, created_at, in_reply_to_id, version, state)
       SELECT id, author_id, body, created_at, in_reply_to_id, 1, 'published' FROM seeds
       ON CONFLICT (id) DO NOTHING RETURNING id
     )
     INSERT INTO post_events (post_id, version, fact, actor)
     SELECT s.id, 1, jsonb_build_object(
       'type', 'published', 'authorId', s.author_id, 'body', s.body, 'inReplyToId', s.in_reply_to_id, 'at', s.at
     ), s.author_id
     FROM seeds s JOIN published USING (id)`,
    [
      posts.map((post) => post.id),
      posts.map((post) => post.authorId),
      posts.map((post) => post.body),
      posts.map((post) => post.createdAt),
      posts.map((post) => post.createdAt),
      posts.map((post) => post.inReplyToId),
    ],
  );
}

export async function loadLikes(
  database: Statements,
  likes: readonly { readonly postId: string; readonly userId: string }[],
): Promise<void> {
  await database.query(
    `INSERT INTO likes (post_id, user_id, liked, version, at)
     SELECT post_id, user_id, true, 1, now() FROM unnest($1::uuid[], $2::uuid[]) AS l (post_id, user_id)
     ON CONFLICT (post_id, user_id) DO NOTHING`,
    [likes.map((like) => like.postId), likes.map((like) => like.userId)],
  );
}

/**
 * Every count from its rows. A thousand posts or people at a time, so that it keeps within the statement timeout at any size.
 */
export async function recount(database: Statements): Promise<void> {
  await inChunks(
    database,
    `UPDATE posts p SET
       like_count = (SELECT count(*) FROM likes l WHERE l.post_id = p.id AND l.liked),
       reply_count = (SELECT count(*) FROM posts r WHERE r.in_reply_to_id = p.id AND r.state = 'published')
     WHERE p.id IN (SELECT id FROM posts WHERE id > $1 ORDER BY id LIMIT ${CHUNK}) RETURNING p.id`,
  );
  await inChunks(
    database,
    `UPDATE people u SET
       post_count = (SELECT count(*) FROM posts p WHERE p.author_id = u.id AND p.state = 'published')
     WHERE u.id IN (SELECT id FROM people WHERE id > $1 ORDER BY id LIMIT ${CHUNK}) RETURNING u.id`,
  );
}

const CHUNK = 1_000;

async function inChunks(database: Statements, statement: string): Promise<void> {
  let last = '00000000-0000-0000-0000-000000000000';
  for (;;) {
    const [row] = await database.query<{ last: string | null }>(
      `WITH counted AS (${statement}) SELECT max(id::text) AS last FROM counted`,
      [last],
    );
    if (row?.last == null) return;
    last = row.last;
  }
}
