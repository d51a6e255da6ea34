import type { Database, Tx } from '#libs/database';
import { holdLists, NIL, type TimelineLimits } from './lists.js';

/** People of one transaction. */
export const PEOPLE_PER_STEP = 25;

/** Writes the lists of these people from the source, into one version. Answers how many posts they hold. */
export async function buildLists(tx: Tx, slot: number, userIds: readonly string[], length: number): Promise<number> {
  await holdLists(tx, userIds);
  const [row] = await tx.query<{ stored: number }>(
    `WITH newest AS MATERIALIZED (
       SELECT u.id AS user_id, ARRAY(
         SELECT p.id FROM follow_edges f
         JOIN people a ON a.id = f.followee_id AND NOT a.pulled
         CROSS JOIN LATERAL (
           SELECT p.id FROM posts p WHERE p.author_id = f.followee_id AND p.state = 'published' ORDER BY p.id DESC LIMIT $3 + 1
         ) p
         WHERE f.follower_id = u.id ORDER BY p.id DESC LIMIT $3 + 1
       ) AS ids FROM unnest($2::uuid[]) AS u (id)
     ), stored AS (
       INSERT INTO home_entries (slot, user_id, post_id)
       SELECT $1, n.user_id, id FROM newest n CROSS JOIN unnest(n.ids[1:$3]) AS id ORDER BY n.user_id, id
       ON CONFLICT DO NOTHING RETURNING 1
     ), heads AS (
       INSERT INTO home_timelines AS h (slot, user_id, floor)
       SELECT $1, user_id, coalesce(ids[$3 + 1], '${NIL}') FROM newest ORDER BY user_id
       ON CONFLICT (slot, user_id) DO UPDATE SET floor = greatest(h.floor, excluded.floor)
     ) SELECT count(*)::int AS stored FROM stored`,
    [slot, userIds, length],
  );
  return row?.stored ?? 0;
}

/** Somebody who is new has a list that is empty and complete, unless they were seen to follow before they were heard of. */
export async function beginList(tx: Tx, userId: string): Promise<void> {
  await holdLists(tx, [userId]);
  await tx.query(
    `INSERT INTO home_timelines (slot, user_id, floor)
     SELECT slot, $1, '${NIL}' FROM read_models, unnest(ARRAY[serving, building]) AS slot
     WHERE name = 'home-timeline' AND slot IS NOT NULL AND NOT EXISTS (SELECT FROM follow_edges WHERE follower_id = $1)
     ON CONFLICT DO NOTHING`,
    [userId],
  );
}

/** Of somebody who is gone. */
export async function dropList(tx: Tx, userId: string): Promise<void> {
  await tx.query('DELETE FROM home_timelines WHERE user_id = $1', [userId]);
  await tx.query('DELETE FROM home_entries WHERE slot IN (1, 2) AND user_id = $1', [userId]);
}

/** Gives a list to some of those who have none in the version that answers, by id, none lower than `from`; undefined: nobody is left. */
export function buildMissing(
  database: Database,
  from: string,
  { length }: TimelineLimits,
): Promise<{ last: string; people: number; posts: number } | undefined> {
  return database.transaction(async (tx) => {
    const rows = await tx.query<{ id: string; slot: number }>(
      `SELECT p.id, m.serving AS slot FROM people p JOIN read_models m ON m.name = 'home-timeline'
       WHERE p.id >= $1 AND p.state = 'registered'
         AND NOT EXISTS (SELECT FROM home_timelines h WHERE h.slot = m.serving AND h.user_id = p.id)
       ORDER BY p.id LIMIT ${PEOPLE_PER_STEP}`,
      [from],
    );
    const last = rows.at(-1);
    if (last === undefined) return undefined;
    const ids = rows.map(({ id }) => id);
    return { last: last.id, people: ids.length, posts: await buildLists(tx, last.slot, ids, length) };
  });
}

/** Gives a list to everybody who has none; for whoever has loaded people and posts. */
export async function buildAllMissing(
  database: Database,
  limits: TimelineLimits,
  onStep: (people: number) => void = () => {},
): Promise<void> {
  for (let from = NIL; ;) {
    const built = await buildMissing(database, from, limits);
    if (built === undefined) return;
    onStep(built.people);
    from = built.last;
  }
}
