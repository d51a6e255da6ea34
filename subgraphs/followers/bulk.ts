import type { Database } from '#libs/database';

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

/** Counts everybody's follows anew, some people at a time; exact also while others write. */
export async function recount(database: Database): Promise<void> {
  let last = '00000000-0000-0000-0000-000000000000';
  for (;;) {
    const ids = await database.transaction(async (tx) => {
      // Locked first; then deltas and rows are of one moment: a follow that is being written now is in both or in neither.
      const rows = await tx.query<{ id: string }>(
        'SELECT user_id AS id FROM people WHERE user_id > $1 ORDER BY user_id LIMIT $2 FOR NO KEY UPDATE',
        [last, PEOPLE_PER_COUNT],
      );
      const locked = rows.map(({ id }) => id);
      await tx.query(
        `WITH settled AS (DELETE FROM count_deltas WHERE user_id = ANY ($1::uuid[]))
         UPDATE people SET
           follower_count = (SELECT count(*) FROM follows WHERE followee_id = user_id),
           following_count = (SELECT count(*) FROM follows WHERE follower_id = user_id)
         WHERE user_id = ANY ($1::uuid[])`,
        [locked],
      );
      return locked;
    });
    if (ids.length < PEOPLE_PER_COUNT) return;
    last = ids.at(-1) ?? last;
  }
}

/** A statement of a service may take 2 s; so many rows take 20–100 ms. */
const ROWS_PER_STATEMENT = 5_000;
const PEOPLE_PER_COUNT = 1_000;

function* chunksOf<T>(rows: readonly T[]): Generator<readonly T[]> {
  for (let from = 0; from < rows.length; from += ROWS_PER_STATEMENT) yield rows.slice(from, from + ROWS_PER_STATEMENT);
}
