import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { reconcile } from '#libs/read-model';
import { postsCounted } from './counters.js';
import { openScene, type Scene } from './scene.contract.js';
import { refreshTrending } from './trending/refresh.js';
import { trendingPage } from './read/trending.queries.js';
import { deletePost } from './write/delete-post.js';
import { likePost } from './write/like-post.js';
import { publishPost } from './write/publish-post.js';

let scene: Scene;
let people: string[];
beforeAll(async () => {
  scene = await openScene();
  people = await Promise.all(Array.from({ length: 4 }, () => scene.person()));
});
afterAll(() => scene.close());

const publish = (nth: number, inReplyToId: string | null = null): Promise<{ id: string }> =>
  publishPost(scene.writing, { viewer: people[nth] as string, body: 'x', inReplyToId });
const drift = async (mend: boolean) =>
  (await Promise.all(postsCounted.map((counted) => reconcile(scene.database, counted, { mend })))).flat();

it('a count that is wrong is found, said, and mended when that is asked for', async () => {
  const [post] = [await publish(0)];
  await publish(1, post.id);
  await likePost(scene.writing, { viewer: people[2] as string, postId: post.id });
  expect(await drift(false)).toEqual([]);

  await scene.database.query('UPDATE posts SET like_count = 7, reply_count = 0 WHERE id = $1', [post.id]);
  await scene.database.query('UPDATE people SET post_count = 3 WHERE id = $1', [people[1]]);
  const wrong = [
    { count: 'likeCount', key: post.id, says: 7, counted: 1 },
    { count: 'replyCount', key: post.id, says: 0, counted: 1 },
    { count: 'postCount', key: people[1], says: 3, counted: 1 },
  ];
  expect(await drift(false)).toEqual(wrong);
  expect(await drift(true)).toEqual(wrong);
  expect(await drift(false)).toEqual([]);
});

it('trending posts are as they were made, less what is gone, and say when that was', async () => {
  const { database, writing } = scene;
  const [quiet, liked, answered] = [await publish(0), await publish(0), await publish(1)];
  await likePost(writing, { viewer: people[2] as string, postId: liked.id });
  await publish(2, answered.id);
  const page = (viewer: string | null = null, after?: { score: string; id: string }, take = 10) =>
    trendingPage(database, viewer, { after, take });
  const ids = async (viewer: string | null = null) => (await page(viewer)).posts.map(({ post }) => post.id);

  const before = await page();
  expect(before.posts.map(({ post }) => post.id)).not.toContain(liked.id);
  expect(await refreshTrending(database, 3_600_000)).toBe(false); // young enough
  expect(await refreshTrending(database, 0)).toBe(true);
  const after = await page();
  expect(Date.parse(after.asOf)).toBeGreaterThan(Date.parse(before.asOf));
  const shown = after.posts.map(({ post }) => post.id);
  expect(shown).not.toContain(quiet.id);
  expect(shown.indexOf(answered.id)).toBeLessThan(shown.indexOf(liked.id));
  expect(shown.indexOf(answered.id)).toBeGreaterThanOrEqual(0);

  // Page by page it is the same list.
  const paged: string[] = [];
  for (let at: { score: string; id: string } | undefined; ;) {
    const [one] = (await page(null, at, 1)).posts;
    if (one === undefined) break;
    paged.push(one.post.id);
    at = { score: one.score, id: one.post.id };
  }
  expect(paged).toEqual(shown);

  await scene.hear('block-started', { blockerId: people[3] as string, blockedId: people[0] as string });
  expect(await ids(people[3])).not.toContain(liked.id);
  await deletePost(writing, { viewer: people[1] as string, id: answered.id });
  expect(await ids()).not.toContain(answered.id);
});
