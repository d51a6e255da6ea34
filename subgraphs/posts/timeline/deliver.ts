import { crashPoint } from '#libs/crash-point';
import type { Database, Tx } from '#libs/database';
import { ACTIVE_SLOTS, NIL, trim, type TimelineLimits } from './lists.js';

/** Posts that one step serves. With 200 followers for each at most 10,000 deliveries are one transaction. */
const POSTS_PER_STEP = 50;

interface Work {
  readonly postId: string;
  readonly authorId: string;
  readonly cursor: string;
}

interface Slice {
  readonly postId: string;
  readonly delivered: number;
  readonly last: string;
  readonly sampled: string[] | null;
}

/** A post goes into the lists of its author's followers. Nobody follows, or everybody merges the author in: there is nothing to do. */
export async function pushPost(tx: Tx, post: { readonly postId: string; readonly authorId: string }): Promise<void> {
  await tx.query(
    `INSERT INTO timeline_work AS w (post_id, author_id)
     SELECT $1, $2 WHERE NOT EXISTS (SELECT FROM people WHERE id = $2 AND pulled)
       AND EXISTS (SELECT FROM follow_edges WHERE followee_id = $2)
     ON CONFLICT (post_id) DO UPDATE SET cursor = '${NIL}'`,
    [post.postId, post.authorId],
  );
}

/**
 * One step of all fan-outs: a slice of followers for each of the posts that were served longest ago. So a post with many followers
 * takes its turn like any other, and whoever is killed leaves the cursor where the last step put it. Several processes may step
 * at once: each takes posts that no other holds, and to deliver twice is to deliver once.
 *
 * Who follows is read by the statement that delivers. An edge that comes later is not missed: it is read from its followee until
 * `backfill` has copied what was published before it.
 */
export function deliverStep(
  database: Database,
  limits: TimelineLimits,
): Promise<{ posts: number; deliveries: number }> {
  return database.transaction(async (tx) => {
    const works = await tx.query<Work>(
      `SELECT post_id AS "postId", author_id AS "authorId", cursor FROM timeline_work
       ORDER BY served_at, post_id LIMIT ${POSTS_PER_STEP} FOR UPDATE SKIP LOCKED`,
    );
    if (works.length === 0) return { posts: 0, deliveries: 0 };
    const slices = new Map((await deliver(tx, works, limits)).map((slice) => [slice.postId, slice]));
    crashPoint('project:delivered');
    const { sliceMax, pushMax } = limits;
    const reached = ({ postId }: Work): number => slices.get(postId)?.delivered ?? 0;
    const popular = works.filter((work) => reached(work) >= Math.min(sliceMax, pushMax + 1));
    const pulled = await tooManyToPush(
      tx,
      popular.map(({ authorId }) => authorId),
      pushMax,
    );
    const goesOn = new Set(
      works.filter((work) => reached(work) === sliceMax && !pulled.has(work.authorId)).map(({ postId }) => postId),
    );
    await advance(tx, works, slices, goesOn);
    await trim(
      tx,
      [...slices.values()].flatMap(({ sampled }) => sampled ?? []),
      limits.length,
    );
    return { posts: works.length, deliveries: [...slices.values()].reduce((sum, { delivered }) => sum + delivered, 0) };
  });
}

/** Rows go in by person, so that they meet the index in its order, and two who deliver at once never wait in a circle. */
function deliver(tx: Tx, works: readonly Work[], { trimEvery, sliceMax }: TimelineLimits): Promise<Slice[]> {
  return tx.query<Slice>(
    `WITH slice AS MATERIALIZED (
       SELECT w.post_id, f.follower_id, random() * $4 < 1 AS sampled
       FROM unnest($1::uuid[], $2::uuid[], $3::uuid[]) AS w (post_id, author_id, cursor)
       CROSS JOIN LATERAL (
         SELECT follower_id FROM follow_edges WHERE followee_id = w.author_id AND follower_id > w.cursor
         ORDER BY follower_id LIMIT $5
       ) f
     ), stored AS (
       INSERT INTO home_entries (slot, user_id, post_id)
       SELECT s.slot, slice.follower_id, slice.post_id FROM slice CROSS JOIN ${ACTIVE_SLOTS} s
       ORDER BY s.slot, slice.follower_id, slice.post_id
       ON CONFLICT DO NOTHING
     )
     SELECT post_id AS "postId", count(*)::int AS delivered, max(follower_id::text) AS last,
       array_agg(follower_id) FILTER (WHERE sampled) AS sampled
     FROM slice GROUP BY post_id`,
    [
      works.map(({ postId }) => postId),
      works.map(({ authorId }) => authorId),
      works.map(({ cursor }) => cursor),
      trimEvery,
      sliceMax,
    ],
  );
}

/**
 * Which of these authors are merged in by those who read, from now on or already. Nobody comes back from there by losing followers: a
 * list would lack what was published meanwhile.
 */
async function tooManyToPush(tx: Tx, authorIds: readonly string[], pushMax: number): Promise<Set<string>> {
  if (authorIds.length === 0) return new Set();
  const rows = await tx.query<{ id: string }>(
    `WITH became AS (
       UPDATE people SET pulled = true
       WHERE id = ANY($1::uuid[]) AND NOT pulled
         AND (SELECT count(*) FROM (SELECT FROM follow_edges WHERE followee_id = people.id LIMIT $2 + 1) f) > $2
       RETURNING id
     ) SELECT id FROM became UNION SELECT id FROM people WHERE id = ANY($1::uuid[]) AND pulled`,
    [authorIds, pushMax],
  );
  return new Set(rows.map(({ id }) => id));
}

async function advance(
  tx: Tx,
  works: readonly Work[],
  slices: ReadonlyMap<string, Slice>,
  goesOn: ReadonlySet<string>,
): Promise<void> {
  const on = [...goesOn];
  await tx.query(
    `WITH moved AS (
       UPDATE timeline_work w SET cursor = m.cursor, served_at = clock_timestamp()
       FROM unnest($1::uuid[], $2::uuid[]) AS m (post_id, cursor) WHERE w.post_id = m.post_id
     ) DELETE FROM timeline_work WHERE post_id = ANY($3::uuid[])`,
    [
      on,
      on.map((postId) => slices.get(postId)?.last ?? NIL),
      works.filter(({ postId }) => !goesOn.has(postId)).map(({ postId }) => postId),
    ],
  );
}
