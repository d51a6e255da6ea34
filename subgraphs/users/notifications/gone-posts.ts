import type { Tx } from '#libs/database';
import { KEEP_DAYS } from '#libs/outbox';
import { withdraw } from './facts.js';

/**
 * What was told of a post that its author deleted is neither shown nor counted, and kept for a while: the post may be restored, and
 * a like of it may be heard after its end, for a like is an aggregate of its own, which waits for nothing. As long as that can happen
 * the row here hides it, whatever comes in whatever order.
 */
export async function hidePost(tx: Tx, postId: string): Promise<void> {
  await tx.query('INSERT INTO gone_posts (post_id) VALUES ($1) ON CONFLICT DO NOTHING', [postId]);
  // Of one in sixteen: to look each time would cost as much as to hide.
  if (postId.endsWith('0')) await forgetGone(tx);
}

export async function showPost(tx: Tx, postId: string): Promise<void> {
  await tx.query('DELETE FROM gone_posts WHERE post_id = $1', [postId]);
}

/** As long as an outbox keeps an event; what is told later than that is told of nobody. */
const KEEP_MS = KEEP_DAYS * 86_400_000;

/** Forgets some of the posts that are gone for longer, with what was told of them. */
export async function forgetGone(tx: Tx, keepMs = KEEP_MS): Promise<void> {
  const rows = await tx.query<{ id: string }>(
    `DELETE FROM gone_posts WHERE post_id IN (
       SELECT post_id FROM gone_posts WHERE gone_at <= now() - $1 * interval '1 ms' ORDER BY gone_at LIMIT 32 FOR UPDATE SKIP LOCKED
     ) RETURNING post_id AS id`,
    [keepMs],
  );
  if (rows.length > 0) await withdraw(tx, { kind: 'posts', postIds: rows.map(({ id }) => id) });
}
