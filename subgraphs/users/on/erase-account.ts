import type { Tx } from '#libs/database';
import { forgetKeysOf } from '#libs/idempotency';
import type { Slice } from '#libs/saga';
import { forgetPerson } from '../notifications/facts.js';

/** Rows of one slice: who is followed by 100,000 has caused as many notifications. */
export const SLICE = 200;

/** With an account goes what it was told and what it was told of, and their words in what could not be heard. */
export const eraseSlice: Slice<string> = async (tx, { userId, cursor }) => {
  if (cursor.startsWith('quarantine ')) {
    const last = await eraseQuarantined(tx, userId, JSON.parse(cursor.slice('quarantine '.length)) as Place);
    return last && `quarantine ${JSON.stringify(last)}`;
  }
  if (await forgetPerson(tx, userId, SLICE)) return '';
  await tx.query('DELETE FROM notification_reads WHERE user_id = $1', [userId]);
  await forgetKeysOf(tx, userId);
  if (await forgetBlocks(tx, userId)) return '';
  return `quarantine ${JSON.stringify(['', '', 0] satisfies Place)}`;
};

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
