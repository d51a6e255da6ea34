import type { Tx } from '#libs/database';
import type { Slice } from '#libs/saga';
import { pairOf, part, type Change, type Relation } from '../relation.js';
import { foldCounts } from '../relation.counts.js';
import { lockRelations, storeChanges, untilNobodyActs } from '../relation.store.js';

/** Relations of one slice: one who has 100,000 followers would hold 100,000 rows locked. */
export const SLICE = 200;

/** Ends follows and blocks of a person, each with its event and with the counts of the other; what ends is kept in `parted`. */
export const dissolveSlice: Slice<string> = async (tx, { userId }) => {
  const ids = await othersOf(tx, userId);
  if (ids.length === 0) {
    await untilNobodyActs(tx, userId);
    // What is there after all is for the next transaction: this one holds the person, and pairs are locked first.
    return (await othersOf(tx, userId)).length === 0 ? undefined : '';
  }
  const locked = await lockRelations(
    tx,
    ids.map((id) => pairOf(userId, id)),
  );
  await tx.query(
    `INSERT INTO parted (owner_id, kind, from_id, to_id, at)
     SELECT $1, 'follow', follower_id, followee_id, followed_at FROM follows
       WHERE (follower_id = $1 AND followee_id = ANY($2::uuid[])) OR (followee_id = $1 AND follower_id = ANY($2::uuid[]))
     UNION ALL SELECT $1, 'block', blocker_id, blocked_id, at FROM blocks
       WHERE (blocker_id = $1 AND blocked_id = ANY($2::uuid[])) OR (blocked_id = $1 AND blocker_id = ANY($2::uuid[]))
     ON CONFLICT DO NOTHING`,
    [userId, ids],
  );
  const ended = locked.map((relation) => ({ relation, changes: part(relation) }));
  await storeChanges(tx, ended, { actor: null, at: new Date().toISOString() });
  return '';
};

async function othersOf(tx: Tx, userId: string): Promise<string[]> {
  const others = await tx.query<{ id: string }>(
    `SELECT id FROM (
       (SELECT followee_id AS id FROM follows WHERE follower_id = $1 LIMIT $2)
       UNION (SELECT follower_id FROM follows WHERE followee_id = $1 LIMIT $2)
       UNION (SELECT blocked_id FROM blocks WHERE blocker_id = $1 LIMIT $2)
       UNION (SELECT blocker_id FROM blocks WHERE blocked_id = $1 LIMIT $2)
     ) AS others LIMIT $2`,
    [userId, SLICE],
  );
  return others.map(({ id }) => id);
}

interface Parted {
  readonly kind: 'follow' | 'block';
  readonly from: string;
  readonly to: string;
  readonly at: Date;
}

/**
 * Brings back what a deletion has ended, since when it was. Whoever is in a deletion of their own gets it into their own `parted`:
 * it comes back with them, or goes with them. What a block forbids by now stays ended.
 */
export const restoreSlice: Slice<string> = async (tx, { userId }) => {
  const rows = await tx.query<Parted>(
    `SELECT kind, from_id AS "from", to_id AS "to", at FROM parted WHERE owner_id = $1
     ORDER BY kind, from_id, to_id LIMIT $2`,
    [userId, SLICE],
  );
  if (rows.length === 0) return undefined;
  const others = [...new Set(rows.map(({ from, to }) => (from === userId ? to : from)))];
  const locked = await lockRelations(
    tx,
    others.map((id) => pairOf(userId, id)),
  );
  const changes = locked.map((relation) => ({ relation, changes: comingBack(relation, userId, rows) }));
  await storeChanges(tx, changes, { actor: null, at: new Date().toISOString() });
  const frozen = locked.map((relation) => otherOf(relation, userId)).filter(({ state }) => state === 'frozen');
  await passOn(
    tx,
    userId,
    frozen.map(({ userId: id }) => id),
    rows,
  );
  await tx.query(
    `DELETE FROM parted USING unnest($2::text[], $3::uuid[], $4::uuid[]) AS done (kind, from_id, to_id)
     WHERE owner_id = $1 AND parted.kind = done.kind AND parted.from_id = done.from_id AND parted.to_id = done.to_id`,
    [userId, rows.map(({ kind }) => kind), rows.map(({ from }) => from), rows.map(({ to }) => to)],
  );
  return '';
};

/** After the point of no return: nothing is left that says whom this person knew. */
export const eraseSlice: Slice<string> = async (tx, step) => {
  if ((await dissolveSlice(tx, step)) !== undefined) return '';
  const { userId } = step;
  const gone = await tx.query(
    `DELETE FROM parted WHERE ctid = ANY(ARRAY(SELECT ctid FROM parted WHERE owner_id = $1 LIMIT $2)) RETURNING 1`,
    [userId, SLICE],
  );
  if (gone.length > 0) return '';
  await foldCounts(tx, userId);
  await tx.query(`UPDATE people SET state = 'gone' WHERE user_id = $1`, [userId]);
  return undefined;
};

function comingBack(relation: Relation, userId: string, rows: readonly Parted[]): Change[] {
  const other = otherOf(relation, userId);
  if (other.state !== 'active') return [];
  const blocked = relation.low.blocks || relation.high.blocks;
  return rows.flatMap(({ kind, from, to, at }): Change[] => {
    if (from !== other.userId && to !== other.userId) return [];
    const side = from === relation.low.userId ? relation.low : relation.high;
    const there = kind === 'follow' ? side.follows || blocked : side.blocks;
    const type = kind === 'follow' ? 'follow-started' : 'block-started';
    return there ? [] : [{ type, from, to, at: at.toISOString() }];
  });
}

async function passOn(tx: Tx, userId: string, heirs: readonly string[], rows: readonly Parted[]): Promise<void> {
  const passed = rows.filter(({ from, to }) => heirs.includes(from === userId ? to : from));
  if (passed.length === 0) return;
  await tx.query(
    `INSERT INTO parted (owner_id, kind, from_id, to_id, at)
     SELECT * FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::uuid[], $5::timestamptz[]) ON CONFLICT DO NOTHING`,
    [
      passed.map(({ from, to }) => (from === userId ? to : from)),
      passed.map(({ kind }) => kind),
      passed.map(({ from }) => from),
      passed.map(({ to }) => to),
      passed.map(({ at }) => at.toISOString()),
    ],
  );
}

function otherOf({ low, high }: Relation, userId: string): Relation['low'] {
  return low.userId === userId ? high : low;
}
