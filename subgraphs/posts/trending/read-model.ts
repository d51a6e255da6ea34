import type { Tx } from '#libs/database';
import { answering, type ReadModel, type Slots } from '#libs/read-model';
import { POST_COUNTS } from '../post.counts.js';
import { remakeSlices, SLICES, viewOf } from './slices.js';

/**
 * How the trending posts are built anew beside those that answer: `npm run rebuild -- trending`. Scores fall by the second and those that
 * answer are up to a minute old, so a slice is not compared with theirs: it is made once more, and compared with what plain SQL says for the
 * same posts and the same now(). That is one moment only if both see one snapshot; at READ COMMITTED a like between them is a difference.
 */
export const trendingModel: ReadModel = {
  name: 'trending',
  keys: 'days',
  keysPerStep: 1,
  oneSnapshot: true,
  total: async () => SLICES.length,
  // It is neither serving nor building then, and therefore refreshed to nothing.
  clear: (tx, slot) => remakeSlices(tx, slot, SLICES),
  async fill(tx, slot, after) {
    const slice = sliceBehind(after);
    if (slice === undefined) return undefined;
    await remakeSlices(tx, slot, [slice]);
    const [row] = await tx.query<{ rows: number }>(
      `SELECT count(*)::int AS rows FROM ${viewOf(slot)} WHERE slice = $1`,
      [slice],
    );
    return { ...stepOf(slice), rows: row?.rows ?? 0 };
  },
  async compare(tx, { building }, after) {
    const slice = sliceBehind(after);
    if (slice === undefined) return undefined;
    await remakeSlices(tx, building, [slice]);
    const { rows, same } = await compared(tx, building, slice);
    return { ...stepOf(slice), rows, differing: same ? [] : [keyOf(slice)] };
  },
  async freshen(tx, { serving, building }) {
    // Embedded there is no other transaction, and nobody can read before this one is over: it makes what readers would go back in, which
    // mostly is nothing (freshenSome).
    if (tx.kind === 'embedded') return remakeSlices(tx, building, await olderSlices(tx, { serving, building }));
    // All of them for one moment, however long a killed rebuild lay there: readers do not go back.
    // Behind whoever refreshes: one that had begun before would make what it thinks answers, for a moment of before the switch.
    await tx.query(`SELECT pg_advisory_xact_lock(hashtext('trending_slices'))`);
    // That one may have begun after this transaction, whose now() is what they would be made for: then it is begun anew.
    await tx.query(BEGIN_BEHIND_WHAT_ANSWERS);
    await remakeSlices(tx, building, SLICES);
  },
  async freshenSome(tx, slots) {
    if (tx.kind === 'server') return false;
    const [oldest] = await olderSlices(tx, slots);
    if (oldest === undefined) return false;
    await remakeSlices(tx, slots.building, [oldest]);
    return true;
  },
};

/** Slices that were made before those that answer, and may be made anew for now: not where those are of the time to come (below). */
async function olderSlices(tx: Tx, { serving, building }: Slots): Promise<number[]> {
  const rows = await tx.query<{ slice: number }>(
    `SELECT b.slice FROM trending_slices b JOIN trending_slices s USING (slice)
     WHERE b.slot = $1 AND s.slot = $2 AND b.made_at < s.made_at AND s.made_at <= now() ORDER BY b.made_at`,
    [building, serving],
  );
  return rows.map(({ slice }) => slice);
}

/** What was made in the time to come, before a clock was set back, is no matter: the next refresh makes it anew. */
const BEGIN_BEHIND_WHAT_ANSWERS = `DO $$ BEGIN
  IF EXISTS (
    SELECT FROM trending_slices s JOIN read_models m ON m.name = 'trending' AND m.serving = s.slot
    WHERE s.made_at > now() AND s.made_at <= clock_timestamp()
  ) THEN RAISE EXCEPTION 'what answers was made after this transaction had begun' USING ERRCODE = 'serialization_failure';
  END IF; END $$`;

/** Its slices are numbered by uuids, as the keys of all models. */
function keyOf(slice: number): string {
  return `00000000-0000-0000-0000-00000000000${slice}`;
}

function sliceBehind(after: string): number | undefined {
  return SLICES.find((slice) => keyOf(slice) > after);
}

function stepOf(slice: number): { last: string; keys: number; end: boolean } {
  return { last: keyOf(slice), keys: 1, end: slice === SLICES.length };
}

/** Number and checksum of what is kept, as a page reads it, and of what is to be: by plain SQL, which does not ask how it was made. */
async function compared(tx: Tx, slot: number, slice: number): Promise<{ rows: number; same: boolean }> {
  const sum = (from: string): string => `
    (SELECT count(*)::int AS n, coalesce(sum(hashtextextended(concat_ws(' ', id, author_id, score), 0)::numeric), 0) AS checksum
     FROM ${from})`;
  const [row] = await tx.query<{ rows: number; same: boolean }>(
    `SELECT kept.n AS rows, kept.n = now.n AND kept.checksum = now.checksum AS same
     FROM ${sum(`${viewOf(slot)} WHERE slice = $1`)} kept, ${sum(`(${BEST_OF_A_DAY}) best`)} now`,
    [slice],
  );
  return { rows: row?.rows ?? 0, same: row?.same ?? false };
}

const startOf = (day: string): string => `to_timestamp((${day}) * 86400.0)`;
const firstIdOf = (day: string, hours: number): string =>
  `(lpad(to_hex((${day}) * 86400000::bigint + ${hours} * 3600000), 12, '0') || repeat('0', 20))::uuid`;

/**
 * The 500 best of the one day of the last seven, and what is left of the eighth, whose number is $1 modulo 8. By created_at, which has no
 * index, so the posts of that day and of an hour before and behind it are looked at by their ids, which tell about when they were made (one that
 * tells of another day is kept for that day, and there it is not found here). Of a clock that is ahead it is today.
 *
 * Where there is one connection everybody waits for it. The bounds are looked up in `d`, because PostgreSQL computes what a join gives anew for
 * each post, which took two thirds of 250 ms; and what is not in the rows yet is added up once for all of them.
 */
const BEST_OF_A_DAY = `
  WITH n AS (
    SELECT today, today - (today + 1 - $1) % 8 AS day FROM (SELECT floor(extract(epoch FROM now()) / 86400)::int AS today) now
  ), d AS MATERIALIZED (
    SELECT ${firstIdOf('day', -1)} AS id_from,
      CASE WHEN day = today THEN 'ffffffff-ffff-ffff-ffff-ffffffffffff' ELSE ${firstIdOf('day + 1', 1)} END AS id_to,
      greatest(${startOf('day')}, (now() - interval '7 days')::timestamptz(3)) AS at_from,
      CASE WHEN day = today THEN 'infinity' ELSE ${startOf('day + 1')} END AS at_to
    FROM n
  )
  SELECT id, author_id,
    (likes + 2 * replies)::float8 / power(greatest(0, extract(epoch FROM now() - created_at)::float8) / 3600 + 2, 1.8) AS score
  FROM (
    SELECT p.id, p.author_id, p.created_at,
      ${answering(POST_COUNTS, 'p', 'like_count')} + coalesce(w.likes, 0) AS likes,
      ${answering(POST_COUNTS, 'p', 'reply_count')} + coalesce(w.replies, 0) AS replies
    FROM posts p LEFT JOIN (
      SELECT post_id, sum(likes) AS likes, sum(replies) AS replies FROM count_deltas
      WHERE post_id >= (SELECT id_from FROM d) AND post_id < (SELECT id_to FROM d) GROUP BY post_id
    ) w ON w.post_id = p.id
    WHERE p.state = 'published' AND p.id >= (SELECT id_from FROM d) AND p.id < (SELECT id_to FROM d)
      AND p.created_at >= (SELECT at_from FROM d) AND p.created_at < (SELECT at_to FROM d)
  ) p
  WHERE likes + replies > 0
  ORDER BY score DESC, id DESC LIMIT 500`;
