import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { Failure } from '#libs/failure';
import { withServer } from '../../../test/servers/needs.js';
import { openScene, type Scene } from '../scene.contract.js';
import { asPerson } from './as-person.js';
import { deletePost } from './delete-post.js';
import { editPost } from './edit-post.js';
import { likePost } from './like-post.js';
import { publishPost } from './publish-post.js';
import { restorePost } from './restore-post.js';
import { unlikePost } from './unlike-post.js';
import { visiblePost } from './visible-post.js';

const WRITERS = 16;
const WRITES_EACH = 40;

withServer('postgres', 'sixteen writers at once', (adminUrl) => {
  let scene: Scene;
  let people: string[];
  let posts: string[];

  beforeAll(async () => {
    scene = await openScene(adminUrl);
    people = await Promise.all(Array.from({ length: 6 }, () => scene.person()));
    posts = await Promise.all(
      people.map(async (viewer) => (await publishPost(scene.writing, { viewer, body: 'root', inReplyToId: null })).id),
    );
  });
  afterAll(() => scene.close());

  const one = <T>(of: readonly T[]): T => of[Math.floor(Math.random() * of.length)] as T;

  it('leave every count equal to its rows, every history without a gap, and never wait for each other in a circle', async () => {
    const { writing, transactions } = scene;
    const half = transactions.run + (WRITERS * WRITES_EACH) / 2;

    async function write(): Promise<void> {
      const viewer = one(people);
      const id = one(posts);
      switch (one(['reply', 'reply', 'like', 'like', 'unlike', 'edit', 'delete', 'restore'])) {
        case 'reply':
          posts.push((await publishPost(writing, { viewer, body: 'reply', inReplyToId: id })).id);
          return;
        case 'like':
          await likePost(writing, { viewer, postId: id });
          return;
        case 'unlike':
          await unlikePost(writing, { viewer, postId: id });
          return;
        case 'edit':
          await editPost(writing, { viewer, id, body: `edit ${Math.random()}` });
          return;
        case 'delete':
          await deletePost(writing, { viewer, id });
          return;
        case 'restore':
          await restorePost(writing, { viewer, id });
      }
    }
    const writer = async () => {
      for (let nth = 0; nth < WRITES_EACH; nth++) await write().catch(refusalsOnly);
    };
    const leave = async (userId: string | undefined) => {
      while (transactions.run < half) await new Promise((resolve) => setImmediate(resolve));
      if (userId !== undefined) await scene.hear('user-deleted', { userId, handle: 'gone' });
    };
    await Promise.all([leave(people[0]), leave(people[1]), ...Array.from({ length: WRITERS }, writer)]);

    expect(await scene.drift()).toEqual([]);
    expect(transactions.run).toBe(transactions.begun);
    expect(await scene.database.query(GAPS)).toEqual([]);
    expect(
      await scene.database.query('SELECT id FROM people WHERE post_count > 0 AND state = $1', ['deleted']),
    ).toEqual([]);
  });

  it('do not wait for each other to like or answer one post, and are counted at every moment', async () => {
    const { writing, database } = scene;
    const { id } = await publishPost(writing, { viewer: people[2] as string, body: 'hot', inReplyToId: null });
    const fans = await Promise.all(Array.from({ length: 5 }, () => scene.person()));
    const [first = '', second = '', third = '', ...others] = fans;
    const row = async () =>
      (await database.query('SELECT like_count AS likes, reply_count AS replies FROM posts WHERE id = $1', [id]))[0];
    await database.transaction(async (tx) => {
      await tx.query('SELECT FROM posts WHERE id = $1 FOR NO KEY UPDATE', [id]);
      expect((await likePost(writing, { viewer: first, postId: id }))?.likeCount).toBe(1);
      expect((await likePost(writing, { viewer: second, postId: id }))?.likeCount).toBe(2);
      expect((await unlikePost(writing, { viewer: first, postId: id }))?.likeCount).toBe(1);
      await publishPost(writing, { viewer: third, body: 'yes', inReplyToId: id });
      expect(await row()).toEqual({ likes: 0, replies: 0 });
      expect(await scene.drift()).toEqual([]);

      // The control: whoever wants the row itself waits.
      const waiting = asPerson(writing, third, 'to keep', async (other) => {
        await other.query(`SET LOCAL lock_timeout = '50ms'`);
        await visiblePost(other, id, third, { locked: true });
      });
      await expect(waiting).rejects.toMatchObject({ code: 'OVERLOADED' });
    });
    // Whoever holds it next takes them into the row.
    expect((await likePost(writing, { viewer: others[0] ?? '', postId: id }))?.likeCount).toBe(2);
    expect(await row()).toEqual({ likes: 2, replies: 1 });
    expect(await database.query('SELECT FROM count_deltas WHERE post_id = $1', [id])).toEqual([]);
    expect(await scene.drift()).toEqual([]);
  });

  it('are shown no count below zero, also of a post that somebody else holds', async () => {
    const { writing, database } = scene;
    const { id } = await publishPost(writing, { viewer: people[2] as string, body: 'wrong', inReplyToId: null });
    const fan = await scene.person();
    await likePost(writing, { viewer: fan, postId: id });
    const set = (count: number) =>
      database.query('UPDATE posts SET like_count = $2, like_count_2 = $2 WHERE id = $1', [id, count]);
    await set(0);
    await database.transaction(async (tx) => {
      await tx.query('SELECT FROM posts WHERE id = $1 FOR NO KEY UPDATE', [id]);
      expect((await unlikePost(writing, { viewer: fan, postId: id }))?.likeCount).toBe(0);
    });
    await set(1);
    expect(await scene.drift()).toEqual([]);
  });

  it('lose counts when a count is read and then written (control)', async () => {
    const { id } = await publishPost(scene.writing, {
      viewer: people[2] as string,
      body: 'popular',
      inReplyToId: null,
    });
    const fans = await Promise.all(Array.from({ length: WRITERS }, () => scene.person()));
    await Promise.all(
      fans.map((viewer) =>
        asPerson(scene.writing, viewer, 'to keep', async (tx) => {
          const [post] = await tx.query<{ likes: number }>('SELECT like_count AS likes FROM posts WHERE id = $1', [id]);
          await tx.query('INSERT INTO likes (post_id, user_id, liked, version, at) VALUES ($1, $2, true, 1, now())', [
            id,
            viewer,
          ]);
          await tx.query('UPDATE posts SET like_count = $2 WHERE id = $1', [id, (post?.likes ?? 0) + 1]);
        }),
      ),
    );
    expect(await scene.drift()).toEqual([expect.objectContaining({ count: 'likes', id, counted: WRITERS })]);
  });
});

/** Who writes to what was deleted a moment ago is told so; anything else is a fault. */
function refusalsOnly(error: unknown): void {
  if (error instanceof Failure && ['NOT_FOUND', 'FORBIDDEN', 'UNAUTHENTICATED', 'ACCOUNT_FROZEN'].includes(error.code))
    return;
  // On a busy machine sixteen who write as six people may wait for longer than a lock is waited for. That is no circle, which is 40P01.
  if (error instanceof Failure && (error.cause as { code?: unknown } | undefined)?.code === '55P03') return;
  throw error;
}

const GAPS = `
  SELECT aggregate FROM outbox GROUP BY aggregate HAVING max(aggregate_version) <> count(*) OR min(aggregate_version) <> 1
  UNION ALL
  SELECT post_id::text FROM post_events e GROUP BY post_id
    HAVING max(version) <> count(*) OR max(version) <> (SELECT version FROM posts p WHERE p.id = e.post_id)`;
