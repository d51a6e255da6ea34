import { openDatabase, type Database } from '#libs/database';
import { newId, shardOf } from '#libs/identity';
import { reconcile } from '#libs/read-model';
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

/** Sixteen people at a time like one post, each once: with the count spread where it is contended, and with everybody waiting for the row. */
export const hotCounts: Proof = {
  name: 'hot-counts',
  says: 'a post that everybody likes at once: likes per second, and no count that is wrong (wants the machine for itself)',
  always: false,
  alone: true,
  async run(setup) {
    const rows: Row[] = [];
    for (const place of setup.places) {
      rows.push(await liked(setup, place, 'spread over deltas where the row is held', likePost));
      rows.push(await liked(setup, place, 'for comparison: everybody waits for the row', waiting));
      rows.push(await liked(setup, place, 'control: read, then written', readThenWritten));
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

async function liked(setup: Setup, place: Place, claim: string, like: Like): Promise<Row> {
  const site = await place.prepare(['posts']);
  const { urls, dataDir } = site;
  const database = await openDatabase({
    service: 'posts',
    url: urls?.['posts'],
    dataDir,
    bulk: true,
    poolMax: AT_ONCE,
    ...postsTables,
  });
  try {
    const likes = Math.min(setup.size, 6_000);
    const people = Array.from({ length: likes }, () => newId());
    await bulk.loadPeople(database, people);
    const writing: Writing = {
      database,
      clock: Date.now,
      newPostId: (authorId) => newId({ shard: shardOf(authorId) }),
      pause: async () => {},
    };
    const post = await publishPost(writing, { viewer: people[0] as string, body: 'hot', inReplyToId: null });
    const fans = people.values();
    const started = performance.now();
    await Promise.all(
      Array.from({ length: AT_ONCE }, async () => {
        for (const viewer of fans) await like(writing, { viewer, postId: post.id });
      }),
    );
    const seconds = (performance.now() - started) / 1_000;
    const drift = await drifting(database);
    const isControl = like === readThenWritten && place.name === 'servers';
    return {
      claim,
      place: place.name,
      over: `${likes} likes of one post, ${AT_ONCE} at once`,
      figures: [
        ...(isControl ? wrong({ 'wrong counts': drift }, 'wrong counts') : zeros({ 'wrong counts': drift })),
        { name: 'likes', value: likes / seconds, unit: '/s' },
      ],
    };
  } finally {
    await database.close();
    await site.clear();
  }
}

async function drifting(database: Database): Promise<number> {
  let drift = 0;
  for (const counted of postsCounted) drift += (await reconcile(database, counted, { mend: false })).length;
  return drift;
}
