import type { Tx } from '#libs/database';
import { forgetKeysOf } from '#libs/idempotency';
import type { LeftBehind, Slice } from '#libs/saga';
import { comingBack, dropParted, partedBetween, type Parted } from '../parted.js';
import { endFollows, pairOf, part, type Change, type Relation } from '../relation.js';
import { foldCounts } from '../relation.counts.js';
import { lockRelations, storeChanges, untilNobodyActs } from '../relation.store.js';

/** Relations of one slice: one who has 100,000 followers would hold 100,000 rows locked. */
export const SLICE = 200;

/**
 * Ends the follows of a person, each with its event and with the counts of the other; what ends is kept in `parted`. Blocks stand
 * for as long as this may be taken back: posts are withdrawn and brought back meanwhile, and a block is all that hides them.
 */
export const dissolveSlice: Slice<string> = (tx, { userId }) =>
  endSome(tx, userId, { which: FOLLOWS, end: endFollows, keep: keepFollows });

/** Ends everything between a person and others, blocks too, and keeps nothing of it. */
export const partSlice: Slice<string> = (tx, { userId }) =>
  endSome(tx, userId, { which: FOLLOWS_AND_BLOCKS, end: part, keep: async () => {} });

interface Ending {
  readonly which: string;
  readonly end: (relation: Relation) => Change[];
  /** Of what is about to end. */
  readonly keep: (tx: Tx, userId: string, others: readonly string[]) => Promise<void>;
}

async function endSome(tx: Tx, userId: string, { which, end, keep }: Ending): Promise<string | undefined> {
  const ids = await othersOf(tx, which, userId);
  if (ids.length === 0) return (await isThere(tx, which, userId)) ? '' : undefined;
  const locked = await lockRelations(
    tx,
    ids.map((id) => pairOf(userId, id)),
  );
  await keep(tx, userId, ids);
  const ended = locked.map((relation) => ({ relation, changes: end(relation) }));
  await storeChanges(tx, ended, { actor: null, at: new Date().toISOString() });
  return '';
}

async function keepFollows(tx: Tx, userId: string, others: readonly string[]): Promise<void> {
  await tx.query(
    `INSERT INTO parted (owner_id, kind, from_id, to_id, at)
     SELECT $1, 'follow', follower_id, followee_id, followed_at FROM follows
       WHERE (follower_id = $1 AND followee_id = ANY($2::uuid[])) OR (followee_id = $1 AND follower_id = ANY($2::uuid[]))
     ON CONFLICT DO NOTHING`,
    [userId, others],
  );
}

const FOLLOWS = `
  (SELECT followee_id AS id FROM follows WHERE follower_id = $1 LIMIT $2)
  UNION (SELECT follower_id FROM follows WHERE followee_id = $1 LIMIT $2)`;
const FOLLOWS_AND_BLOCKS = `${FOLLOWS}
  UNION (SELECT blocked_id FROM blocks WHERE blocker_id = $1 LIMIT $2)
  UNION (SELECT blocker_id FROM blocks WHERE blocked_id = $1 LIMIT $2)`;
const RELATIONS = `
  (SELECT high_id AS id FROM relations WHERE low_id = $1 LIMIT $2)
  UNION (SELECT low_id FROM relations WHERE high_id = $1 LIMIT $2)`;

async function othersOf(tx: Tx, which: string, userId: string): Promise<string[]> {
  const others = await tx.query<{ id: string }>(`SELECT id FROM (${which}) AS others LIMIT $2`, [userId, SLICE]);
  return others.map(({ id }) => id);
}

/** What is there after all is for the next transaction: this one holds the person, and pairs are locked first. */
async function isThere(tx: Tx, which: string, userId: string): Promise<boolean> {
  await untilNobodyActs(tx, userId);
  return (await othersOf(tx, which, userId)).length > 0;
}

/**
 * Brings back what a deletion has ended, since when it was. Whoever is in a deletion of their own gets it into their own `parted`:
 * it comes back with them, or goes with them. What a block forbids by now stays ended.
 */
export const restoreSlice: Slice<string> = async (tx, { userId }) => {
  const found = await tx.query<Pick<Parted, 'from' | 'to'>>(
    `SELECT from_id AS "from", to_id AS "to" FROM parted WHERE owner_id = $1
     ORDER BY kind, from_id, to_id LIMIT $2`,
    [userId, SLICE],
  );
  if (found.length === 0) return undefined;
  const others = [...new Set(found.map(({ from, to }) => (from === userId ? to : from)))];
  const locked = await lockRelations(
    tx,
    others.map((id) => pairOf(userId, id)),
  );
  // By now one of the two may have acted on it, before whose act it has come back already.
  const rows = await partedBetween(tx, [userId], locked);
  const changes = locked.map((relation) => ({
    relation,
    changes: otherOf(relation, userId).state === 'active' ? comingBack(relation, rows) : [],
  }));
  await storeChanges(tx, changes, { actor: null, at: new Date().toISOString() });
  const gone = locked.map((relation) => otherOf(relation, userId)).filter(({ state }) => state === 'gone');
  await forgetRelations(
    tx,
    userId,
    gone.map(({ userId: id }) => id),
  );
  const frozen = locked.map((relation) => otherOf(relation, userId)).filter(({ state }) => state === 'frozen');
  await passOn(
    tx,
    userId,
    frozen.map(({ userId: id }) => id),
    rows,
  );
  await dropParted(tx, rows);
  return '';
};

/** After the point of no return: no table of this service says any more whom this person knew, but for its outbox and inbox. */
export const eraseSlice: Slice<string> = async (tx, step) => {
  const { userId } = step;
  if (step.cursor === 'relations') {
    const ids = await othersOf(tx, RELATIONS, userId);
    await forgetRelations(tx, userId, ids);
    if (ids.length > 0) return 'relations';
  }
  if ((await partSlice(tx, step)) !== undefined) return '';
  // From here the person is held: whoever comes back from a deletion is waited for, or finds this person gone.
  if (await forgetParted(tx, userId)) return '';
  if (await isThere(tx, RELATIONS, userId)) return 'relations';
  await foldCounts(tx, userId);
  await forgetKeysOf(tx, userId);
  await tx.query(`UPDATE people SET state = 'gone' WHERE user_id = $1`, [userId]);
  return undefined;
};

/** Older versions kept the row of each pair that an account was in, and what the deletions of others keep of it. */
export const followsLeftBehind: LeftBehind<'erase-follows'> = {
  accounts: `SELECT p.user_id AS id FROM people p WHERE p.user_id > $1 AND p.state = 'gone' AND (
    ${[
      ['relations', 'low_id'],
      ['relations', 'high_id'],
      ['parted', 'owner_id'],
      ['parted', 'from_id'],
      ['parted', 'to_id'],
    ]
      .map(([table, column]) => `EXISTS (SELECT FROM ${table} WHERE ${column} = p.user_id)`)
      .join(' OR ')}
  ) ORDER BY p.user_id LIMIT $2`,
  step: 'erase-follows',
  slice: eraseSlice as Slice<'erase-follows'>,
};

/** Also what others keep of this person. What another's deletion holds is that one's to drop: waiting for it could be waiting for each other. */
async function forgetParted(tx: Tx, userId: string): Promise<boolean> {
  for (const column of ['owner_id', 'from_id', 'to_id']) {
    await tx.query(
      `DELETE FROM parted WHERE ctid = ANY(ARRAY(
         SELECT ctid FROM parted WHERE ${column} = $1 LIMIT $2 FOR UPDATE SKIP LOCKED))`,
      [userId, SLICE],
    );
    const left = await tx.query(`SELECT FROM parted WHERE ${column} = $1 LIMIT 1`, [userId]);
    if (left.length > 0) return true;
  }
  return false;
}

/** Nobody will act on them again, so no event needs their version. */
async function forgetRelations(tx: Tx, userId: string, others: readonly string[]): Promise<void> {
  if (others.length === 0) return;
  const pairs = others.map((id) => pairOf(userId, id));
  await tx.query(
    `DELETE FROM relations WHERE ctid = ANY(ARRAY(
       SELECT r.ctid FROM relations r JOIN unnest($1::uuid[], $2::uuid[]) AS w (low_id, high_id)
         ON r.low_id = w.low_id AND r.high_id = w.high_id ORDER BY r.low_id, r.high_id FOR UPDATE OF r))`,
    [pairs.map(({ low }) => low), pairs.map(({ high }) => high)],
  );
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
