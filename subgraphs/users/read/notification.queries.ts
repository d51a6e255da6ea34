import type { Statements } from '#libs/database';

export interface Notification {
  readonly id: string;
  readonly kind: 'follow' | 'like' | 'reply' | 'mention';
  readonly actorId: string;
  /** Null of a follow. */
  readonly postId: string | null;
  /** RFC 3339, UTC, milliseconds. */
  readonly at: string;
  readonly read: boolean;
}

/** Newest first, without what is about a post that is gone, and what people did who left or are leaving or with whom there is a block, in either direction. */
export async function notificationsOf(
  statements: Statements,
  viewer: string,
  { after, take }: { readonly after: string | undefined; readonly take: number },
): Promise<Notification[]> {
  const rows = await statements.query<Omit<Notification, 'at'> & { at: Date }>(
    `SELECT n.id, n.kind, n.actor_id AS "actorId", nullif(n.post_id, '${NIL}') AS "postId", n.at,
       coalesce(n.id <= (SELECT read_to FROM notification_reads WHERE user_id = $1), false) AS read
     FROM notifications n WHERE ${SHOWN} AND n.id < $2 ORDER BY n.id DESC LIMIT $3`,
    [viewer, after ?? LAST, take],
  );
  return rows.map((row) => ({ ...row, at: row.at.toISOString() }));
}

export async function unreadCountOf(statements: Statements, viewer: string): Promise<number> {
  const [row] = await statements.query<{ n: number }>(
    `SELECT count(*)::int AS n FROM notifications n
     WHERE ${SHOWN} AND n.id > coalesce((SELECT read_to FROM notification_reads WHERE user_id = $1), '${NIL}')`,
    [viewer],
  );
  return row?.n ?? 0;
}

const NIL = '00000000-0000-0000-0000-000000000000';
const LAST = 'ffffffff-ffff-ffff-ffff-ffffffffffff';

const SHOWN = `n.slot = (SELECT serving FROM read_models WHERE name = 'notifications') AND n.recipient_id = $1
  AND NOT EXISTS (SELECT FROM gone_posts g WHERE g.post_id = n.post_id)
  AND EXISTS (SELECT FROM users u WHERE u.id = n.actor_id AND u.frozen_at IS NULL AND u.deleted_at IS NULL)
  AND EXISTS (SELECT FROM users u WHERE u.id = $1 AND u.frozen_at IS NULL AND u.deleted_at IS NULL)
  AND NOT EXISTS (SELECT FROM block_edges b WHERE b.blocker_id = $1 AND b.blocked_id = n.actor_id)
  AND NOT EXISTS (SELECT FROM block_edges b WHERE b.blocker_id = n.actor_id AND b.blocked_id = $1)`;
