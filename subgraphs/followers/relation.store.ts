import type { Statements, Tx } from '#libs/database';
import { recordEvents, type NewEvent } from '#libs/outbox';
import { changeCounts } from './relation.counts.js';
import { aggregateOf, type Change, type Pair, type PersonState, type Relation } from './relation.js';

/** How each pair stands, in the order asked; nothing is locked, so it is true only of the moment it was read. */
export async function readRelations(statements: Statements, pairs: readonly Pair[]): Promise<Relation[]> {
  const rows = await statements.query<RelationFacts>(
    `SELECT w.low_id, w.high_id, coalesce(r.version, 0) AS version, low.state AS low_state, high.state AS high_state,
       EXISTS (SELECT FROM follows WHERE follower_id = w.low_id AND followee_id = w.high_id) AS low_follows,
       EXISTS (SELECT FROM follows WHERE follower_id = w.high_id AND followee_id = w.low_id) AS high_follows,
       EXISTS (SELECT FROM blocks WHERE blocker_id = w.low_id AND blocked_id = w.high_id) AS low_blocks,
       EXISTS (SELECT FROM blocks WHERE blocker_id = w.high_id AND blocked_id = w.low_id) AS high_blocks,
       EXISTS (SELECT FROM parted WHERE owner_id = ANY(ARRAY[w.low_id, w.high_id]) AND kind IN ('follow', 'block')
         AND from_id = ANY(ARRAY[w.low_id, w.high_id]) AND to_id = ANY(ARRAY[w.low_id, w.high_id])) AS is_parted
     FROM unnest($1::uuid[], $2::uuid[]) WITH ORDINALITY AS w (low_id, high_id, n)
     LEFT JOIN relations r ON r.low_id = w.low_id AND r.high_id = w.high_id
     LEFT JOIN people low ON low.user_id = w.low_id
     LEFT JOIN people high ON high.user_id = w.high_id
     ORDER BY w.n`,
    columns(pairs),
  );
  return rows.map((row) => ({
    pair: { low: row.low_id, high: row.high_id },
    version: row.version,
    low: { userId: row.low_id, state: row.low_state ?? undefined, follows: row.low_follows, blocks: row.low_blocks },
    high: {
      userId: row.high_id,
      state: row.high_state ?? undefined,
      follows: row.high_follows,
      blocks: row.high_blocks,
    },
    isParted: row.is_parted,
  }));
}

/**
 * As `readRelations`, held until the end of the transaction. Everybody who changes a follow or a block comes through here and locks
 * the pairs, sorted. Their people only stay: many may follow one of them at once, and whoever has frozen an account can wait until
 * those are through who found it active (`untilNobodyActs`).
 */
export async function lockRelations(tx: Tx, pairs: readonly Pair[]): Promise<Relation[]> {
  await tx.query(
    `INSERT INTO relations (low_id, high_id, version)
     SELECT low_id, high_id, 0 FROM unnest($1::uuid[], $2::uuid[]) AS w (low_id, high_id) ORDER BY low_id, high_id
     ON CONFLICT (low_id, high_id) DO UPDATE SET version = relations.version`,
    columns(pairs),
  );
  await tx.query('SELECT FROM people WHERE user_id = ANY ($1::uuid[]) ORDER BY user_id FOR KEY SHARE', [
    [...new Set(pairs.flatMap(({ low, high }) => [low, high]))],
  ]);
  return readRelations(tx, pairs);
}

/** Rows, counts, versions and events of what changed between people whose relations this transaction has locked. */
export async function storeChanges(
  tx: Tx,
  locked: readonly { relation: Relation; changes: readonly Change[] }[],
  { actor, at }: { actor: string | null; at: string },
): Promise<void> {
  const changed = locked.filter(({ changes }) => changes.length > 0);
  const of = (type: Change['type']) =>
    changed.flatMap(({ changes }) => changes.filter((change) => change.type === type));
  await insertRows(tx, 'follows (follower_id, followee_id, followed_at)', of('follow-started'), at);
  await deleteRows(tx, 'follows', ['follower_id', 'followee_id'], of('follow-ended'));
  await insertRows(tx, 'blocks (blocker_id, blocked_id, at)', of('block-started'), at);
  await deleteRows(tx, 'blocks', ['blocker_id', 'blocked_id'], of('block-ended'));
  await changeCounts(tx, of('follow-started'), of('follow-ended'));
  await recordChanges(tx, changed, actor, at);
}

/**
 * Of an account that is frozen, and was so before this transaction: whoever changes a relation of it now found it active before.
 * Resolves when they are through, and nobody else begins.
 */
export async function untilNobodyActs(tx: Tx, userId: string): Promise<void> {
  await tx.query('SELECT FROM people WHERE user_id = $1 FOR UPDATE', [userId]);
}

/** Nobody is born twice: a person who is known, or gone, stays as they are. */
export async function registerPerson(tx: Tx, userId: string): Promise<void> {
  await tx.query('INSERT INTO people (user_id) VALUES ($1) ON CONFLICT (user_id) DO NOTHING', [userId]);
}

async function insertRows(tx: Tx, table: string, changes: readonly Change[], at: string): Promise<void> {
  if (changes.length === 0) return;
  await tx.query(`INSERT INTO ${table} SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[])`, [
    changes.map(({ from }) => from),
    changes.map(({ to }) => to),
    changes.map((change) => change.at ?? at),
  ]);
}

async function deleteRows(
  tx: Tx,
  table: string,
  [from, to]: readonly [string, string],
  changes: readonly Change[],
): Promise<void> {
  if (changes.length === 0) return;
  await tx.query(
    `DELETE FROM ${table} USING unnest($1::uuid[], $2::uuid[]) AS w (from_id, to_id)
     WHERE ${from} = w.from_id AND ${to} = w.to_id`,
    [changes.map((change) => change.from), changes.map((change) => change.to)],
  );
}

async function recordChanges(
  tx: Tx,
  changed: readonly { relation: Relation; changes: readonly Change[] }[],
  actor: string | null,
  at: string,
): Promise<void> {
  if (changed.length === 0) return;
  await tx.query(
    `UPDATE relations r SET version = r.version + w.events
     FROM unnest($1::uuid[], $2::uuid[], $3::integer[]) AS w (low_id, high_id, events)
     WHERE r.low_id = w.low_id AND r.high_id = w.high_id`,
    [...columns(changed.map(({ relation }) => relation.pair)), changed.map(({ changes }) => changes.length)],
  );
  await recordEvents(
    tx,
    changed.flatMap(({ relation, changes }) =>
      changes.map((change, index) => ({
        ...told(change, change.at ?? at),
        aggregate: aggregateOf(relation.pair),
        aggregateVersion: relation.version + 1 + index,
        actor,
        at,
      })),
    ),
  );
}

function told({ type, from, to }: Change, at: string): Pick<NewEvent, 'type' | 'payload'> {
  switch (type) {
    case 'follow-started':
      return { type, payload: { followerId: from, followeeId: to, followedAt: at } };
    case 'follow-ended':
      return { type, payload: { followerId: from, followeeId: to } };
    case 'block-started':
    case 'block-ended':
      return { type, payload: { blockerId: from, blockedId: to } };
  }
}

function columns(pairs: readonly Pair[]): [string[], string[]] {
  return [pairs.map(({ low }) => low), pairs.map(({ high }) => high)];
}

interface RelationFacts {
  low_id: string;
  high_id: string;
  version: number;
  low_state: PersonState | null;
  high_state: PersonState | null;
  low_follows: boolean;
  high_follows: boolean;
  low_blocks: boolean;
  high_blocks: boolean;
  is_parted: boolean;
}
