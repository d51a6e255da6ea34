import type { Database } from '#libs/database';
import { wholeCount as wholeFollows } from '../../subgraphs/followers/relation.counts.js';
import { postCountOf, wholeCount } from '../../subgraphs/posts/post.counts.js';
import { homePage, homePageFromSource } from '../../subgraphs/posts/read/home.queries.js';
import { NOTIFICATIONS_MAX } from '../../subgraphs/users/notifications/facts.js';

/** The databases of the three services. */
export type Stores = Readonly<Record<'users' | 'posts' | 'followers', Database>>;

/**
 * What is wrong between the three databases when all is quiet: a count that is not the number of its rows, a copy that is not
 * what it was copied from, a follow across a block, an event that was not told or not understood. Empty when nothing is.
 */
export async function drift(stores: Stores): Promise<string[]> {
  const { users, posts, followers } = stores;
  const wrong = [
    ...(await lines(posts, POSTS)),
    ...(await lines(followers, FOLLOWERS)),
    ...(await lines(followers, ACROSS_BLOCKS)),
  ];
  for (const database of [users, posts, followers]) wrong.push(...(await lines(database, UNTOLD)));
  return [...wrong, ...(await otherCopies(stores))];
}

/** What events have brought about, and is not what those who told them have: people, follows and blocks in the other services, home timelines. */
export async function otherCopies({ users, posts, followers }: Stores): Promise<string[]> {
  const wrong = await otherTimelines(posts);
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

/**
 * Whose notifications are not one for each like of a post of theirs and each follower. Of a list that is nearly full the oldest may be
 * forgotten. For a graph in which nothing is deleted and nobody blocks: what these leave behind, the tests of notifications know.
 */
export async function otherNotifications({ users, posts, followers }: Stores): Promise<string[]> {
  const told = await users.query<{ recipient: string; line: string }>(
    `SELECT recipient_id AS recipient, kind || ' by ' || actor_id || CASE kind WHEN 'like' THEN ' of ' || post_id ELSE '' END AS line
     FROM notifications n JOIN read_models m ON m.name = 'notifications' AND m.serving = n.slot WHERE kind IN ('like', 'follow')`,
  );
  const facts = [
    ...(await posts.query<{ recipient: string; line: string }>(
      `SELECT p.author_id AS recipient, 'like by ' || l.user_id || ' of ' || p.id AS line
       FROM likes l JOIN posts p ON p.id = l.post_id WHERE l.liked AND l.user_id <> p.author_id`,
    )),
    ...(await followers.query<{ recipient: string; line: string }>(
      `SELECT followee_id AS recipient, 'follow by ' || follower_id AS line FROM follows`,
    )),
  ];
  const wrong: string[] = [];
  for (const person of new Set([...told, ...facts].map(({ recipient }) => recipient))) {
    const of = (all: typeof told): string[] => all.flatMap(({ recipient, line }) => (recipient === person ? line : []));
    const [shown, due] = [of(told), new Set(of(facts))];
    const once = new Set(shown);
    if (once.size < shown.length) wrong.push(`${person} was told ${shown.length - once.size} things twice`);
    wrong.push(
      ...[...once].filter((line) => !due.has(line)).map((line) => `${person} was told of a ${line}, which is not so`),
    );
    if (once.size >= NEARLY_FULL) continue;
    wrong.push(...[...due].filter((line) => !once.has(line)).map((line) => `${person} was not told of a ${line}`));
  }
  return wrong;
}

const NEARLY_FULL = 0.9 * NOTIFICATIONS_MAX;
/** More than anybody in a test has. */
const PAGE = 1_000;

/** Whose home timeline is not what posts and follows say. */
async function otherTimelines(posts: Database): Promise<string[]> {
  const people = await posts.query<{ id: string }>(`SELECT id FROM people WHERE state = 'registered'`);
  const page = { after: undefined, take: PAGE };
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
    SELECT 'postCount', u.id, ${postCountOf('u')},
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
