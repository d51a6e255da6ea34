import type { Database } from '#libs/database';
import { newId, shardOf } from '#libs/identity';
import type { Sealer } from '#libs/sealing';
import { loadBlocks, loadFollows, loadPeople, recount } from '../../subgraphs/followers/bulk.js';
import * as posts from '../../subgraphs/posts/bulk.js';
import { readPostsConfig, timelineLimits } from '../../subgraphs/posts/config.js';
import { loadPosts, loadUsers } from '../../subgraphs/users/bulk.js';
import { Passwords } from '../../subgraphs/users/write/passwords.js';
import { Chance } from './chance.js';

export interface Databases {
  readonly users: Database;
  readonly posts: Database;
  readonly followers: Database;
  /** Of users. */
  readonly sealer: Sealer;
}

/**
 * The five people that a first start puts in, all with the password `tributary`.
 *
 *     dan ──→ alice ←── eve        → follows
 *      ⊣ eve  ⇅   ⇅      ↑         ⇅ both follow each other
 *           bob → carol ─┘         ⊣ blocks
 *
 *     alice → bob, carol         bob → alice, carol       carol → alice, eve
 *     dan → alice                eve → alice              dan ⊣ eve
 *
 * So alice has four followers, and eve, logged in, sees three of them. alice wrote 24 posts, more than a page of the profile;
 * bob, carol, dan and eve a few; some are replies to hers. Answers false, and does nothing, where anybody has signed up.
 */
export async function seedDemo({ users, posts: postsStore, followers, sealer }: Databases): Promise<boolean> {
  const [anybody] = await users.query('SELECT FROM users LIMIT 1');
  if (anybody !== undefined) return false;

  const ids = PEOPLE.map(({ id }) => id);
  const follows = FOLLOWS.map(([from, to], index) => ({
    followerId: idOf(from),
    followeeId: idOf(to),
    followedAt: instant(JOINED + (index + 10) * HOUR_MS),
  }));
  const blocks = BLOCKS.map(([from, to]) => ({
    blockerId: idOf(from),
    blockedId: idOf(to),
    at: instant(JOINED + 30 * HOUR_MS),
  }));
  const written = POSTS.map((post, index) => ({ ...post, ...placeOf(post.author, index) }));

  await loadPeople(followers, ids);
  await loadFollows(followers, follows);
  await loadBlocks(followers, blocks);
  await recount(followers);

  await loadPosts(
    users,
    written.map(({ id }) => id),
  );
  await posts.loadPeople(postsStore, ids);
  await posts.loadEdges(postsStore, follows);
  await posts.loadBlocks(postsStore, blocks);
  await posts.loadPosts(
    postsStore,
    written.map(({ id, author, body, createdAt, replyTo }) => ({
      id,
      authorId: idOf(author),
      body,
      createdAt,
      inReplyToId: replyTo === undefined ? null : (written[replyTo]?.id ?? null),
    })),
  );
  await posts.loadLikes(
    postsStore,
    written.flatMap(({ id, likedBy }) => likedBy.map((name) => ({ postId: id, userId: idOf(name) }))),
  );
  await posts.recount(postsStore);
  await posts.fillTimelines(postsStore, timelineLimits(readPostsConfig({})));

  // Users last: whoever is killed before this begins again at the next start, with the same ids, so nothing is there twice.
  const passwordHash = await new Passwords({ atOnce: 1 }).hash(PASSWORD);
  await loadUsers(
    users,
    sealer,
    PEOPLE.map(({ name, id, joinedAt, bio }) => ({
      id,
      handle: name,
      displayName: name.slice(0, 1).toUpperCase() + name.slice(1),
      bio,
      email: `${name}@example.org`,
      passwordHash,
      joinedAt: new Date(joinedAt),
    })),
  );
  return true;
}

/** Who of the five can be logged in as by anybody who has read the README. */
export async function openToAll(users: Database): Promise<string[]> {
  const rows = await users.query<{ handle: string; password_hash: string }>(
    `SELECT handle, password_hash FROM users WHERE id = ANY($1) AND password_hash <> '' ORDER BY id`,
    [PEOPLE.map(({ id }) => id)],
  );
  const passwords = new Passwords({ atOnce: 1 });
  // Mostly it is one hash, that of the seed; a hash takes 20 ms.
  const isPublished = new Map<string, boolean>();
  for (const { password_hash: hash } of rows)
    if (!isPublished.has(hash)) isPublished.set(hash, await passwords.verify(hash, PASSWORD));
  return rows.filter(({ password_hash: hash }) => isPublished.get(hash)).map(({ handle }) => handle);
}

/** README.md says it. */
const PASSWORD = 'tributary';

type Name = 'alice' | 'bob' | 'carol' | 'dan' | 'eve';

const HOUR_MS = 3_600_000;
const JOINED = Date.parse('2026-10-01T09:00:00.000Z');
const PEOPLE = Object.entries({
  alice: 'Keeps a lock on the upper canal.',
  bob: 'Bakes. Mostly rye.',
  carol: 'Draws maps of places that moved.',
  dan: 'Ferry pilot, early shift.',
  eve: 'Reads other people’s notice boards.',
} satisfies Record<Name, string>).map(([name, bio], index) => {
  const chance = new Chance(`demo ${name}`);
  const joinedAt = JOINED + index * HOUR_MS;
  return { name, bio, joinedAt, id: newId({ now: joinedAt, random: (bytes) => chance.bytes(bytes) }) };
});

const FOLLOWS: readonly (readonly [Name, Name])[] = [
  ['alice', 'bob'],
  ['alice', 'carol'],
  ['bob', 'alice'],
  ['bob', 'carol'],
  ['carol', 'alice'],
  ['carol', 'eve'],
  ['dan', 'alice'],
  ['eve', 'alice'],
];
const BLOCKS: readonly (readonly [Name, Name])[] = [['dan', 'eve']];

interface DemoPost {
  readonly author: Name;
  readonly body: string;
  /** Index in `POSTS`, of an earlier one. */
  readonly replyTo?: number;
  readonly likedBy: readonly Name[];
}

/** In this order, one every eighteen hours: the whole of October. */
const POSTS: readonly DemoPost[] = [
  {
    author: 'alice',
    body: 'Hello. I keep the upper lock, and from today its log is public.',
    likedBy: ['bob', 'carol', 'eve'],
  },
  { author: 'bob', body: 'Welcome, upper lock! The bakery below you opens at six.', replyTo: 0, likedBy: ['alice'] },
  { author: 'alice', body: 'Water is 12 cm above the mark. Nobody needs to move a boat yet.', likedBy: ['dan'] },
  {
    author: 'carol',
    body: 'First sheet of the new canal map is drawn. The old one had a bridge that never was.',
    likedBy: ['alice', 'bob'],
  },
  {
    author: 'alice',
    body: 'Six boats up, four down. The heron went both ways.',
    likedBy: ['bob', 'carol', 'dan', 'eve'],
  },
  { author: 'dan', body: 'The ferry runs on time, I have it in writing.', likedBy: ['alice'] },
  { author: 'alice', body: 'In writing from whom?', replyTo: 5, likedBy: ['bob'] },
  { author: 'dan', body: 'From me. I write the timetable.', replyTo: 6, likedBy: ['alice', 'bob', 'carol'] },
  { author: 'bob', body: 'Rye is out at seven. Whoever is first gets the end piece.', likedBy: ['alice', 'carol'] },
  { author: 'alice', body: 'I was first. It was still warm.', replyTo: 8, likedBy: ['bob'] },
  {
    author: 'eve',
    body: 'The notice board at the harbour says “found: one oar”. It has said so since May.',
    likedBy: ['carol'],
  },
  { author: 'alice', body: 'Greased the paddle gear. You could hear a bicycle over it now.', likedBy: [] },
  { author: 'carol', body: 'Does anybody know what the stone at the third bend is called?', likedBy: [] },
  { author: 'alice', body: 'My grandmother called it the Dry Aunt.', replyTo: 12, likedBy: ['carol', 'bob'] },
  { author: 'carol', body: 'Then that is what the map will call it.', replyTo: 13, likedBy: ['alice', 'bob', 'eve'] },
  { author: 'alice', body: 'Rain since four. The gauge agrees.', likedBy: ['dan'] },
  { author: 'alice', body: 'Closing the lower gate at eight tonight, one hour early.', likedBy: ['dan', 'bob'] },
  { author: 'bob', body: 'Tried walnuts. The town is divided.', likedBy: ['eve'] },
  { author: 'alice', body: 'Team walnut.', replyTo: 17, likedBy: ['bob'] },
  { author: 'alice', body: 'Eleven boats today, a record for a Tuesday.', likedBy: ['carol'] },
  {
    author: 'eve',
    body: 'New on the board: “wanted: one oar”. I have introduced the two notices to each other.',
    likedBy: ['alice', 'bob', 'carol'],
  },
  {
    author: 'alice',
    body: 'Somebody asked what a lock keeper does all day. I wait, but with great attention.',
    likedBy: ['bob', 'carol', 'dan', 'eve'],
  },
  { author: 'alice', body: 'The heron is back and wants to see the manager.', likedBy: ['carol', 'bob'] },
  { author: 'dan', body: 'Fog. If you can read this you are not on the river.', likedBy: ['alice', 'bob'] },
  {
    author: 'alice',
    body: 'Fog here too. I ring the bell every five minutes; please do not ring back.',
    replyTo: 23,
    likedBy: ['dan'],
  },
  { author: 'alice', body: 'Bell rope broke. Consider this the bell.', likedBy: ['dan', 'carol', 'bob'] },
  { author: 'bob', body: '🔔', replyTo: 25, likedBy: ['alice'] },
  { author: 'alice', body: 'New rope, hemp, twelve metres, thank you Carol.', likedBy: ['carol'] },
  { author: 'alice', body: 'Water back at the mark. Eleven days.', likedBy: [] },
  { author: 'carol', body: 'Second sheet done. It ends where Alice’s garden begins.', likedBy: ['alice'] },
  {
    author: 'alice',
    body: 'It is a very small garden. Two beans and an opinion.',
    replyTo: 29,
    likedBy: ['carol', 'bob'],
  },
  { author: 'alice', body: 'First frost on the balance beam. Gloves from now on.', likedBy: ['bob'] },
  { author: 'bob', body: 'Frost means stollen. I do not make the rules.', likedBy: ['alice', 'carol', 'eve'] },
  { author: 'alice', body: 'One boat. It was lost.', likedBy: ['eve', 'bob'] },
  { author: 'alice', body: 'Painted the numbers on the gauge white again. You are welcome, night.', likedBy: [] },
  { author: 'bob', body: 'Seven loaves left. They are looking at me.', likedBy: [] },
  { author: 'alice', body: 'Save me one, I come by boat.', replyTo: 35, likedBy: ['bob'] },
  {
    author: 'alice',
    body: 'Winter times from tomorrow: eight to five, and any hour for whoever is cold.',
    likedBy: ['bob', 'carol', 'dan', 'eve'],
  },
  { author: 'alice', body: 'The log of October: 143 boats, 2 herons, 1 bell rope.', likedBy: ['bob', 'carol'] },
];

function placeOf(author: Name, index: number): { id: string; createdAt: string } {
  const chance = new Chance(`demo post ${index}`);
  const now = JOINED + (40 + index * 18) * HOUR_MS + Math.floor(chance.fraction() * HOUR_MS);
  return {
    id: newId({ now, shard: shardOf(idOf(author)), random: (bytes) => chance.bytes(bytes) }),
    createdAt: instant(now),
  };
}

function idOf(name: Name): string {
  const person = PEOPLE.find((one) => one.name === name);
  if (person === undefined) throw new Error(`There is no ${name}`);
  return person.id;
}

function instant(ms: number): string {
  return new Date(ms).toISOString();
}
