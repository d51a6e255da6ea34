import type { Database } from '#libs/database';
import { countAsHeard } from '#libs/outbox';
import type { Sealer } from '#libs/sealing';
import { sealEmail } from './sealing.js';

export interface BulkUser {
  readonly id: string;
  readonly handle: string;
  readonly displayName: string;
  readonly bio: string;
  readonly email: string;
  readonly passwordHash: string;
  readonly joinedAt: Date;
}

/**
 * Many people at once, for the seed: facts without events, so whoever calls it fills the other services by their own bulk
 * loads. Two statements per call, one transaction; a handle that is taken fails the whole call.
 */
export async function loadUsers(database: Database, sealer: Sealer, rows: readonly BulkUser[]): Promise<void> {
  if (rows.length === 0) return;
  const column = <Name extends keyof BulkUser>(name: Name) => rows.map((row) => row[name]);
  await database.transaction(async (tx) => {
    await tx.query('INSERT INTO handles (handle, user_id) SELECT * FROM unnest($1::text[], $2::uuid[])', [
      column('handle'),
      column('id'),
    ]);
    await tx.query(
      `INSERT INTO users (id, handle, display_name, bio, email, password_hash, joined_at, version)
       SELECT *, 0 FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[])`,
      [
        column('id'),
        column('handle'),
        column('displayName'),
        column('bio'),
        rows.map(({ id, email }) => sealEmail(sealer, id, email)),
        column('passwordHash'),
        rows.map((row) => row.joinedAt.toISOString()),
      ],
    );
  });
}

/**
 * Posts that are loaded into posts without events, at version 1. Nobody is notified of them, neither now nor by what happens to them later.
 * To be called before they are there: then none of them has changed yet.
 */
export async function loadPosts(database: Database, postIds: readonly string[]): Promise<void> {
  for (let from = 0; from < postIds.length; from += POSTS_PER_STATEMENT) {
    const aggregates = postIds.slice(from, from + POSTS_PER_STATEMENT).map((id) => `post:${id}`);
    await countAsHeard(database, 'users', aggregates, 1);
  }
}

const POSTS_PER_STATEMENT = 5_000;
