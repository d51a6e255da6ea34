import type { Tx } from '#libs/database';
import { forgetKeysOf } from '#libs/idempotency';
import { LATE, othersOfNow, type LeftBehind, type Slice } from '#libs/saga';
import { ERASE_OWN } from '../deletion.store.js';
import { forgetPerson } from '../notifications/facts.js';

/** Rows of one slice: who is followed by 100,000 has caused as many notifications. */
export const SLICE = 200;

/**
 * With an account goes what it was told and what it was told of, and their words in what could not be heard. Who notified them, or of
 * them, may have seen them as they were and not have committed when all that can be seen is gone; so it is looked at twice.
 */
export const eraseSlice: Slice<string> = async (tx, { userId, cursor }) => {
  if (cursor.startsWith('quarantine ')) {
    const last = await eraseQuarantined(tx, userId, JSON.parse(cursor.slice('quarantine '.length)) as Place);
    return last && `quarantine ${JSON.stringify(last)}`;
  }
  const isLate = cursor.startsWith(LATE);
  if (isLate) {
    const place = await othersOfNow(tx, cursor.slice(`${LATE} `.length));
    if (place !== undefined) return `${LATE} ${place}`;
  }
  if (await forgetSome(tx, userId)) return cursor;
  return isLate ? `quarantine ${JSON.stringify(['', '', 0] satisfies Place)}` : LATE;
};

/** Older versions looked once, and kept what came after. Each is a look into an index of its own. */
export const usersLeftBehind: LeftBehind<typeof ERASE_OWN> = {
  accounts: `SELECT u.id FROM users u WHERE u.id > $1 AND u.deleted_at IS NOT NULL
    AND NOT EXISTS (SELECT FROM deletion_parts WHERE user_id = u.id AND state = 'working')
    AND (${[
      ['notification_facts', 'recipient_id'],
      ['notification_facts', 'actor_id'],
      ['notification_reads', 'user_id'],
      ['block_edges', 'blocker_id'],
      ['block_edges', 'blocked_id'],
    ]
      .map(([table, column]) => `EXISTS (SELECT FROM ${table} WHERE ${column} = u.id)`)
      .join(' OR ')}) ORDER BY u.id LIMIT $2`,
  step: ERASE_OWN,
  slice: eraseSlice,
};

/** Answers whether any of it is left. */
async function forgetSome(tx: Tx, userId: string): Promise<boolean> {
  if (await forgetPerson(tx, userId, SLICE)) return true;
  await tx.query('DELETE FROM notification_reads WHERE user_id = $1', [userId]);
  await forgetKeysOf(tx, userId);
  return forgetBlocks(tx, userId);
}

async function forgetBlocks(tx: Tx, userId: string): Promise<boolean> {
  for (const column of ['blocker_id', 'blocked_id']) {
    await tx.query(
      `DELETE FROM block_edges WHERE ctid = ANY(ARRAY(
         SELECT ctid FROM block_edges WHERE ${column} = $1 LIMIT $2 FOR UPDATE SKIP LOCKED))`,
      [userId, SLICE],
    );
    const left = await tx.query(`SELECT FROM block_edges WHERE ${column} = $1 LIMIT 1`, [userId]);
    if (left.length > 0) return true;
  }
  return false;
}

/** Of an event in quarantine: consumer, aggregate, version. */
type Place = readonly [string, string, number];

/** By its key, because no index tells whose words are in it. Answers the last place of the slice, undefined behind the last of all. */
async function eraseQuarantined(tx: Tx, userId: string, after: Place): Promise<Place | undefined> {
  const places = await tx.query<{ consumer: string; aggregate: string; version: number }>(
    `SELECT consumer, aggregate, aggregate_version AS version FROM quarantine
     WHERE (consumer, aggregate, aggregate_version) > ($1, $2, $3)
     ORDER BY consumer, aggregate, aggregate_version LIMIT ${SLICE}`,
    [...after],
  );
  const last = places.at(-1);
  if (last === undefined) return undefined;
  await tx.query(
    `UPDATE quarantine q SET event = jsonb_set(event, '{payload,body}', '""')
     FROM unnest($1::text[], $2::text[], $3::int[]) AS w (consumer, aggregate, version)
     WHERE q.consumer = w.consumer AND q.aggregate = w.aggregate AND q.aggregate_version = w.version
       AND event -> 'payload' ->> 'authorId' = $4 AND event -> 'payload' ? 'body'`,
    [
      places.map(({ consumer }) => consumer),
      places.map(({ aggregate }) => aggregate),
      places.map(({ version }) => version),
      userId,
    ],
  );
  return [last.consumer, last.aggregate, last.version];
}
