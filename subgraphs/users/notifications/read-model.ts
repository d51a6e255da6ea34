import type { Tx } from '#libs/database';
import type { ReadModel, Slots } from '#libs/read-model';
import { NOTIFICATIONS_MAX } from './facts.js';

/** People of one transaction. */
const PEOPLE_PER_STEP = 200;
/** Where others wait. A full list takes 2.4 ms, and behind a thousand empty ones there may be as many full ones as were empty just before. */
const PEOPLE_MAX = 20;

/** How the lists of notifications are built anew beside those that answer: `npm run rebuild -- notifications`. */
export const notificationsModel: ReadModel = {
  name: 'notifications',
  keys: 'people',
  keysPerStep: PEOPLE_PER_STEP,
  keysMax: PEOPLE_MAX,
  async total(database) {
    const [row] = await database.query<{ n: number }>('SELECT count(*)::int AS n FROM users WHERE deleted_at IS NULL');
    return row?.n ?? 0;
  },
  async clear(tx, slot) {
    await tx.query(`TRUNCATE notifications_${slot === 1 ? 1 : 2}`);
  },
  async fill(tx, slot, after, keysMax) {
    const ids = await nextPeople(tx, after, keysMax);
    const last = ids.at(-1);
    if (last === undefined) return undefined;
    // Held, so that nothing is withdrawn between its being read here and its being written.
    await tx.query(
      'SELECT FROM notification_facts WHERE recipient_id = ANY($1::uuid[]) ORDER BY recipient_id, id FOR SHARE',
      [ids],
    );
    const [row] = await tx.query<{ stored: number }>(
      `WITH stored AS (
         INSERT INTO notifications (slot, recipient_id, id, kind, actor_id, post_id, at)
         SELECT $1, f.recipient_id, f.id, f.kind, f.actor_id, f.post_id, f.at FROM unnest($2::uuid[]) AS r (id)
         CROSS JOIN LATERAL (
           SELECT * FROM notification_facts WHERE recipient_id = r.id ORDER BY id DESC LIMIT ${NOTIFICATIONS_MAX}
         ) f
         ORDER BY f.recipient_id, f.id
         ON CONFLICT DO NOTHING RETURNING 1
       ) SELECT count(*)::int AS stored FROM stored`,
      [slot, ids],
    );
    return { last, keys: ids.length, rows: row?.stored ?? 0, end: ids.length < keysMax };
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

async function nextPeople(tx: Tx, after: string, count: number): Promise<string[]> {
  const rows = await tx.query<{ id: string }>(
    'SELECT id FROM users WHERE id > $1 AND deleted_at IS NULL ORDER BY id LIMIT $2',
    [after, count],
  );
  return rows.map(({ id }) => id);
}

/** Number and checksum of the newest of each list, as many as a person has. */
async function compareLists(
  tx: Tx,
  { serving, building }: Slots,
  ids: readonly string[],
): Promise<{ rows: number; differing: string[] }> {
  const list = (slot: string): string => `CROSS JOIN LATERAL (
    SELECT count(*)::int AS n, coalesce(sum(hashtextextended(n.id::text || n.kind || n.actor_id || n.post_id, 0)::numeric), 0) AS checksum
    FROM (
      SELECT * FROM notifications WHERE slot = ${slot} AND recipient_id = r.id ORDER BY id DESC LIMIT ${NOTIFICATIONS_MAX}
    ) n
  )`;
  const rows = await tx.query<{ id: string; n: number; same: boolean }>(
    `SELECT r.id, there.n, here.n = there.n AND here.checksum = there.checksum AS same
     FROM unnest($1::uuid[]) AS r (id) ${list('$2')} AS here ${list('$3')} AS there`,
    [ids, serving, building],
  );
  return {
    rows: rows.reduce((sum, { n }) => sum + n, 0),
    differing: rows.filter(({ same }) => !same).map(({ id }) => id),
  };
}
