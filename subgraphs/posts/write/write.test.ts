import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Database } from '#libs/database';
import { newId } from '#libs/identity';
import { eraseLeftBehind } from '#libs/saga';
import { loadPosts, recount } from '../bulk.js';
import { postsLeftBehind } from '../on/erase-posts.js';
import { restoreSlice, withdrawSlice } from '../on/withdraw-posts.js';
import { changeCounts } from '../post.counts.js';
import { evolve, type CountedPost, type Post, type PostFact } from '../post.js';
import { openScene, type Scene } from '../scene.contract.js';
import type { Writing } from './as-person.js';
import { deletePost } from './delete-post.js';
import { editPost } from './edit-post.js';
import { likePost } from './like-post.js';
import { publishPost } from './publish-post.js';
import { restorePost } from './restore-post.js';
import { unlikePost } from './unlike-post.js';

let scene: Scene;
let alice: string;
let bob: string;
let carol: string;

beforeAll(async () => {
  scene = await openScene();
  [alice, bob, carol] = [await scene.person(), await scene.person(), await scene.person()];
});
afterAll(() => scene.close());

const publish = (viewer: string, body = 'hello', inReplyToId: string | null = null): Promise<CountedPost> =>
  publishPost(scene.writing, { viewer, body, inReplyToId });
const code = (expected: string) => expect.objectContaining({ code: expected });
const rowOf = async (id: string) =>
  (
    await scene.database.query('SELECT like_count, reply_count, version, state, body FROM posts WHERE id = $1', [id])
  )[0];

describe('a write', () => {
  it('stores the fact, its place in the post’s history, its counts and its event together', async () => {
    const post = await publish(alice);
    const reply = await publish(bob, 'indeed', post.id);
    await editPost(scene.writing, { viewer: alice, id: post.id, body: 'hello again', expectedVersion: 1 });
    await likePost(scene.writing, { viewer: bob, postId: post.id });
    expect(await rowOf(post.id)).toEqual({
      like_count: 1,
      reply_count: 1,
      version: 2,
      state: 'published',
      body: 'hello again',
    });
    expect(await scene.told(`post:${post.id}`)).toEqual(['1:post-published', '2:post-edited']);
    expect(await scene.told(`like:${post.id}:${bob}`)).toEqual(['1:post-liked']);

    await deletePost(scene.writing, { viewer: bob, id: reply.id });
    await unlikePost(scene.writing, { viewer: bob, postId: post.id });
    await deletePost(scene.writing, { viewer: alice, id: post.id });
    expect(await rowOf(post.id)).toEqual({ like_count: 0, reply_count: 0, version: 3, state: 'deleted', body: '' });
    expect(await scene.told(`like:${post.id}:${bob}`)).toEqual(['1:post-liked', '2:post-unliked']);
    expect(await scene.drift()).toEqual([]);
  });

  it('that finds all as asked names what made it so, and nothing of what was loaded in bulk', async () => {
    const [post, loaded] = [await publish(alice), newId()];
    const at = new Date().toISOString();
    await loadPosts(scene.database, [{ id: loaded, authorId: alice, body: 'hello', createdAt: at, inReplyToId: null }]);
    await recount(scene.database);
    const named = async (act: (writing: Writing) => Promise<unknown>): Promise<string[]> => {
      let found: readonly string[] = [];
      const transaction: Writing['database']['transaction'] = (work) =>
        scene.database.transaction(async (tx) => {
          const done = await work(tx);
          found = tx.found.map(({ aggregate, aggregateVersion }) => `${aggregate} ${aggregateVersion}`);
          return done;
        });
      const { query } = scene.database;
      await act({ ...scene.writing, database: { query: query.bind(scene.database), transaction } });
      return [...found];
    };
    const like = (postId: string) => named((writing) => likePost(writing, { viewer: bob, postId }));
    const unlike = (postId: string) => named((writing) => unlikePost(writing, { viewer: bob, postId }));
    const edit = (id: string) => named((writing) => editPost(writing, { viewer: alice, id, body: 'hello' }));
    const restore = (id: string) => named((writing) => restorePost(writing, { viewer: alice, id }));
    expect([await like(post.id), await like(post.id)]).toEqual([[], [`like:${post.id}:${bob} 1`]]);
    expect([await unlike(post.id), await unlike(post.id)]).toEqual([[], [`like:${post.id}:${bob} 2`]]);
    expect([await edit(post.id), await restore(post.id)]).toEqual([[`post:${post.id} 1`], [`post:${post.id} 1`]]);
    expect([await unlike(loaded), await edit(loaded), await restore(loaded)]).toEqual([[], [], []]);
  });

  it('leaves a history that folds to the current row', async () => {
    const post = await publish(alice);
    for (const body of ['two', 'three']) await editPost(scene.writing, { viewer: alice, id: post.id, body });
    await deletePost(scene.writing, { viewer: alice, id: (await publish(alice)).id });
    const facts = await scene.database.query<{ id: string; fact: PostFact }>(
      'SELECT post_id AS id, fact FROM post_events ORDER BY post_id, version',
    );
    const folded = new Map<string, Post>();
    for (const { id, fact } of facts) folded.set(id, evolve(id, folded.get(id), fact));
    const rows = await scene.database.query<{ id: string; body: string; version: number; state: string }>(
      'SELECT id, body, version, state FROM posts',
    );
    expect(rows.length).toBe(folded.size);
    for (const row of rows) expect(folded.get(row.id)).toMatchObject(row);
  });

  it('is refused whole: what fails leaves no row, no count and no event', async () => {
    const before = await scene.database.query(
      'SELECT (SELECT count(*) FROM posts) AS posts, (SELECT count(*) FROM outbox) AS events',
    );
    await expect(publish(alice, '')).rejects.toEqual(code('BAD_USER_INPUT'));
    await expect(publish(alice, 'to nobody', newId())).rejects.toEqual(code('NOT_FOUND'));
    await expect(likePost(scene.writing, { viewer: alice, postId: newId() })).rejects.toEqual(code('NOT_FOUND'));
    await expect(editPost(scene.writing, { viewer: alice, id: newId(), body: 'x' })).rejects.toEqual(code('NOT_FOUND'));
    await expect(deletePost(scene.writing, { viewer: alice, id: newId() })).rejects.toEqual(code('NOT_FOUND'));
    const after = await scene.database.query(
      'SELECT (SELECT count(*) FROM posts) AS posts, (SELECT count(*) FROM outbox) AS events',
    );
    expect(after).toEqual(before);
    expect(await scene.drift()).toEqual([]);
  });

  it('on another’s post is FORBIDDEN and changes nothing', async () => {
    const post = await publish(alice);
    await expect(editPost(scene.writing, { viewer: bob, id: post.id, body: 'mine' })).rejects.toEqual(
      code('FORBIDDEN'),
    );
    await expect(deletePost(scene.writing, { viewer: bob, id: post.id })).rejects.toEqual(code('FORBIDDEN'));
    expect(await rowOf(post.id)).toMatchObject({ version: 1, body: 'hello', state: 'published' });
  });

  it('at a version that is no more is a CONFLICT', async () => {
    const post = await publish(alice);
    await editPost(scene.writing, { viewer: alice, id: post.id, body: 'two', expectedVersion: 1 });
    await expect(
      editPost(scene.writing, { viewer: alice, id: post.id, body: 'three', expectedVersion: 1 }),
    ).rejects.toEqual(code('CONFLICT'));
  });
});

describe('a like', () => {
  it('given twice is given once, and again after it was taken back', async () => {
    const post = await publish(alice);
    const like = () => likePost(scene.writing, { viewer: bob, postId: post.id });
    const unlike = () => unlikePost(scene.writing, { viewer: bob, postId: post.id });
    const counts: unknown[] = [];
    for (const act of [unlike, like, like, unlike, unlike, like]) counts.push((await act())?.likeCount);
    expect(counts).toEqual([0, 1, 1, 0, 0, 1]);
    expect(await scene.told(`like:${post.id}:${bob}`)).toEqual(['1:post-liked', '2:post-unliked', '3:post-liked']);
  });
});

describe('a deleted post', () => {
  const restore = (viewer: string, id: string) => restorePost(scene.writing, { viewer, id });

  it('that its author restores is what it was: text, likes, replies, place, and every count', async () => {
    const root = await publish(bob, 'root');
    const post = await publish(alice, 'one', root.id);
    await publish(carol, 'to alice', post.id);
    await likePost(scene.writing, { viewer: bob, postId: post.id });
    const edited = await editPost(scene.writing, { viewer: alice, id: post.id, body: 'two' });
    await deletePost(scene.writing, { viewer: alice, id: post.id });
    expect(await rowOf(root.id)).toMatchObject({ reply_count: 0 });

    expect(await restore(alice, post.id)).toEqual({ ...edited, likeCount: 1, replyCount: 1, version: 4 });
    expect(await rowOf(root.id)).toMatchObject({ reply_count: 1 });
    expect(await scene.told(`post:${post.id}`)).toEqual([
      '1:post-published',
      '2:post-edited',
      '3:post-deleted',
      '4:post-restored',
    ]);
    expect(await scene.drift()).toEqual([]);
  });

  it('is restored once, however often it is asked for, also by all at once', async () => {
    const post = await publish(alice);
    await deletePost(scene.writing, { viewer: alice, id: post.id });
    const answers = await Promise.all([1, 2, 3, 4].map(() => restore(alice, post.id)));
    expect(answers.map(({ version }) => version)).toEqual([3, 3, 3, 3]);
    expect(await scene.drift()).toEqual([]);
  });

  it('is restored by nobody else, who is told no more than they could see', async () => {
    const post = await publish(alice);
    await expect(restore(bob, post.id)).rejects.toEqual(code('FORBIDDEN'));
    await deletePost(scene.writing, { viewer: alice, id: post.id });
    await expect(restore(bob, post.id)).rejects.toEqual(code('NOT_FOUND'));
    await expect(restore(bob, newId())).rejects.toEqual(code('NOT_FOUND'));
    expect(await rowOf(post.id)).toMatchObject({ state: 'deleted', version: 2, body: '' });
  });

  it('that went with its account stays gone', async () => {
    const dan = await scene.person();
    const post = await publish(dan);
    await scene.hear('user-deleted', { userId: dan, handle: 'dan' });
    await expect(restore(dan, post.id)).rejects.toEqual(code('UNAUTHENTICATED'));
    expect(await rowOf(post.id)).toMatchObject({ state: 'withdrawn', version: 2 });
  });
});

describe('while a block stands, in either direction', () => {
  it.each(['alice blocks bob', 'bob blocks alice'])('nobody can reply to or like the other (%s)', async (who) => {
    const post = await publish(alice);
    const block = who.startsWith('alice') ? { blockerId: alice, blockedId: bob } : { blockerId: bob, blockedId: alice };
    await scene.hear('block-started', block);
    await expect(publish(bob, 'reply', post.id)).rejects.toEqual(code('NOT_FOUND'));
    await expect(likePost(scene.writing, { viewer: bob, postId: post.id })).rejects.toEqual(code('NOT_FOUND'));
    await expect(unlikePost(scene.writing, { viewer: bob, postId: post.id })).rejects.toEqual(code('NOT_FOUND'));
    await expect(editPost(scene.writing, { viewer: bob, id: post.id, body: 'x' })).rejects.toEqual(code('NOT_FOUND'));
    await expect(publish(carol, 'reply', post.id)).resolves.toMatchObject({ inReplyToId: post.id });

    await scene.hear('block-ended', block);
    await expect(publish(bob, 'reply', post.id)).resolves.toMatchObject({ inReplyToId: post.id });
    expect(await scene.drift()).toEqual([]);
  });
});

describe('who acts', () => {
  it('and was deleted, is not let in', async () => {
    const dan = await scene.person();
    await scene.hear('user-deleted', { userId: dan, handle: 'dan' });
    await expect(publish(dan)).rejects.toEqual(code('UNAUTHENTICATED'));
  });

  it('and signed up a moment ago, is waited for until the news arrive', async () => {
    let now = Date.now();
    const eve = newId({ now: now - 1_000 });
    const pauses: number[] = [];
    const pause = async (ms: number) => {
      pauses.push(ms);
      now += ms;
      if (pauses.length === 3) await scene.hear('user-registered', { userId: eve, handle: 'eve' });
    };
    const writing = { ...scene.writing, clock: () => now, pause };
    expect(await publishPost(writing, { viewer: eve, body: 'first!', inReplyToId: null })).toMatchObject({
      authorId: eve,
    });
    expect(pauses.length).toBe(3);
  });

  it.each([
    ['half a second at the most, when new', 1_000, 500],
    ['not at all, when the id is older than five seconds', 5_001, 0],
  ])('and was never heard of, is waited for %s, and told to come again', async (_, age, waited) => {
    const began = Date.now();
    let now = began;
    const nobody = newId({ now: now - age });
    const writing = { ...scene.writing, clock: () => now, pause: async (ms: number) => void (now += ms) };
    await expect(publishPost(writing, { viewer: nobody, body: 'hello?', inReplyToId: null })).rejects.toEqual(
      code('NOT_CAUGHT_UP'),
    );
    expect(now - began).toBe(waited);
  });
});

describe('when an account is deleted', () => {
  it('its posts, likes and edges go, and the counts of the others stay exact', async () => {
    const [dan, eve] = [await scene.person(), await scene.person()];
    const root = await publish(eve, 'root');
    const own = await publish(dan, 'own');
    const kept = await publish(eve, 'reply to dan', own.id);
    const other = await publish(eve, 'liked, and then not');
    await publish(dan, 'to eve', root.id);
    await publish(dan, 'to himself', own.id);
    for (const postId of [root.id, own.id, kept.id]) await likePost(scene.writing, { viewer: dan, postId });
    await likePost(scene.writing, { viewer: eve, postId: root.id });
    await scene.hear('follow-started', { followerId: dan, followeeId: eve, followedAt: new Date().toISOString() });
    await scene.hear('follow-started', { followerId: eve, followeeId: dan, followedAt: new Date().toISOString() });
    await scene.hear('block-started', { blockerId: alice, blockedId: dan });
    await likePost(scene.writing, { viewer: dan, postId: other.id });
    await unlikePost(scene.writing, { viewer: dan, postId: other.id });

    await scene.hear('user-deleted', { userId: dan, handle: 'dan' });
    expect(await rowOf(own.id)).toMatchObject({ state: 'withdrawn', body: '' });
    expect(await rowOf(root.id)).toMatchObject({ like_count: 1, reply_count: 0, state: 'published' });
    expect(await scene.told(`post:${own.id}`)).toEqual(['1:post-published', '2:post-deleted']);
    expect(await scene.told(`like:${root.id}:${dan}`)).toEqual(['1:post-liked', '2:post-unliked']);
    expect(await scene.drift()).toEqual([]);
    expect(await edgesOf(dan)).toEqual([]);
    expect(await scene.database.query('SELECT FROM likes WHERE user_id = $1', [dan])).toEqual([]);

    // users and followers are heard in any order: what was sent before the end may come after it.
    await scene.hear('follow-started', { followerId: eve, followeeId: dan, followedAt: new Date().toISOString() });
    await scene.hear('user-registered', { userId: dan, handle: 'dan' });
    expect(await edgesOf(dan)).toEqual([]);
    await expect(publish(dan)).rejects.toEqual(code('UNAUTHENTICATED'));
  });

  it('goes by transactions of at most 200 rows, also with 2,500 posts, likes and followers', async () => {
    const [dan, eve] = [await scene.person(), await scene.person()];
    const ids = Array.from({ length: 2_500 }, () => scene.writing.newPostId(dan));
    await scene.database.query(
      `INSERT INTO posts (id, author_id, body, created_at, version, state)
       SELECT id, CASE WHEN n % 2 = 0 THEN $2::uuid ELSE $3::uuid END, 'x', now(), 1, 'published'
       FROM unnest($1::uuid[]) WITH ORDINALITY AS p (id, n)`,
      [ids, dan, eve],
    );
    await scene.database.query('UPDATE people SET post_count = 1250 WHERE id = ANY($1::uuid[])', [[dan, eve]]);
    await scene.database.query(
      `INSERT INTO likes (post_id, user_id, liked, version, at) SELECT id, $2, true, 1, now() FROM unnest($1::uuid[]) AS id`,
      [ids, dan],
    );
    await scene.database.query('UPDATE posts SET like_count = 1 WHERE id = ANY($1::uuid[])', [ids]);
    await scene.database.query('INSERT INTO follow_edges SELECT id, $2::uuid FROM unnest($1::uuid[]) AS id', [
      ids,
      dan,
    ]);

    const before = scene.transactions.run;
    await scene.hear('user-deleted', { userId: dan, handle: 'dan' });
    // 1,250 posts are withdrawn and then erased, 2,500 likes are withdrawn and then dropped, 2,500 edges go.
    const slices = 7 + 7 + 13 + 13 + 13;
    expect(scene.transactions.run - before).toBeGreaterThanOrEqual(slices);
    expect(scene.transactions.run - before).toBeLessThan(slices + 10);
    expect(await scene.drift()).toEqual([]);
    expect(await edgesOf(dan)).toEqual([]);
  });

  it('what an older version left of an account is found, and erased from where a process was killed', async () => {
    const [gone, still] = [await scene.person(), await scene.person()];
    const posts = Array.from({ length: 450 }, () => newId());
    await scene.hear('user-deleted', { userId: gone, handle: 'gone' });
    const find = (mend: boolean, database: Pick<Database, 'query' | 'transaction'> = scene.database) =>
      eraseLeftBehind(database, postsLeftBehind, { mend });
    expect(await find(false)).toBe(0);
    for (const userId of [gone, still])
      await scene.database.query(
        `INSERT INTO likes (post_id, user_id, liked, withdrawn, version, at)
         SELECT id, $2, false, n % 2 = 0, 2, now() FROM unnest($1::uuid[]) WITH ORDINALITY AS p (id, n)`,
        [posts, userId],
      );
    await scene.database.query('INSERT INTO follow_edges VALUES ($1, $2)', [gone, still]);
    const likes = (userId: string) => scene.database.query('SELECT FROM likes WHERE user_id = $1', [userId]);
    expect([await find(false), (await likes(gone)).length]).toEqual([1, 450]);

    let slices = 0;
    const killed: Pick<Database, 'query' | 'transaction'> = {
      query: (...statement) => scene.database.query(...statement),
      transaction: (work) => {
        if (++slices > 3) throw new Error('killed');
        return scene.database.transaction(work);
      },
    };
    await expect(find(true, killed)).rejects.toThrow('killed');
    expect((await likes(gone)).length).toBeLessThan(450);
    expect([await find(true), await find(true)]).toEqual([1, 0]);
    expect([await likes(gone), await edgesOf(gone), (await likes(still)).length]).toEqual([[], [], 450]);
    expect(await scene.drift()).toEqual([]);

    for (const table of ['home_entries', 'home_timelines']) {
      await scene.database.query(`INSERT INTO ${table} VALUES (2, $1, $2)`, [gone, newId()]);
      expect([await find(false), await find(true), await find(false)]).toEqual([1, 1, 0]);
    }
  });

  describe('while its likes are still to come back', () => {
    const slices = async (slice: typeof withdrawSlice, userId: string): Promise<void> => {
      const step = { userId, cursor: null } as unknown as Parameters<typeof withdrawSlice>[1];
      while ((await scene.database.transaction((tx) => slice(tx, step))) !== undefined);
    };
    const isBack = async (act: (postId: string, dan: string) => Promise<unknown>) => {
      const [dan, { id }] = [await scene.person(), await publish(alice)];
      await likePost(scene.writing, { viewer: dan, postId: id });
      await slices(withdrawSlice, dan);
      await act(id, dan);
      await slices(restoreSlice, dan);
      const drift = await scene.drift();
      const { like_count: likes } = (await rowOf(id)) as { like_count: number };
      return { id, likes, drifts: drift.length, told: await scene.told(`like:${id}:${dan}`) };
    };
    const count = (postId: string, likes: number) =>
      scene.database.transaction((tx) => changeCounts(tx, [{ postId, likes }]));

    it('a like is counted once', async () => {
      const found = await isBack((postId, viewer) => likePost(scene.writing, { viewer, postId }));
      expect(found).toMatchObject({ likes: 1, drifts: 0, told: ['1:post-liked', '2:post-unliked', '3:post-liked'] });
    });

    it('one that is taken back does not come back, and is told of', async () => {
      const found = await isBack((postId, viewer) => unlikePost(scene.writing, { viewer, postId }));
      expect(found).toMatchObject({ likes: 0, drifts: 0, told: ['1:post-liked', '2:post-unliked', '3:post-unliked'] });
    });

    const naive = (sql: string) => (postId: string, viewer: string) =>
      scene.database.query(`UPDATE likes SET ${sql} AND post_id = $1 AND user_id = $2`, [postId, viewer]);

    it('one that a program of before has left withdrawn where it was given again is counted once; control: it is among those that come back', async () => {
      const comingBack: unknown[] = [];
      const like = await isBack(async (postId, viewer) => {
        await naive('liked = true, version = 3 WHERE NOT liked')(postId, viewer);
        await count(postId, 1);
        comingBack.push(
          ...(await scene.database.query('SELECT FROM likes WHERE user_id = $1 AND withdrawn', [viewer])),
        );
      });
      expect(like).toMatchObject({ likes: 1, drifts: 0, told: ['1:post-liked', '2:post-unliked'] });
      expect(comingBack).toHaveLength(1);
      const rows = await scene.database.query('SELECT liked, withdrawn, version FROM likes WHERE post_id = $1', [
        like.id,
      ]);
      expect(rows).toEqual([{ liked: true, withdrawn: false, version: 3 }]);
    });

    it('control: one that is only taken back where it is given comes back', async () => {
      expect(await isBack(naive('liked = false WHERE liked'))).toMatchObject({ likes: 1 });
    });
  });

  it('asked before it has heard that the account is frozen, it freezes; the other order changes nothing', async () => {
    const [dan, deletionId] = [await scene.person(), newId()];
    const [user, saga] = [{ userId: dan, handle: 'dan', deletionId }, 'orchestrated' as const];
    await scene.hear('deletion-step-asked', { deletionId, userId: dan, step: 'withdraw-posts' });
    await expect(publish(dan)).rejects.toEqual(code('ACCOUNT_FROZEN'));
    // The control: not frozen, and withdrawn already, what is published now is seen until the deletion ends.
    await scene.database.query(`UPDATE people SET state = 'registered' WHERE id = $1`, [dan]);
    const { id } = await publish(dan);
    await scene.hear('account-frozen', { ...user, saga });
    expect(await rowOf(id)).toMatchObject({ state: 'published' });

    await scene.hear('deletion-step-asked', { deletionId, userId: dan, step: 'restore-posts' });
    await expect(publish(dan)).rejects.toEqual(code('ACCOUNT_FROZEN'));
    await scene.hear('account-thawed', { ...user, saga });
    await publish(dan);
  });

  it('asked once more for what has failed and was undone, it leaves the account as it is', async () => {
    const [dan, deletionId] = [await scene.person(), newId()];
    const { id } = await publish(dan);
    await scene.database.query(
      `INSERT INTO deletion_parts (deletion_id, user_id, saga, step, state) VALUES ($1, $2, 'orchestrated', 'restore-posts', 'failed')`,
      [deletionId, dan],
    );
    await scene.hear('account-thawed', { userId: dan, handle: 'dan', deletionId, saga: 'orchestrated' });
    await scene.hear('deletion-step-asked', { deletionId, userId: dan, step: 'withdraw-posts' });
    await publish(dan);
    expect(await rowOf(id)).toMatchObject({ state: 'published' });
    expect(await scene.told(`withdrawal:${deletionId}`)).toEqual([]);
  });

  it('a thaw that comes after the question of the next deletion does not thaw', async () => {
    const [dan, first, second] = [await scene.person(), newId({ now: 1 }), newId({ now: 2 })];
    const thaw = (deletionId: string) =>
      scene.hear('account-thawed', { userId: dan, handle: 'dan', deletionId, saga: 'orchestrated' });
    await scene.hear('deletion-step-asked', { deletionId: second, userId: dan, step: 'withdraw-posts' });
    await thaw(first);
    await expect(publish(dan)).rejects.toEqual(code('ACCOUNT_FROZEN'));
    await thaw(second);
    await publish(dan);
  });

  it('asked again for what it is at, it tells that it goes on', async () => {
    const [dan, deletionId] = [await scene.person(), newId()];
    const ask = () => scene.hear('deletion-step-asked', { deletionId, userId: dan, step: 'withdraw-posts' });
    await ask();
    // As if it were in the middle of it.
    await scene.database.query(
      `UPDATE deletion_parts SET state = 'working', slices = slices + 1 WHERE deletion_id = $1`,
      [deletionId],
    );
    await ask();
    expect(await scene.told(`withdrawal:${deletionId}`)).toEqual([
      '1:posts-step-ended',
      '2:posts-step-goes-on',
      '3:posts-step-ended',
    ]);
  });

  const edgesOf = (id: string) =>
    scene.database.query(
      `SELECT follower_id, followee_id FROM follow_edges WHERE $1 IN (follower_id, followee_id)
       UNION ALL SELECT blocker_id, blocked_id FROM block_edges WHERE $1 IN (blocker_id, blocked_id)`,
      [id],
    );
});

it('the entities say what the migrations made', async () => {
  const changes = await scene.database.source.driver.createSchemaBuilder().log();
  expect(changes.upQueries.map((change) => change.query)).toEqual([]);
});
