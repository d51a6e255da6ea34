import type { Tx } from '#libs/database';
import type { ReadModel, Slots } from '#libs/read-model';
import { buildLists, PEOPLE_PER_STEP } from './build.js';
import type { TimelineLimits } from './lists.js';

/** How the home timelines are built anew beside those that answer: `npm run rebuild -- home-timeline`. */
export function homeTimelineModel({ length }: TimelineLimits): ReadModel {
  return {
    name: 'home-timeline',
    keys: 'people',
    keysPerStep: PEOPLE_PER_STEP,
    async total(database) {
      const [row] = await database.query<{ n: number }>(
        `SELECT count(*)::int AS n FROM people WHERE state = 'registered'`,
      );
      return row?.n ?? 0;
    },
    async clear(tx, slot) {
      await tx.query(`TRUNCATE home_entries_${slot === 1 ? 1 : 2}, home_timelines_${slot === 1 ? 1 : 2}`);
    },
    async fill(tx, slot, after, keysMax) {
      const ids = await nextPeople(tx, after, keysMax);
      const last = ids.at(-1);
      if (last === undefined) return undefined;
      return {
        last,
        keys: ids.length,
        rows: await buildLists(tx, slot, ids, length),
        end: ids.length < keysMax,
      };
    },
    async compare(tx, slots, after, keysMax) {
      const ids = await nextPeople(tx, after, keysMax);
      const last = ids.at(-1);
      if (last === undefined) return undefined;
      const { rows, differing } = await compareLists(tx, slots, ids);
      return { last, keys: ids.length, rows, end: ids.length < keysMax, differing };
    },
    async differing(tx, slots, ids) {
      return (await compareLists(tx, slots, ids)).differing;
    },
  };
}

async function nextPeople(tx: Tx, after: string, count: number): Promise<string[]> {
  const rows = await tx.query<{ id: string }>(
    `SELECT id FROM people WHERE id > $1 AND state = 'registered' ORDER BY id LIMIT $2`,
    [after, count],
  );
  return rows.map(({ id }) => id);
}

/**
 * Number and checksum of what each version would show of what was pushed, above the higher of the two floors: below it a page comes
 * from the source anyway. What is still on its way is left out. Somebody without a list in one of them is answered from the source.
 */
async function compareLists(
  tx: Tx,
  { serving, building }: Slots,
  ids: readonly string[],
): Promise<{ rows: number; differing: string[] }> {
  const shown = (slot: string): string => `CROSS JOIN LATERAL (
    SELECT count(*)::int AS n, coalesce(sum(hashtextextended(p.id::text, 0)::numeric), 0) AS checksum
    FROM home_entries e
    JOIN posts p ON p.id = e.post_id AND p.state = 'published'
    JOIN follow_edges f ON f.follower_id = u.id AND f.followee_id = p.author_id AND f.pushed
    JOIN people a ON a.id = p.author_id AND NOT a.pulled
    WHERE e.slot = ${slot} AND e.user_id = u.id AND e.post_id > greatest(one.floor, other.floor)
      AND NOT EXISTS (SELECT FROM timeline_work w WHERE w.post_id = e.post_id)
  )`;
  const rows = await tx.query<{ id: string; n: number; same: boolean }>(
    `SELECT u.id, there.n, there.n = here.n AND there.checksum = here.checksum AS same
     FROM unnest($1::uuid[]) AS u (id)
     JOIN home_timelines one ON one.slot = $2 AND one.user_id = u.id
     JOIN home_timelines other ON other.slot = $3 AND other.user_id = u.id
     ${shown('$2')} AS here
     ${shown('$3')} AS there`,
    [ids, serving, building],
  );
  return {
    rows: rows.reduce((sum, { n }) => sum + n, 0),
    differing: rows.filter(({ same }) => !same).map(({ id }) => id),
  };
}
