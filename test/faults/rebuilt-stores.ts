import { expect } from '@jest/globals';
import { openDatabase, provisionServices, type Database } from '#libs/database';
import { newId, timeOf } from '#libs/identity';
import { ChangeRelation } from '../../subgraphs/followers/write/change-relation.js';
import { Waiting } from '../../subgraphs/followers/write/until-heard-of.js';
import * as followersBulk from '../../subgraphs/followers/bulk.js';
import { followersTables } from '../../subgraphs/followers/followers.tables.js';
import { countsOf } from '../../subgraphs/followers/read/relation.queries.js';
import * as postsBulk from '../../subgraphs/posts/bulk.js';
import { homePage, homePageFromSource } from '../../subgraphs/posts/read/home.queries.js';
import { peopleByIds, postsByIds } from '../../subgraphs/posts/read/post.queries.js';
import { trendingPage } from '../../subgraphs/posts/read/trending.queries.js';
import { openScene as openPosts, type Scene as Posts } from '../../subgraphs/posts/scene.contract.js';
import { isTheTruth, settle } from '../../subgraphs/posts/timeline/timeline.contract.js';
import { refreshTrending } from '../../subgraphs/posts/trending/refresh.js';
import { deletePost } from '../../subgraphs/posts/write/delete-post.js';
import { likePost } from '../../subgraphs/posts/write/like-post.js';
import { publishPost } from '../../subgraphs/posts/write/publish-post.js';
import { unlikePost } from '../../subgraphs/posts/write/unlike-post.js';
import { notify } from '../../subgraphs/users/notifications/facts.js';
import { Scene as Users } from '../../subgraphs/users/notifications/scene.contract.js';

/**
 * The store of a service, with what its read models are made of, enough for some slices of each. Nothing is written to the third slice of
 * any: there a process stands, holding what it fills, until it is killed.
 */
export interface Store {
  readonly database: Database;
  /** Of its server; absent: embedded. */
  readonly url: string | undefined;
  /** Some of what changes what the models say. */
  write(): Promise<void>;
  /** What nobody writes to meanwhile, asked as the service asks it; what was not answered as it must be. */
  read(): Promise<unknown[]>;
  /** When nobody writes: a model answers what plain SQL says. */
  isTrue(model: string): Promise<void>;
  close(): Promise<void>;
}

const PEOPLE = 110;
const FOLLOWED_EACH = 10;
const POSTS_EACH = 2;
const LIKES_EACH = 3;
const LONG_AGO = Date.parse('2026-01-01T00:00:00.000Z');

const peopleOfLongAgo = (): string[] => Array.from({ length: PEOPLE }, (_, nth) => newId({ now: LONG_AGO + nth }));

/** Everybody follows the ten behind them. */
const followsAmong = (people: readonly string[]) =>
  people.flatMap((followerId, nth) =>
    Array.from({ length: FOLLOWED_EACH }, (_, k) => ({
      followerId,
      followeeId: people[(nth + 1 + k) % PEOPLE] as string,
    })),
  );

export async function openPostsStore(adminUrl: string): Promise<Store> {
  const scene = await openPosts(adminUrl);
  return (await layOutPosts(scene))(scene);
}

/**
 * The first ten write and are read by nobody whose page is looked at; the first post is liked by nobody more. On each day of this week somebody
 * has posted what trends, is looked at and liked by nobody more; and what is liked, and what is deleted meanwhile.
 */
async function layOutPosts({ database: laidOut }: Posts): Promise<(scene: Posts) => Store> {
  const limits = { pushMax: 1_000, length: 200, trimEvery: 4, sliceMax: 10 };
  const people = peopleOfLongAgo();
  const posts = Array.from({ length: PEOPLE * POSTS_EACH }, (_, nth) => newId({ now: LONG_AGO + 1_000_000 + nth }));
  const halfDay = 43_200_000;
  const ofTheWeek = () => [1, 3, 5, 7, 9, 11, 13].map((ago) => newId({ now: Date.now() - ago * halfDay }));
  const [trends, rising, falling] = [ofTheWeek(), ofTheWeek(), ofTheWeek()];
  const week = [...trends, ...rising, ...falling];
  const authorOf = (nth: number): string => people[nth % (nth < posts.length ? PEOPLE : 7)] as string;
  await postsBulk.loadPeople(laidOut, people);
  await postsBulk.loadEdges(laidOut, followsAmong(people));
  await postsBulk.loadPosts(
    laidOut,
    [...posts, ...week].map((id, nth) => ({
      id,
      authorId: authorOf(nth),
      body: 'x',
      createdAt: new Date(timeOf(id)).toISOString(),
      inReplyToId: null,
    })),
  );
  const likers = people.slice(-LIKES_EACH);
  await postsBulk.loadLikes(
    laidOut,
    [...posts, ...week].flatMap((postId) => likers.map((userId) => ({ postId, userId }))),
  );
  await postsBulk.fillTimelines(laidOut, limits);
  await postsBulk.recount(laidOut);
  // As after the migration that brought them: never built.
  await laidOut.query('UPDATE posts SET like_count_2 = NULL, reply_count_2 = NULL');
  await laidOut.query('UPDATE people SET post_count_2 = NULL');
  await refreshTrending(laidOut, 0);

  const quiet = { post: posts[20] as string, author: people[20] as string, readers: [20, 40, 60, 80] };
  const idsOf = async (database: Database, read: typeof homePage, viewer: string): Promise<string> =>
    (await read(database, viewer, { after: undefined, take: 15 })).map(({ id }) => id).join();
  const pages = new Map<string, string>();
  for (const nth of quiet.readers)
    pages.set(people[nth] as string, await idsOf(laidOut, homePageFromSource, people[nth] as string));
  let nth = 0;
  /** How many writes were done, and how many of them what trends was refreshed behind: two may be under way at once, and a rebuild may be at it. */
  let [written, refreshed] = [0, 0];
  const refresh = async (scene: Posts): Promise<void> => {
    const upTo = written;
    if (await refreshTrending(scene.database, 0)) refreshed = Math.max(refreshed, upTo);
  };
  return (scene) => ({
    database: scene.database,
    url: scene.url,
    async write() {
      nth += 1;
      const viewer = people[nth % 10] as string;
      const liked = posts[75 + ((nth * 7) % (posts.length - 75))] as string;
      const post = await publishPost(scene.writing, { viewer, body: 'new', inReplyToId: nth % 2 === 0 ? liked : null });
      const { id: postId, authorId, body, inReplyToId, createdAt } = post;
      await scene.hear('post-published', { postId, authorId, body, inReplyToId, createdAt });
      await settle(scene, limits);
      await likePost(scene.writing, { viewer, postId: liked });
      if (nth % 3 === 0) await unlikePost(scene.writing, { viewer, postId: liked });
      if (nth % 3 === 1) await deletePost(scene.writing, { viewer, id: post.id });
      await likePost(scene.writing, { viewer, postId: rising[nth % 7] as string });
      const fallen = nth % 3 === 2 ? falling.pop() : undefined;
      if (fallen)
        await deletePost(scene.writing, { viewer: authorOf(posts.length + week.indexOf(fallen)), id: fallen });
      written += 1;
      await refresh(scene);
    },
    async read() {
      const wrong: unknown[] = [];
      for (const [viewer, page] of pages)
        if ((await idsOf(scene.database, homePage, viewer)) !== page) wrong.push({ viewer });
      const post = (await postsByIds(scene.database, [quiet.post])).get(quiet.post);
      if (post?.likeCount !== LIKES_EACH) wrong.push({ post });
      const author = (await peopleByIds(scene.database, [quiet.author])).get(quiet.author);
      if (author?.postCount !== POSTS_EACH) wrong.push({ author });
      const page = await trendingPage(scene.database, null, { after: undefined, take: 500 });
      const shown = page.posts.map(({ post: { id } }) => id).filter((id) => trends.includes(id));
      if (shown.join() !== trends.join()) wrong.push({ shown });
      return wrong;
    },
    async isTrue(model) {
      await settle(scene, limits);
      if (refreshed < written) await refresh(scene);
      if (model === 'home-timeline') for (const viewer of people) await isTheTruth(scene, homePage, viewer, [50]);
      else if (model === 'trending')
        expect(await scene.database.query(SHOWN)).toEqual(await scene.database.query(TRENDING));
      else expect(await scene.drift()).toEqual([]);
    },
    close: () => scene.close(),
  });
}

/** Without what its age has taken from it when it was made, a score is the likes and twice the replies, whether they are counted in its row yet or not. */
const SHOWN = `
  SELECT v.id, round(v.score * power(extract(epoch FROM s.made_at - p.created_at)::float8 / 3600 + 2, 1.8))::int AS weight
  FROM (SELECT 1 AS slot, * FROM trending_1 UNION ALL SELECT 2, * FROM trending_2) v
  JOIN read_models m ON m.name = 'trending' AND m.serving = v.slot
  JOIN trending_slices s USING (slot, slice) JOIN posts p ON p.id = v.id ORDER BY v.id`;
const TRENDING = `
  SELECT id, likes + 2 * replies AS weight FROM (
    SELECT id, (SELECT count(*) FROM likes WHERE post_id = p.id AND liked)::int AS likes,
      (SELECT count(*) FROM posts WHERE in_reply_to_id = p.id AND state = 'published')::int AS replies
    FROM posts p WHERE state = 'published' AND created_at > now() - interval '7 days'
  ) p WHERE likes + replies > 0 ORDER BY id`;

export async function openUsersStore(adminUrl: string): Promise<Store> {
  const scene = await Users.open(adminUrl);
  return (await layOutUsers(scene))(scene);
}

export async function openFollowersStore(adminUrl: string): Promise<Store> {
  const prefix = `test_${newId().replaceAll('-', '').slice(-12)}_`;
  const services = await provisionServices(adminUrl, ['followers'], { followers: 'followers' }, { prefix });
  const database = await openDatabase({ service: 'followers', url: services['followers'], ...followersTables });
  return (await layOutFollowers(database))(database, services['followers']);
}

/** All embedded in a folder, of which one process at a time has the store: what opens them again and again. */
export async function layOutEmbedded(dataDir: string) {
  const posts = (): Promise<Posts> => openPosts(undefined, dataDir);
  const users = (): Promise<Users> => Users.open(undefined, dataDir);
  const followers = (): Promise<Database> => openDatabase({ service: 'followers', dataDir, ...followersTables });
  const laidOut = [await posts(), await users(), await followers()] as const;
  const ofPosts = await layOutPosts(laidOut[0]);
  const ofUsers = await layOutUsers(laidOut[1]);
  const ofFollowers = await layOutFollowers(laidOut[2]);
  for (const one of laidOut) await one.close();
  return {
    posts: async () => ofPosts(await posts()),
    users: async () => ofUsers(await users()),
    followers: async () => ofFollowers(await followers()),
  };
}

/** More than four slices of people, each of whom was liked by the next, once. */
async function layOutUsers(laidOut: Users): Promise<(scene: Users) => Store> {
  const people = (await laidOut.people(850)).toSorted();
  const posts = people.map(() => newId());
  const fanOf = (nth: number): string => people[(nth + 1) % people.length] as string;
  const at = new Date(LONG_AGO).toISOString();
  await laidOut.database.transaction((tx) =>
    notify(
      tx,
      people.map((recipientId, nth) => ({
        id: newId({ now: LONG_AGO + nth }),
        recipientId,
        kind: 'like' as const,
        actorId: fanOf(nth),
        postId: posts[nth] as string,
        at,
      })),
    ),
  );
  const quiet = [5, 250, 450, 650, 840];
  const lively = [0, 300, 849];
  let nth = 0;
  return (scene) => ({
    database: scene.database,
    url: scene.url,
    async write() {
      nth += 1;
      const one = lively[nth % lively.length] as number;
      const [post, author, fan] = [posts[one] as string, people[one] as string, fanOf(one + (nth % 50))];
      await scene.hear(scene.liked(post, author, fan));
      if (nth % 2 === 0) await scene.hear(scene.unliked(post, fan));
    },
    async read() {
      const wrong: unknown[] = [];
      for (const one of quiet) {
        const shown = await scene.shown(people[one] as string);
        if (shown.told.join() !== `like ${posts[one]}` || shown.unread !== 1) wrong.push({ one, shown });
      }
      return wrong;
    },
    async isTrue(model) {
      const columns = 'recipient_id, id, kind, actor_id, post_id, at';
      const heard = `SELECT ${columns} FROM notification_facts`;
      const listed = `SELECT ${columns} FROM notifications WHERE slot = (SELECT serving FROM read_models WHERE name = '${model}')`;
      const differing = `(${heard} EXCEPT ${listed}) UNION ALL (${listed} EXCEPT ${heard}) LIMIT 3`;
      expect(await scene.database.query(differing)).toEqual([]);
    },
    close: () => scene.close(),
  });
}

/** The first fifty follow each other and no longer. */
async function layOutFollowers(laidOut: Database): Promise<(database: Database, url?: string) => Store> {
  const people = peopleOfLongAgo();
  await followersBulk.loadPeople(laidOut, people);
  const followedAt = new Date(LONG_AGO).toISOString();
  await followersBulk.loadFollows(
    laidOut,
    followsAmong(people).map((follow) => ({ ...follow, followedAt })),
  );
  await followersBulk.recount(laidOut);
  await laidOut.query('UPDATE people SET follower_count_2 = NULL, following_count_2 = NULL');

  const lively = people.slice(0, 50);
  const quiet = people.slice(50 + FOLLOWED_EACH);
  let nth = 0;
  return (database, url) => ({
    database,
    url,
    async write() {
      nth += 1;
      const change = new ChangeRelation({ database, clock: Date.now, waiting: new Waiting() });
      const [one, other] = [lively[nth % 50] as string, lively[(nth * 7 + 1) % 50] as string];
      if (one !== other) await change.run(nth % 3 === 0 ? 'unfollow' : 'follow', one, other);
    },
    async read() {
      const counts = await countsOf(database, quiet);
      return [...counts].filter(
        ([, { followers, following }]) => followers !== FOLLOWED_EACH || following !== FOLLOWED_EACH,
      );
    },
    async isTrue() {
      const counted = await database.query<{ id: string; followers: number; following: number }>(
        `SELECT p.user_id AS id, (SELECT count(*)::int FROM follows WHERE followee_id = p.user_id) AS followers,
           (SELECT count(*)::int FROM follows WHERE follower_id = p.user_id) AS following FROM people p`,
      );
      const told = await countsOf(database, people);
      expect(told).toEqual(new Map(counted.map(({ id, ...counts }) => [id, counts])));
    },
    close: () => database.close(),
  });
}
