import { openDatabase, type Database } from '#libs/database';
import { newId, shardOf } from '#libs/identity';
import { reconcile } from '#libs/read-model';
import { loadPeople as loadFollowersPeople } from '../../subgraphs/followers/bulk.js';
import { followersCounted } from '../../subgraphs/followers/counters.js';
import { followersTables } from '../../subgraphs/followers/followers.tables.js';
import { pairOf } from '../../subgraphs/followers/relation.js';
import { lockRelations, storeChanges } from '../../subgraphs/followers/relation.store.js';
import { ChangeRelation } from '../../subgraphs/followers/write/change-relation.js';
import { Waiting } from '../../subgraphs/followers/write/until-heard-of.js';
import * as bulk from '../../subgraphs/posts/bulk.js';
import { postsCounted } from '../../subgraphs/posts/counters.js';
import { postsTables } from '../../subgraphs/posts/posts.tables.js';
import { asPerson, type Writing } from '../../subgraphs/posts/write/as-person.js';
import { countLike } from '../../subgraphs/posts/write/count-like.js';
import { likePost } from '../../subgraphs/posts/write/like-post.js';
import { publishPost } from '../../subgraphs/posts/write/publish-post.js';
import { visiblePost } from '../../subgraphs/posts/write/visible-post.js';
import type { Place } from './places.js';
import { wrong, zeros, type Proof, type Row, type Setup } from './proof.js';

/** Sixteen people at a time like one post, or follow one person, each once: with the count spread where it is contended, and with everybody waiting for the row. */
export const hotCounts: Proof = {
  name: 'hot-counts',
  says: 'a post that everybody likes, a person whom everybody follows: how many per second, and no count that is wrong (wants the machine for itself)',
  always: false,
  alone: true,
  async run(setup) {
    const rows: Row[] = [];
    for (const place of setup.places) {
      rows.push(await liked(setup, place, 'spread over deltas where the row is held', likePost));
      rows.push(await liked(setup, place, 'for comparison: everybody waits for the row', waiting));
      rows.push(await liked(setup, place, 'control: read, then written', readThenWritten));
      rows.push(await followed(setup, place, 'spread over deltas where the row is held', spreadFollow));
      rows.push(await followed(setup, place, 'for comparison: everybody waits for the row', followWaiting));
      rows.push(await followed(setup, place, 'control: read, then written', followReadThenWritten));
    }
    return rows;
  },
};

const AT_ONCE = 16;

type Like = (writing: Writing, command: { viewer: string; postId: string }) => Promise<unknown>;

const waiting: Like = (writing, { viewer, postId }) =>
  asPerson(writing, viewer, 'to keep', async (tx) => {
    const post = await visiblePost(tx, postId, viewer, { locked: true });
    const at = new Date(writing.clock()).toISOString();
    await tx.query('INSERT INTO likes (post_id, user_id, liked, version, at) VALUES ($1, $2, true, 1, $3)', [
      postId,
      viewer,
      at,
    ]);
    await countLike(tx, { post, held: true }, 'post-liked', { userId: viewer, version: 1, at });
  });

const readThenWritten: Like = (writing, { viewer, postId }) =>
  asPerson(writing, viewer, 'to keep', async (tx) => {
    const post = await visiblePost(tx, postId, viewer, { locked: false });
    await tx.query('INSERT INTO likes (post_id, user_id, liked, version, at) VALUES ($1, $2, true, 1, now())', [
      postId,
      viewer,
    ]);
    await tx.query('UPDATE posts SET like_count = $2 WHERE id = $1', [postId, post.likeCount + 1]);
  });

type Follow = (database: Database, follower: string, followee: string) => Promise<unknown>;

const spreadFollow: Follow = (database, follower, followee) =>
  new ChangeRelation({ database, clock: Date.now, waiting: new Waiting(Date.now) }).run('follow', follower, followee);

const followWaiting: Follow = (database, follower, followee) =>
  database.transaction(async (tx) => {
    await tx.query('SELECT FROM people WHERE user_id = $1 FOR NO KEY UPDATE', [followee]);
    const [relation] = await lockRelations(tx, [pairOf(follower, followee)]);
    const changes = [{ type: 'follow-started', from: follower, to: followee } as const];
    await storeChanges(tx, [{ relation: relation!, changes }], { actor: follower, at: new Date().toISOString() });
  });

const followReadThenWritten: Follow = (database, follower, followee) =>
  database.transaction(async (tx) => {
    const [row] = await tx.query<{ n: number }>('SELECT follower_count AS n FROM people WHERE user_id = $1', [
      followee,
    ]);
    await tx.query('INSERT INTO follows VALUES ($1, $2, now())', [follower, followee]);
    await tx.query('UPDATE people SET following_count = following_count + 1 WHERE user_id = $1', [follower]);
    await tx.query('UPDATE people SET follower_count = $2 WHERE user_id = $1', [followee, row!.n + 1]);
  });

async function liked(setup: Setup, place: Place, claim: string, like: Like): Promise<Row> {
  const isControl = like === readThenWritten && place.name === 'servers';
  return counted(setup, place, { claim, what: 'likes of one post', isControl }, 'posts', async (database, people) => {
    await bulk.loadPeople(database, people);
    const writing: Writing = {
      database,
      clock: Date.now,
      newPostId: (authorId) => newId({ shard: shardOf(authorId) }),
      pause: async () => {},
    };
    const post = await publishPost(writing, { viewer: people[0] as string, body: 'hot', inReplyToId: null });
    return (viewer) => like(writing, { viewer, postId: post.id });
  });
}

async function followed(setup: Setup, place: Place, claim: string, follow: Follow): Promise<Row> {
  const isControl = follow === followReadThenWritten && place.name === 'servers';
  const what = 'follows of one person';
  return counted(setup, place, { claim, what, isControl }, 'followers', async (database, people) => {
    const celebrity = newId();
    await loadFollowersPeople(database, [celebrity, ...people]);
    return (follower) => follow(database, follower, celebrity);
  });
}

const SERVICES = {
  posts: { tables: postsTables, counted: postsCounted },
  followers: { tables: followersTables, counted: followersCounted },
} as const;

/** `begin` makes the world and answers what each person then does once, sixteen at a time. */
async function counted(
  setup: Setup,
  place: Place,
  { claim, what, isControl }: { claim: string; what: string; isControl: boolean },
  service: keyof typeof SERVICES,
  begin: (database: Database, people: readonly string[]) => Promise<(person: string) => Promise<unknown>>,
): Promise<Row> {
  const { tables, counted: counts } = SERVICES[service];
  const site = await place.prepare({ [service]: tables });
  const database = await openDatabase({
    service,
    url: site.urls?.[service],
    dataDir: site.dataDir,
    bulk: true,
    poolMax: AT_ONCE,
    ...tables,
  });
  try {
    const acts = Math.min(setup.size, 6_000);
    const people = Array.from({ length: acts }, () => newId());
    const act = await begin(database, people);
    const left = people.values();
    const started = performance.now();
    await Promise.all(
      Array.from({ length: AT_ONCE }, async () => {
        for (const person of left) await act(person);
      }),
    );
    const seconds = (performance.now() - started) / 1_000;
    let drift = 0;
    for (const count of counts) drift += (await reconcile(database, count, { mend: false })).length;
    return {
      claim,
      place: place.name,
      over: `${acts} ${what}, ${AT_ONCE} at once`,
      figures: [
        ...(isControl ? wrong({ 'wrong counts': drift }, 'wrong counts') : zeros({ 'wrong counts': drift })),
        { name: service === 'posts' ? 'likes' : 'follows', value: acts / seconds, unit: '/s' },
      ],
    };
  } finally {
    await database.close();
    await site.clear();
  }
}
