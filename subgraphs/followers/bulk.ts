import type { Database } from '#libs/database';
import { recount as recountTable } from '#libs/read-model';
import { followersCounted } from './counters.js';

/**
 * Many facts at once, for a seed: rows without events, so whoever keeps a copy (posts) is given the same rows by its own
 * bulk. Loading the same rows again changes nothing.
 */
export interface FollowRow {
  readonly followerId: string;
  readonly followeeId: string;
  /** RFC 3339, UTC, milliseconds. */
  readonly followedAt: string;
}

export interface BlockRow {
  readonly blockerId: string;
  readonly blockedId: string;
  readonly at: string;
}

export async function loadPeople(database: Database, userIds: readonly string[]): Promise<void> {
  for (const ids of chunksOf(userIds)) {
    await database.query(
      'INSERT INTO people (user_id) SELECT * FROM unnest($1::uuid[]) ON CONFLICT (user_id) DO NOTHING',
      [ids],
    );
  }
}

/** Counts are as they were until `recount`. */
export async function loadFollows(database: Database, rows: readonly FollowRow[]): Promise<void> {
  for (const chunk of chunksOf(rows)) {
    await database.query(
      `INSERT INTO follows (follower_id, followee_id, followed_at)
       SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) ON CONFLICT (follower_id, followee_id) DO NOTHING`,
      [
        chunk.map(({ followerId }) => followerId),
        chunk.map(({ followeeId }) => followeeId),
        chunk.map(({ followedAt }) => followedAt),
      ],
    );
  }
}

export async function loadBlocks(database: Database, rows: readonly BlockRow[]): Promise<void> {
  for (const chunk of chunksOf(rows)) {
    await database.query(
      `INSERT INTO blocks (blocker_id, blocked_id, at)
       SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) ON CONFLICT (blocker_id, blocked_id) DO NOTHING`,
      [chunk.map(({ blockerId }) => blockerId), chunk.map(({ blockedId }) => blockedId), chunk.map(({ at }) => at)],
    );
  }
}

/** Exact also while others write. */
export async function recount(database: Database): Promise<void> {
  for (const counted of followersCounted) await recountTable(database, counted);
}

/** A statement of a service may take 2 s; so many rows take 20–100 ms. */
const ROWS_PER_STATEMENT = 5_000;

function* chunksOf<T>(rows: readonly T[]): Generator<readonly T[]> {
  for (let from = 0; from < rows.length; from += ROWS_PER_STATEMENT) yield rows.slice(from, from + ROWS_PER_STATEMENT);
}
