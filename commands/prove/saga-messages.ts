import type { Database } from '#libs/database';
import type { EventType } from '#libs/events';

const MESSAGES: readonly EventType[] = [
  'account-frozen',
  'account-thawed',
  'user-deleted',
  'deletion-step-asked',
  'posts-step-ended',
  'posts-step-goes-on',
  'follows-step-ended',
  'follows-step-goes-on',
];

/** How many events the saga itself told, of one deletion or all; what its steps tell of posts and follows is the same for both sagas. */
export async function messagesOf(stores: readonly Database[], deletionId?: string): Promise<number> {
  let count = 0;
  for (const store of stores) {
    const [row] = await store.query<{ count: number }>(
      `SELECT count(*)::int AS count FROM outbox
       WHERE type = ANY($1::text[]) AND ($2::text IS NULL OR payload ->> 'deletionId' = $2)`,
      [MESSAGES, deletionId ?? null],
    );
    count += row?.count ?? 0;
  }
  return count;
}
