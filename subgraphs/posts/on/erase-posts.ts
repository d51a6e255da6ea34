import type { Tx } from '#libs/database';
import { forgetKeysOf } from '#libs/idempotency';
import { inBoth } from '#libs/read-model';
import { LATE, othersOfNow, type LeftBehind, type Slice } from '#libs/saga';
import { dropList } from '../timeline/build.js';
import { SLICE, withdrawSlice } from './withdraw-posts.js';

const EDGES = [
  ['follow_edges', 'follower_id'],
  ['follow_edges', 'followee_id'],
  ['block_edges', 'blocker_id'],
  ['block_edges', 'blocked_id'],
] as const;

const LISTS = [
  ['home_timelines', 'user_id'],
  ['home_entries', 'user_id'],
] as const;

/**
 * After the point of no return: what the person wrote is overwritten wherever this service keeps it (facts, snapshots, the
 * outbox, what waits in quarantine), and their likes and edges are forgotten. What stays says that there were posts, by an
 * id that nobody has any more. See docs/decisions/0016-erasure-by-overwriting.md.
 */
export const eraseSlice: Slice<string> = async (tx, part) => {
  const { userId, cursor } = part;
  const [phase, after = NIL] = (cursor || 'withdraw').split(' ');
  switch (phase) {
    case 'withdraw': {
      // Nothing, unless the account goes by an event of a program that knew no freezing.
      const left = await withdrawSlice(tx, part);
      return left === undefined ? `texts ${NIL}` : 'withdraw';
    }
    case 'texts': {
      const last = await eraseTexts(tx, userId, after);
      return last === undefined ? 'likes' : `texts ${last}`;
    }
    case 'likes':
      return (await forgetLikes(tx, userId)) ? 'likes' : 'edges';
    case LATE: {
      // Who was delivering a post may have read an edge before it went, and write into the list of who is gone.
      const place = await othersOfNow(tx, cursor.slice(`${LATE} `.length));
      if (place !== undefined) return `${LATE} ${place}`;
      await dropList(tx, userId);
      return undefined;
    }
    default: {
      // Whoever is adding an edge is waited for, and whoever comes then sees that the person is gone.
      await tx.query('SELECT FROM people WHERE id = $1 FOR UPDATE', [userId]);
      if (await forgetEdges(tx, userId)) return 'edges';
      await dropList(tx, userId);
      await forgetKeysOf(tx, userId);
      await tx.query(`UPDATE people SET state = 'deleted', ${inBoth('post_count', () => '0')} WHERE id = $1`, [userId]);
      return LATE;
    }
  }
};

/** Older versions kept the likes of an account, given and taken back, its edges and its list. Each is a look into an index of its own. */
export const postsLeftBehind: LeftBehind<'erase-posts'> = {
  accounts: `SELECT p.id FROM people p WHERE p.id > $1 AND p.state = 'deleted' AND (
    ${['l.liked', 'l.withdrawn', 'NOT l.liked AND NOT l.withdrawn']
      .map((which) => `EXISTS (SELECT FROM likes l WHERE l.user_id = p.id AND ${which})`)
      .join(' OR ')}
    OR ${[...EDGES, ...LISTS].map(([table, column]) => `EXISTS (SELECT FROM ${table} WHERE ${column} = p.id)`).join(' OR ')}
  ) ORDER BY p.id LIMIT $2`,
  step: 'erase-posts',
  slice: eraseSlice as Slice<'erase-posts'>,
};

/** The next posts behind `after`; answers the last of them, undefined when there are none. */
async function eraseTexts(tx: Tx, userId: string, after: string): Promise<string | undefined> {
  const posts = await tx.query<{ id: string }>(
    `SELECT id FROM posts WHERE author_id = $1 AND state <> 'published' AND id > $2 ORDER BY id LIMIT ${SLICE}`,
    [userId, after],
  );
  if (posts.length === 0) return undefined;
  const ids = posts.map(({ id }) => id);
  const aggregates = ids.map((id) => `post:${id}`);
  await tx.query(
    `UPDATE post_events SET fact = jsonb_set(fact, '{body}', '""') WHERE post_id = ANY($1::uuid[]) AND fact ? 'body'`,
    [ids],
  );
  await tx.query('DELETE FROM post_snapshots WHERE post_id = ANY($1::uuid[])', [ids]);
  await tx.query(
    `UPDATE outbox SET payload = jsonb_set(payload, '{body}', '""') WHERE aggregate = ANY($1::text[]) AND payload ? 'body'`,
    [aggregates],
  );
  await tx.query(
    `UPDATE quarantine SET event = jsonb_set(event, '{payload,body}', '""')
     WHERE aggregate = ANY($1::text[]) AND event -> 'payload' ? 'body'`,
    [aggregates],
  );
  return ids.at(-1);
}

/** They are withdrawn or taken back by now, so no count changes; and nobody likes in this name again, so no event needs their version. */
async function forgetLikes(tx: Tx, userId: string): Promise<boolean> {
  for (const which of ['withdrawn', 'NOT liked AND NOT withdrawn']) {
    const gone = await tx.query(
      `DELETE FROM likes WHERE user_id = $1 AND ${which} AND post_id = ANY(ARRAY(
         SELECT post_id FROM likes WHERE user_id = $1 AND ${which} ORDER BY post_id LIMIT ${SLICE})) RETURNING 1`,
      [userId],
    );
    if (gone.length > 0) return true;
  }
  return false;
}

/**
 * Answers whether any is left. One that is held, by another's deletion or by who copies posts into a list, is looked at again in the next
 * slice: waiting for it could be waiting for each other.
 */
async function forgetEdges(tx: Tx, userId: string): Promise<boolean> {
  for (const [table, column] of EDGES) {
    await tx.query(
      `DELETE FROM ${table}
       WHERE ctid = ANY(ARRAY(SELECT ctid FROM ${table} WHERE ${column} = $1 LIMIT ${SLICE} FOR UPDATE SKIP LOCKED))`,
      [userId],
    );
    const left = await tx.query(`SELECT FROM ${table} WHERE ${column} = $1 LIMIT 1`, [userId]);
    if (left.length > 0) return true;
  }
  return false;
}

const NIL = '00000000-0000-0000-0000-000000000000';
