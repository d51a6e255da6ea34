import type { Database } from '#libs/database';
import { recount as recountTable } from '#libs/read-model';
import { postsCounted } from './counters.js';
import { backfillStep } from './timeline/backfill.js';
import { buildAllMissing } from './timeline/build.js';
import type { TimelineLimits } from './timeline/lists.js';

/**
 * Fills the store for a seed: facts, their events and our copies of the others', by multi-row inserts and without the outbox,
 * since every service is filled by its own such file. Loading the same rows again changes nothing. `recount` comes last.
 */
export async function loadPeople(database: Database, userIds: readonly string[]): Promise<void> {
  for (const chunk of chunksOf(userIds)) {
    await database.query(
      `INSERT INTO people (id, state) SELECT id, 'registered' FROM unnest($1::uuid[]) AS id ON CONFLICT (id) DO NOTHING`,
      [chunk],
    );
  }
}

export interface SeedEdge {
  readonly followerId: string;
  readonly followeeId: string;
}

export async function loadEdges(database: Database, edges: readonly SeedEdge[]): Promise<void> {
  for (const chunk of chunksOf(edges)) {
    await database.query(
      // Not marked as new: these people have no list yet, and the list that they get holds what their followees published.
      `INSERT INTO follow_edges (follower_id, followee_id, pushed) SELECT f.*, NOT EXISTS (
         SELECT FROM home_timelines h WHERE h.user_id = f.follower_id
       ) FROM unnest($1::uuid[], $2::uuid[]) AS f (follower_id, followee_id)
     ON CONFLICT (follower_id, followee_id) DO NOTHING`,
      [chunk.map((edge) => edge.followerId), chunk.map((edge) => edge.followeeId)],
    );
  }
}

export async function loadBlocks(
  database: Database,
  blocks: readonly { readonly blockerId: string; readonly blockedId: string }[],
): Promise<void> {
  for (const chunk of chunksOf(blocks)) {
    await database.query(
      `INSERT INTO block_edges (blocker_id, blocked_id) SELECT * FROM unnest($1::uuid[], $2::uuid[])
       ON CONFLICT (blocker_id, blocked_id) DO NOTHING`,
      [chunk.map((block) => block.blockerId), chunk.map((block) => block.blockedId)],
    );
  }
}

export interface SeedPost {
  readonly id: string;
  readonly authorId: string;
  readonly body: string;
  /** RFC 3339, UTC, milliseconds. */
  readonly createdAt: string;
  readonly inReplyToId: string | null;
}

/**
 * A post and its first fact in one statement, so there is never one without the other. Its version is 1 and no event tells of that, so
 * whoever hears posts counts it as heard (users' own bulk).
 */
export async function loadPosts(database: Database, posts: readonly SeedPost[]): Promise<void> {
  for (const chunk of chunksOf(posts)) {
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
        chunk.map((post) => post.id),
        chunk.map((post) => post.authorId),
        chunk.map((post) => post.body),
        chunk.map((post) => post.createdAt),
        chunk.map((post) => post.createdAt),
        chunk.map((post) => post.inReplyToId),
      ],
    );
  }
}

/** No event tells of it, so none is counted: the first that does is the first that there is, for whoever it is brought to. */
export async function loadLikes(
  database: Database,
  likes: readonly { readonly postId: string; readonly userId: string }[],
): Promise<void> {
  for (const chunk of chunksOf(likes)) {
    await database.query(
      `INSERT INTO likes (post_id, user_id, liked, version, at)
     SELECT post_id, user_id, true, 0, now() FROM unnest($1::uuid[], $2::uuid[]) AS l (post_id, user_id)
     ON CONFLICT (post_id, user_id) DO NOTHING`,
      [chunk.map((like) => like.postId), chunk.map((like) => like.userId)],
    );
  }
}

/** Exact also while others write, for whoever changes a count holds its row. */
export async function recount(database: Database): Promise<void> {
  for (const counted of postsCounted) await recountTable(database, counted, CHUNK);
}

/** The home timelines of everybody who was loaded; after everything else, for only what is there by then is in them. */
export async function fillTimelines(
  database: Database,
  limits: TimelineLimits,
  onPeople: (people: number) => void = () => {},
): Promise<void> {
  await buildAllMissing(database, limits, onPeople);
  while ((await backfillStep(database, limits)) > 0);
}

const CHUNK = 2_000;

function* chunksOf<T>(rows: readonly T[]): Generator<readonly T[]> {
  for (let at = 0; at < rows.length; at += CHUNK) yield rows.slice(at, at + CHUNK);
}
