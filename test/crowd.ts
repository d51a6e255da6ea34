import { newId } from '#libs/identity';
import * as followersBulk from '../subgraphs/followers/bulk.js';
import * as postsBulk from '../subgraphs/posts/bulk.js';
import { readPostsConfig, timelineLimits } from '../subgraphs/posts/config.js';
import * as usersBulk from '../subgraphs/users/bulk.js';
import { sealer } from './sealer.js';
import type { World } from './world.js';

/** `size` people who all follow `hub` and are followed back, with a post each, and `size` posts of `hub` liked by all of the first ten. */
export async function crowdAround(world: World, hub: string, size: number): Promise<void> {
  const day = Date.parse('2026-01-01T00:00:00.000Z');
  const people = Array.from({ length: size }, (_, n) => ({ id: newId({ now: day + n }), handle: `crowd_${n}` }));
  const ids = people.map(({ id }) => id);
  const at = (n: number): string => new Date(day + 86_400_000 + n).toISOString();

  await usersBulk.loadUsers(
    world.users.database,
    sealer,
    people.map(({ id, handle }, n) => ({
      id,
      handle,
      displayName: handle,
      bio: '',
      email: `${handle}@example.org`,
      passwordHash: 'nobody logs in',
      joinedAt: new Date(day + n),
    })),
  );
  const follows = ids.flatMap((id, n) => [
    { followerId: id, followeeId: hub, followedAt: at(n) },
    { followerId: hub, followeeId: id, followedAt: at(n) },
  ]);
  await followersBulk.loadPeople(world.followers.database, ids);
  await followersBulk.loadFollows(world.followers.database, follows);
  await followersBulk.recount(world.followers.database);

  const posts = [...ids, ...ids.map(() => hub)].map((authorId, n) => ({
    id: newId({ now: Date.parse(at(n)) }),
    authorId,
    body: `post ${n} of the crowd`,
    createdAt: at(n),
    inReplyToId: null,
  }));
  await postsBulk.loadPeople(world.posts.database, ids);
  await postsBulk.loadEdges(world.posts.database, follows);
  await postsBulk.loadPosts(world.posts.database, posts);
  await postsBulk.loadLikes(
    world.posts.database,
    posts.slice(size).flatMap(({ id: postId }) => ids.slice(0, 10).map((userId) => ({ postId, userId }))),
  );
  await postsBulk.recount(world.posts.database);
  await postsBulk.fillTimelines(world.posts.database, timelineLimits(readPostsConfig({})));
}
