import type { Tx } from '#libs/database';
import { endFollows, type Change, type Relation } from './relation.js';
import { lockRelations, storeChanges } from './relation.store.js';

/** What a deletion has ended between two people, and with whose account it comes back. */
export interface Parted {
  readonly owner: string;
  readonly kind: 'follow' | 'block';
  readonly from: string;
  readonly to: string;
  readonly at: Date;
}

/** What comes back with one of the owners between people whose relations are locked: so nobody else brings it back meanwhile. */
export function partedBetween(tx: Tx, owners: readonly string[], locked: readonly Relation[]): Promise<Parted[]> {
  return tx.query<Parted>(
    `SELECT owner_id AS owner, kind, from_id AS "from", to_id AS "to", at
     FROM unnest($2::uuid[], $3::uuid[]) AS w (low_id, high_id) JOIN parted
       ON owner_id = ANY($1::uuid[]) AND kind IN ('follow', 'block')
         AND from_id = ANY(ARRAY[w.low_id, w.high_id]) AND to_id = ANY(ARRAY[w.low_id, w.high_id])
     ORDER BY kind, from_id, to_id`,
    [owners, locked.map(({ pair }) => pair.low), locked.map(({ pair }) => pair.high)],
  );
}

export async function dropParted(tx: Tx, rows: readonly Parted[]): Promise<void> {
  if (rows.length === 0) return;
  await tx.query(
    `DELETE FROM parted USING unnest($1::uuid[], $2::text[], $3::uuid[], $4::uuid[]) AS done (owner_id, kind, from_id, to_id)
     WHERE parted.owner_id = done.owner_id AND parted.kind = done.kind
       AND parted.from_id = done.from_id AND parted.to_id = done.to_id`,
    [
      rows.map(({ owner }) => owner),
      rows.map(({ kind }) => kind),
      rows.map(({ from }) => from),
      rows.map(({ to }) => to),
    ],
  );
}

/** Between two who are both there. A block that comes back (an older program ended blocks too) ends what was followed across it meanwhile. */
export function comingBack(relation: Relation, rows: readonly Parted[]): Change[] {
  const { pair, low, high } = relation;
  const sideOf = (id: string) => (id === pair.low ? low : high);
  const isOfPair = ({ from, to }: Parted) =>
    (from === pair.low && to === pair.high) || (from === pair.high && to === pair.low);
  // Each once, whoever of the two it comes back with.
  const back = new Map(rows.filter(isOfPair).map((parted) => [`${parted.kind} ${parted.from}`, parted]));
  const started = (type: 'follow-started' | 'block-started', { from, to, at }: Parted): Change => ({
    type,
    from,
    to,
    at: at.toISOString(),
  });
  const blocks = [...back.values()].filter(({ kind, from }) => kind === 'block' && !sideOf(from).blocks);
  if (blocks.length > 0) return [...endFollows(relation), ...blocks.map((parted) => started('block-started', parted))];
  if (low.blocks || high.blocks) return [];
  return [...back.values()]
    .filter(({ kind, from }) => kind === 'follow' && !sideOf(from).follows)
    .map((parted) => started('follow-started', parted));
}

/**
 * Two who are both there: what is still to come back between them does so at once, before one of them changes it. Afterwards it
 * would take back the change. Answers how they stand then.
 */
export async function bringBack(tx: Tx, relation: Relation, at: string): Promise<Relation> {
  const { low, high } = relation.pair;
  const rows = await partedBetween(tx, [low, high], [relation]);
  if (rows.length === 0) return relation;
  await storeChanges(tx, [{ relation, changes: comingBack(relation, rows) }], { actor: null, at });
  await dropParted(tx, rows);
  const [now] = await lockRelations(tx, [relation.pair]);
  return now ?? relation;
}
