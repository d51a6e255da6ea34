import type { Statements } from '#libs/database';
import { Failure, noAccount } from '#libs/failure';

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
  const rows = await statements.query<Told & ((Omit<Notification, 'at'> & { at: Date }) | { id: null })>(
    `SELECT ${ACCOUNT} AS account, n.* FROM (VALUES (1)) always LEFT JOIN (
       SELECT n.id, n.kind, n.actor_id AS "actorId", nullif(n.post_id, '${NIL}') AS "postId", n.at,
         coalesce(n.id <= (SELECT read_to FROM notification_reads WHERE user_id = $1), false) AS read
       FROM notifications n WHERE ${SHOWN} AND n.id < $2 ORDER BY n.id DESC LIMIT $3
     ) n ON true ORDER BY n.id DESC`,
    [viewer, after ?? LAST, take],
  );
  if (accountOf(rows) === 'gone') throw noAccount();
  return rows.flatMap((row) => {
    if (row.id === null) return [];
    const { id, kind, actorId, postId, at, read } = row;
    return [{ id, kind, actorId, postId, at: at.toISOString(), read }];
  });
}

/** Null where there is no account any more, as for who is not logged in. */
export async function unreadCountOf(statements: Statements, viewer: string): Promise<number | null> {
  const rows = await statements.query<Told & { n: number }>(
    `SELECT ${ACCOUNT} AS account, count(*)::int AS n FROM notifications n
     WHERE ${SHOWN} AND n.id > coalesce((SELECT read_to FROM notification_reads WHERE user_id = $1), '${NIL}')`,
    [viewer],
  );
  return accountOf(rows) === 'gone' ? null : (rows[0]?.n ?? 0);
}

interface Told {
  /** Of the viewer; null: never heard of. */
  readonly account: 'there' | 'frozen' | 'gone' | null;
}

/** There is a row also when there is nothing to show: it says how the viewer's account stands. Throws where it is being deleted. */
function accountOf(rows: readonly Told[]): Told['account'] {
  const account = rows[0]?.account ?? null;
  if (account === 'frozen') throw new Failure('ACCOUNT_FROZEN');
  return account;
}

const ACCOUNT = `(SELECT CASE WHEN u.deleted_at IS NOT NULL THEN 'gone' WHEN u.frozen_at IS NOT NULL THEN 'frozen' ELSE 'there' END
  FROM users u WHERE u.id = $1)`;

const NIL = '00000000-0000-0000-0000-000000000000';
const LAST = 'ffffffff-ffff-ffff-ffff-ffffffffffff';

const SHOWN = `n.slot = (SELECT serving FROM read_models WHERE name = 'notifications') AND n.recipient_id = $1
  AND NOT EXISTS (SELECT FROM gone_posts g WHERE g.post_id = n.post_id)
  AND EXISTS (SELECT FROM users u WHERE u.id = n.actor_id AND u.frozen_at IS NULL AND u.deleted_at IS NULL)
  AND EXISTS (SELECT FROM users u WHERE u.id = $1 AND u.frozen_at IS NULL AND u.deleted_at IS NULL)
  AND NOT EXISTS (SELECT FROM block_edges b WHERE b.blocker_id = $1 AND b.blocked_id = n.actor_id)
  AND NOT EXISTS (SELECT FROM block_edges b WHERE b.blocker_id = n.actor_id AND b.blocked_id = $1)`;
