import type { Database, Tx } from '#libs/database';
import { ACTIVE_SLOTS, holdLists, NIL, type TimelineLimits } from './lists.js';

/** People of one transaction. */
export const PEOPLE_PER_STEP = 25;
/** People of whom one step asks whether they have a list. */
const PEOPLE_PER_LOOK = 1_000;

/** Writes the lists of these people from the source, into one version. Answers how many posts they hold. Who is gone has none. */
export async function buildLists(tx: Tx, slot: number, userIds: readonly string[], length: number): Promise<number> {
  await holdLists(tx, userIds);
  // Since the caller found them somebody may have been erased. An erasure waits for whoever had an xid before they looked (libs/saga/late.ts);
  // holding their rows would do too, and have who freezes or erases one of them wait for all of this.
  await tx.query('SELECT pg_current_xact_id()');
  const there = await tx.query<{ id: string }>(
    `SELECT id FROM people WHERE id = ANY($1::uuid[]) AND state <> 'deleted'`,
    [userIds],
  );
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
    [slot, there.map(({ id }) => id), length],
  );
  return row?.stored ?? 0;
}

/** Somebody who is new has a list that is empty and complete, unless they were seen to follow before they were heard of. */
export async function beginList(tx: Tx, userId: string): Promise<void> {
  await holdLists(tx, [userId]);
  await tx.query(
    `INSERT INTO home_timelines (slot, user_id, floor)
     SELECT slot, $1, '${NIL}' FROM ${ACTIVE_SLOTS} s
     WHERE NOT EXISTS (SELECT FROM follow_edges WHERE follower_id = $1)
       AND NOT EXISTS (SELECT FROM people WHERE id = $1 AND state = 'deleted')
     ON CONFLICT DO NOTHING`,
    [userId],
  );
}

/** Of somebody who is gone. */
export async function dropList(tx: Tx, userId: string): Promise<void> {
  await tx.query('DELETE FROM home_timelines WHERE user_id = $1', [userId]);
  await tx.query('DELETE FROM home_entries WHERE slot IN (1, 2) AND user_id = $1', [userId]);
}

/**
 * Gives a list to those of the next people behind `after` who have none in the version that answers; undefined: there is nobody behind
 * it. A step looks at so many and writes so many lists, whoever has one already: its statement is short however many there are.
 */
export function buildMissing(
  database: Database,
  after: string,
  limits: TimelineLimits,
): Promise<{ last: string; people: number } | undefined> {
  return database.transaction(async (tx) => {
    const seen = await tx.query<{ id: string }>(
      `SELECT id FROM people WHERE id > $1 AND state = 'registered' ORDER BY id LIMIT ${PEOPLE_PER_LOOK}`,
      [after],
    );
    const lastSeen = seen.at(-1)?.id;
    if (lastSeen === undefined) return undefined;
    const ids = seen.map(({ id }) => id);
    const missing = await missingOf(tx, ids);
    const some = missing.slice(0, PEOPLE_PER_STEP);
    await buildServing(tx, some, limits);
    return { last: missing.length > some.length ? (some.at(-1) as string) : lastSeen, people: some.length };
  });
}

/** Gives a list to those of these people who have none; answers to how many. */
export function buildMissingOf(
  database: Database,
  userIds: readonly string[],
  limits: TimelineLimits,
): Promise<number> {
  return database.transaction(async (tx) => {
    const missing = await missingOf(tx, userIds);
    await buildServing(tx, missing, limits);
    return missing.length;
  });
}

/** Of these people, those without a list in the version that answers. */
async function missingOf(tx: Tx, userIds: readonly string[]): Promise<string[]> {
  const rows = await tx.query<{ id: string }>(
    `SELECT p.id FROM people p JOIN read_models m ON m.name = 'home-timeline'
     WHERE p.id = ANY($1::uuid[]) AND p.state = 'registered'
       AND NOT EXISTS (SELECT FROM home_timelines h WHERE h.slot = m.serving AND h.user_id = p.id)
     ORDER BY p.id`,
    [userIds],
  );
  return rows.map(({ id }) => id);
}

async function buildServing(tx: Tx, userIds: readonly string[], { length }: TimelineLimits): Promise<void> {
  if (userIds.length === 0) return;
  const [model] = await tx.query<{ slot: number }>(
    `SELECT serving AS slot FROM read_models WHERE name = 'home-timeline'`,
  );
  if (model !== undefined) await buildLists(tx, model.slot, userIds, length);
}

/** Gives a list to everybody who has none; for whoever has loaded people and posts. */
export async function buildAllMissing(
  database: Database,
  limits: TimelineLimits,
  onStep: (people: number) => void = () => {},
): Promise<void> {
  for (let after = NIL; ;) {
    const built = await buildMissing(database, after, limits);
    if (built === undefined) return;
    onStep(built.people);
    after = built.last;
  }
}
