import { CODES, Failure } from '#libs/failure';
import { shardOf } from '#libs/identity';
import * as followersBulk from '../../subgraphs/followers/bulk.js';
import * as postsBulk from '../../subgraphs/posts/bulk.js';
import { readPostsConfig, timelineLimits } from '../../subgraphs/posts/config.js';
import * as usersBulk from '../../subgraphs/users/bulk.js';
import { Passwords } from '../../subgraphs/users/write/passwords.js';
import { Chance } from './chance.js';
import type { Databases } from './demo.js';
import { END, personAt } from './people.js';
import { bodyAt, likersOf, postIdAt } from './posts.js';
import type { Progress } from './progress.js';
import type { GeneratedWorld } from './world.js';

/** Rows that are made and stored before the next are made. */
const CHUNK = 10_000;

/** Writes a generated world into the three stores, the same world twice as once. Followers is filled while posts is. */
export async function loadWorld(
  databases: Databases,
  world: GeneratedWorld,
  password: string,
  progress: Progress,
): Promise<void> {
  await loadPeople(databases, world, password, progress);
  await Promise.all([loadFollowers(databases, world, progress), loadPosts(databases, world, progress)]);
  for (const database of [databases.users, databases.posts, databases.followers]) {
    // So that the first queries are planned well; where it takes longer than a statement may, autovacuum comes within a minute.
    await database.query('ANALYZE').catch(isTimeout);
  }
}

/** What `loadWorld` counts: every row of every store, and the rows that are counted again at the end. */
export function rowsOf({ people, graph, writings }: GeneratedWorld): number {
  return 3 * people.length + 2 * graph.followers.length + 4 * writings.authors.length + 3 * people.length;
}

async function loadPeople(
  { users, posts, followers, sealer }: Databases,
  { people }: GeneratedWorld,
  password: string,
  progress: Progress,
): Promise<void> {
  // One for all of them: a hash of its own for each of 50,000 people would take half an hour.
  const passwordHash = await new Passwords({ atOnce: 1 }).hash(password);
  for (const chunk of chunksOf(people, 2_000)) {
    const ids = chunk.map(({ id }) => id);
    await patiently(async () => {
      const known = await users.query<{ id: string }>('SELECT id FROM users WHERE id = ANY ($1::uuid[])', [ids]);
      const knownIds = new Set(known.map(({ id }) => id));
      const strangers = chunk.filter(({ id }) => !knownIds.has(id));
      await usersBulk.loadUsers(
        users,
        sealer,
        strangers.map((person) => ({ ...person, passwordHash, joinedAt: new Date(person.joinedAt) })),
      );
      await Promise.all([postsBulk.loadPeople(posts, ids), followersBulk.loadPeople(followers, ids)]);
    });
    progress.add(3 * chunk.length, 'people');
  }
}

async function loadFollowers({ followers }: Databases, world: GeneratedWorld, progress: Progress): Promise<void> {
  for (const follows of followsOf(world)) {
    await patiently(() => followersBulk.loadFollows(followers, follows));
    progress.add(follows.length, 'follows');
  }
  await patiently(() => followersBulk.recount(followers));
  progress.add(world.people.length, 'counts of followers');
}

async function loadPosts({ users, posts }: Databases, world: GeneratedWorld, progress: Progress): Promise<void> {
  for (const edges of followsOf(world)) {
    await patiently(() => postsBulk.loadEdges(posts, edges));
    progress.add(edges.length, 'follows');
  }
  const { people, graph, writings, seed } = world;
  const shard = (person: number) => shardOf(people[person]?.id ?? '');
  const idAt = (index: number) => postIdAt(seed, writings, index, shard);
  const bodies = new Chance(`${seed} bodies`);
  const tastes = new Chance(`${seed} likes`);
  const all = writings.authors.length;
  for (let from = 0; from < all; from += CHUNK) {
    const rows: postsBulk.SeedPost[] = [];
    const likes: { postId: string; userId: string }[] = [];
    for (let index = from; index < Math.min(all, from + CHUNK); index++) {
      const author = writings.authors[index] ?? 0;
      const parent = writings.parents[index] ?? -1;
      const person = people[author] ?? personAt(seed, author);
      const id = idAt(index);
      rows.push({
        id,
        authorId: person.id,
        body: bodyAt(bodies, person),
        createdAt: new Date(writings.times[index] ?? END).toISOString(),
        inReplyToId: parent === -1 ? null : idAt(parent),
      });
      for (const liker of likersOf(graph, author, tastes)) likes.push({ postId: id, userId: people[liker]?.id ?? '' });
    }
    await patiently(() =>
      usersBulk.loadPosts(
        users,
        rows.map(({ id }) => id),
      ),
    );
    await patiently(() => postsBulk.loadPosts(posts, rows));
    await patiently(() => postsBulk.loadLikes(posts, likes));
    progress.add(3 * rows.length, 'posts and likes');
  }
  await patiently(() => postsBulk.recount(posts));
  progress.add(all + people.length, 'counts of posts');
  // Before the lists are filled: with statistics of empty tables each list would be a scan.
  await posts.query('ANALYZE').catch(isTimeout);
  const limits = timelineLimits(readPostsConfig({}));
  // Who has a list already needs none, and others than these people may lack one: the bar counts these people, each once.
  let left = people.length;
  const filled = (count: number): void => {
    const counted = Math.min(left, count);
    left -= counted;
    progress.add(counted, 'home timelines');
  };
  await patiently(() => postsBulk.fillTimelines(posts, limits, filled));
  filled(left);
}

/** A busy server may take longer for a statement than a service lets it. What is loaded twice is there once, so it is tried again. */
async function patiently(load: () => Promise<void>): Promise<void> {
  for (let tries = 1; tries < TRIES_MAX; tries++) {
    try {
      return await load();
    } catch (error) {
      isTimeout(error);
    }
  }
  return load();
}

function isTimeout(error: unknown): void {
  if (!(error instanceof Failure) || !CODES[error.code].retry) throw error;
}

const TRIES_MAX = 5;

/** The follows as rows, some at a time; the same rows each time. */
function* followsOf({ people, graph, seed }: GeneratedWorld) {
  const chance = new Chance(`${seed} followed at`);
  let chunk: { followerId: string; followeeId: string; followedAt: string }[] = [];
  for (let followee = 0; followee < graph.people; followee++) {
    const known = people[followee];
    for (let at = graph.start[followee] ?? 0; at < (graph.start[followee + 1] ?? 0); at++) {
      const follower = people[graph.followers[at] ?? 0];
      if (known === undefined || follower === undefined) continue;
      const since = Math.max(known.joinedAt, follower.joinedAt);
      const followedAt = new Date(since + Math.floor((END - since) * chance.fraction())).toISOString();
      chunk.push({ followerId: follower.id, followeeId: known.id, followedAt });
      if (chunk.length < CHUNK) continue;
      yield chunk;
      chunk = [];
    }
  }
  yield chunk;
}

function* chunksOf<T>(rows: readonly T[], size: number): Generator<readonly T[]> {
  for (let from = 0; from < rows.length; from += size) yield rows.slice(from, from + size);
}
