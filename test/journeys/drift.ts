import type { Database } from '#libs/database';
import { wholeCount as wholeFollows } from '../../subgraphs/followers/relation.counts.js';
import { wholeCount } from '../../subgraphs/posts/post.counts.js';
import { homePage, homePageFromSource } from '../../subgraphs/posts/read/home.queries.js';
import type { World } from '../world.js';

/**
 * What is wrong between the three databases when all is quiet: a count that is not the number of its rows, a copy that is not
 * what it was copied from, a follow across a block, an event that was not told or not understood. Empty when nothing is.
 */
export async function drift(world: Pick<World, 'users' | 'posts' | 'followers'>): Promise<string[]> {
  const [users, posts, followers] = [world.users.database, world.posts.database, world.followers.database];
  const wrong = [
    ...(await lines(posts, POSTS)),
    ...(await lines(followers, FOLLOWERS)),
    ...(await lines(followers, ACROSS_BLOCKS)),
  ];
  for (const database of [users, posts, followers]) wrong.push(...(await lines(database, UNTOLD)));
  wrong.push(...(await otherTimelines(posts)));
  const copies = [
    ['people in posts', users, USERS, posts, `SELECT id::text AS line FROM people WHERE state = 'registered'`],
    ['people in followers', users, USERS, followers, `SELECT user_id::text AS line FROM people WHERE state = 'active'`],
    [
      'follows in posts',
      followers,
      edges('follows', 'follower', 'followee'),
      posts,
      edges('follow_edges', 'follower', 'followee'),
    ],
    [
      'blocks in posts',
      followers,
      edges('blocks', 'blocker', 'blocked'),
      posts,
      edges('block_edges', 'blocker', 'blocked'),
    ],
  ] as const;
  for (const [name, owner, owned, keeper, kept] of copies) {
    const [facts, copy] = [new Set(await lines(owner, owned)), new Set(await lines(keeper, kept))];
    wrong.push(...[...facts].filter((line) => !copy.has(line)).map((line) => `${name} lack ${line}`));
    wrong.push(...[...copy].filter((line) => !facts.has(line)).map((line) => `${name} have ${line}, which is not so`));
  }
  return wrong;
}

/** Whose home timeline is not what posts and follows say. */
async function otherTimelines(posts: Database): Promise<string[]> {
  const people = await posts.query<{ id: string }>(`SELECT id FROM people WHERE state = 'registered'`);
  const page = { after: undefined, take: 100 };
  const wrong: string[] = [];
  for (const { id } of people) {
    const [shown, said] = await Promise.all(
      [homePage, homePageFromSource].map(async (read) => (await read(posts, id, page)).map((post) => post.id).join()),
    );
    if (shown !== said) wrong.push(`the home timeline of ${id} is ${shown}, not ${said}`);
  }
  return wrong;
}

async function lines(database: Database, text: string): Promise<string[]> {
  return (await database.query<{ line: string }>(text)).map(({ line }) => line);
}

const UNTOLD = `
  SELECT type || ' of ' || aggregate || ' is not published' AS line FROM outbox WHERE published_at IS NULL
  UNION ALL SELECT 'in quarantine: ' || row_to_json(quarantine)::text FROM quarantine`;

const USERS = 'SELECT id::text AS line FROM users WHERE deleted_at IS NULL';
const edges = (table: string, from: string, to: string): string =>
  `SELECT ${from}_id || ' → ' || ${to}_id AS line FROM ${table}`;

const POSTS = `
  SELECT what || ' of ' || id || ': ' || says || ', counted ' || counted AS line FROM (
    SELECT 'likeCount' AS what, p.id, ${wholeCount('likes', 'p')} AS says,
      (SELECT count(*) FROM likes l WHERE l.post_id = p.id AND l.liked) AS counted FROM posts p
    UNION ALL
    SELECT 'replyCount', p.id, ${wholeCount('replies', 'p')},
      (SELECT count(*) FROM posts r WHERE r.in_reply_to_id = p.id AND r.state = 'published') FROM posts p
    UNION ALL
    SELECT 'postCount', u.id, u.post_count,
      (SELECT count(*) FROM posts p WHERE p.author_id = u.id AND p.state = 'published') FROM people u
  ) AS counts WHERE says <> counted`;

const FOLLOWERS = `
  SELECT what || ' of ' || id || ': ' || says || ', counted ' || counted AS line FROM (
    SELECT 'followerCount' AS what, user_id AS id, ${wholeFollows('followers', 'people')} AS says,
      (SELECT count(*) FROM follows WHERE followee_id = user_id) AS counted FROM people
    UNION ALL
    SELECT 'followingCount', user_id, ${wholeFollows('following', 'people')},
      (SELECT count(*) FROM follows WHERE follower_id = user_id) FROM people
  ) AS counts WHERE says <> counted`;

const ACROSS_BLOCKS = `
  SELECT follower_id || ' follows ' || followee_id || ' across a block' AS line FROM follows JOIN blocks
    ON (blocker_id, blocked_id) IN ((follower_id, followee_id), (followee_id, follower_id))`;
