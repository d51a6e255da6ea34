import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { newId, timeOf } from '#libs/identity';
import * as bulk from './bulk.js';
import { evolve, type PostFact } from './post.js';
import { openScene, type Scene } from './scene.contract.js';
import { editPost } from './write/edit-post.js';
import { unlikePost } from './write/unlike-post.js';

let scene: Scene;
beforeAll(async () => {
  scene = await openScene();
});
afterAll(() => scene.close());

const people = Array.from({ length: 30 }, () => newId());
const posts = Array.from({ length: 5_000 }, (_, nth) => {
  const id = newId();
  return {
    id,
    authorId: people[nth % 30] as string,
    body: `post ${nth}`,
    createdAt: new Date(timeOf(id)).toISOString(),
  };
}).map((post, nth, all) => ({ ...post, inReplyToId: nth % 3 === 0 ? null : (all[Math.floor(nth / 3)]?.id ?? null) }));
const likes = posts.flatMap((post, nth) => [{ postId: post.id, userId: people[nth % 7] as string }]);

async function load(): Promise<void> {
  const { database } = scene;
  await bulk.loadPeople(database, people);
  await bulk.loadEdges(
    database,
    people.slice(1).map((followerId) => ({ followerId, followeeId: people[0] as string })),
  );
  await bulk.loadBlocks(database, [{ blockerId: people[1] as string, blockedId: people[2] as string }]);
  await bulk.loadPosts(database, posts);
  await bulk.loadLikes(database, likes);
}

it('a seed is counted by its rows, loads once however often it is loaded, and can be lived on', async () => {
  await load();
  expect((await scene.drift()).length).toBeGreaterThan(0); // nothing is counted before
  await bulk.recount(scene.database);
  expect(await scene.drift()).toEqual([]);
  await load();
  await bulk.recount(scene.database);
  expect(await scene.drift()).toEqual([]);

  const [first] = posts;
  const [row] = await scene.database.query<{ fact: PostFact }>('SELECT fact FROM post_events WHERE post_id = $1', [
    first?.id,
  ]);
  expect(evolve(first?.id ?? '', undefined, row?.fact as PostFact)).toMatchObject({ ...first, version: 1 });

  const viewer = first?.authorId ?? '';
  expect(await editPost(scene.writing, { viewer, id: first?.id ?? '', body: 'lived on' })).toMatchObject({
    version: 2,
  });
  expect(await unlikePost(scene.writing, { viewer, postId: first?.id ?? '' })).toMatchObject({ likeCount: 0 });
  expect(await scene.drift()).toEqual([]);
  // Whoever is brought an event past the stream has to be given the first that there is.
  const told = await scene.database.query(`SELECT type, aggregate_version AS version FROM outbox ORDER BY position`);
  expect(told).toEqual([
    // (its own fact was the first, of which no event tells)
    { type: 'post-edited', version: 2 },
    { type: 'post-unliked', version: 1 },
  ]);
});
