import type { Database } from '#libs/database';
import { holdLists } from '../notifications/hold.js';
import { lockAccount } from './account.js';

/** Everything up to this notification, or everything there is. What was read stays read: an older id changes nothing. */
export async function markNotificationsRead(
  database: Pick<Database, 'transaction'>,
  viewer: string,
  upTo: string | undefined,
): Promise<void> {
  await database.transaction(async (tx) => {
    await lockAccount(tx, viewer);
    await holdLists(tx, [viewer]);
    await tx.query(
      `INSERT INTO notification_reads AS r (user_id, read_to)
       SELECT $1, n.id FROM (
         SELECT id FROM notifications WHERE slot = (SELECT serving FROM read_models WHERE name = 'notifications')
           AND recipient_id = $1 AND ($2::uuid IS NULL OR id <= $2) ORDER BY id DESC LIMIT 1
       ) n
       ON CONFLICT (user_id) DO UPDATE SET read_to = greatest(r.read_to, excluded.read_to)`,
      [viewer, upTo ?? null],
    );
  });
}
