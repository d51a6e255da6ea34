import { openDatabase } from '#libs/database';
import { newId, timeOf } from '#libs/identity';
import * as postsBulk from '../../subgraphs/posts/bulk.js';
import { readPostsConfig, timelineLimits } from '../../subgraphs/posts/config.js';
import { postsTables } from '../../subgraphs/posts/posts.tables.js';
import { homeTimelineModel } from '../../subgraphs/posts/timeline/read-model.js';
import { notify } from '../../subgraphs/users/notifications/facts.js';
import { usersTables } from '../../subgraphs/users/users.tables.js';

const WEEK_MS = 7 * 86_400_000;
const CHUNK = 10_000;

/**
 * To what was seeded in the folder, which nobody holds: posts of the last seven days, as many in each hour, by and liked by two of the people
 * in turn; and lists of notifications of the people with the highest ids, so that they come behind all the empty ones.
 */
export async function layOutWeek(
  dataDir: string,
  { posts, lists, notificationsEach }: { posts: number; lists: number; notificationsEach: number },
): Promise<void> {
  const users = await openDatabase({ service: 'users', dataDir, ...usersTables });
  const store = await openDatabase({ service: 'posts', dataDir, ...postsTables });
  try {
    const people = (await store.query<{ id: string }>('SELECT id FROM people ORDER BY id')).map(({ id }) => id);
    const personAt = (nth: number): string => people[nth % people.length] as string;
    // Behind them there is an hour for who comes next.
    const until = Date.now() - 3_600_000;
    for (let from = 0; from < posts; from += CHUNK) {
      const ids = Array.from({ length: Math.min(CHUNK, posts - from) }, (_, nth) =>
        newId({ now: Math.floor(until - ((from + nth) / posts) * (WEEK_MS - 7_200_000)) }),
      );
      await postsBulk.loadPosts(
        store,
        ids.map((id, nth) => ({
          id,
          authorId: personAt(from + nth),
          body: 'of this week',
          createdAt: new Date(timeOf(id)).toISOString(),
          inReplyToId: null,
        })),
      );
      await postsBulk.loadLikes(
        store,
        ids.flatMap((postId, nth) => [7, 13].map((k) => ({ postId, userId: personAt(k * (from + nth) + k) }))),
      );
    }
    await postsBulk.recount(store);
    await store.query('ANALYZE');
    // The lists that there are lack these posts.
    const limits = timelineLimits(readPostsConfig({}));
    await store.transaction(async (tx) => {
      const [row] = await tx.query<{ serving: number }>(`SELECT serving FROM read_models WHERE name = 'home-timeline'`);
      await homeTimelineModel(limits).clear(tx, row?.serving ?? 1);
    });
    await postsBulk.fillTimelines(store, limits);
    for (const recipientId of people.slice(-lists))
      await users.transaction((tx) =>
        notify(
          tx,
          Array.from({ length: notificationsEach }, (_, nth) => ({
            id: newId(),
            recipientId,
            kind: 'follow' as const,
            actorId: personAt(nth),
            postId: null,
            at: new Date(until).toISOString(),
          })),
        ),
      );
    await users.query('ANALYZE');
  } finally {
    await users.close();
    await store.close();
  }
}
