import { setTimeout as sleep } from 'node:timers/promises';
import type { Databases } from './checker.js';
import type { Fault } from './fault.js';

/** What the checker is held against: it has to find each of these. */
export const CONTROL: Fault = {
  id: 'control',
  says: 'no fault: posts, an event, a notification and a count are changed behind everybody’s back, which has to be found',
  control: true,
  async strike({ databases: { posts, users }, acknowledged }) {
    const some = async (database: Databases['posts'], text: string, values: readonly unknown[] = []): Promise<void> => {
      while ((await database.query(text, [...values])).length === 0) await sleep(20);
    };
    // What nobody was told of proves nothing, and one post is changed in one way: each change breaks an invariant of its own.
    while (acknowledged().length < 3) await sleep(20);
    const [changed, untold, counted] = acknowledged();
    await some(posts, `UPDATE posts SET body = body || '?' WHERE body = $1 RETURNING id`, [changed]);
    await some(
      posts,
      `DELETE FROM outbox USING posts WHERE type = 'post-published' AND published_at IS NOT NULL
       AND payload->>'postId' = posts.id::text AND posts.body = $1 RETURNING posts.id`,
      [untold],
    );
    await some(posts, `UPDATE posts SET like_count = like_count + 1 WHERE body = $1 RETURNING id`, [counted]);
    await some(
      users,
      `INSERT INTO notifications (slot, recipient_id, id, kind, actor_id, post_id, at)
       SELECT slot, recipient_id, gen_random_uuid(), kind, actor_id, post_id, at FROM notifications WHERE kind = 'like' LIMIT 1
       RETURNING id`,
    );
  },
};
