import type { Statements, Tx } from '#libs/database';

export type NotificationKind = 'follow' | 'like' | 'reply' | 'mention';

export interface Fact {
  /** Of the notification, by the clock of who hears it; a later one is given where there is one at or behind it already. */
  readonly id: string;
  readonly recipientId: string;
  readonly kind: NotificationKind;
  readonly actorId: string;
  /** Null of a follow. */
  readonly postId: string | null;
  readonly at: string;
}

/** Most notifications that a person has; older ones are forgotten. */
export const NOTIFICATIONS_MAX = 500;

export const NIL = '00000000-0000-0000-0000-000000000000';

/** The versions that every change goes into: the one that answers, and the one that is being built. */
export const ACTIVE_SLOTS = `(
  SELECT slot FROM read_models, unnest(ARRAY[serving, building]) AS slot WHERE name = 'notifications' AND slot IS NOT NULL
)`;

/** By the same shard and chance, a millisecond behind all that this person was told or has read. */
const BEHIND_ALL = `(
  SELECT CASE WHEN last.id >= f.id
    THEN (lpad(to_hex(('x' || left(replace(last.id::text, '-', ''), 12))::bit(48)::bigint + 1), 12, '0') ||
      substr(replace(f.id::text, '-', ''), 13))::uuid
    ELSE f.id END
  FROM (SELECT greatest(
    (SELECT t.id FROM notification_facts t WHERE t.recipient_id = f.recipient_id ORDER BY t.id DESC LIMIT 1),
    (SELECT r.read_to FROM notification_reads r WHERE r.user_id = f.recipient_id)
  ) AS id) last
)`;

/**
 * Nobody hears of themselves, nor of somebody who left; what holds already is not told twice. The caller holds the lists of the
 * recipients (hold.ts): so what comes later is never behind what was there or was read, whatever clock it comes by.
 */
export async function notify(tx: Tx, facts: readonly Fact[]): Promise<void> {
  const others = facts.filter(({ recipientId, actorId }) => recipientId !== actorId);
  if (others.length === 0) return;
  await tx.query(
    `WITH told AS (
       INSERT INTO notification_facts (recipient_id, kind, actor_id, post_id, id, at)
       SELECT f.recipient_id, f.kind, f.actor_id, f.post_id, ${BEHIND_ALL}, f.at FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::uuid[], $5::uuid[], $6::timestamptz[])
         AS f (recipient_id, kind, actor_id, post_id, id, at)
       WHERE NOT EXISTS (SELECT FROM users u WHERE u.id IN (f.recipient_id, f.actor_id) AND u.deleted_at IS NOT NULL)
         AND EXISTS (SELECT FROM users u WHERE u.id = f.recipient_id)
       ON CONFLICT DO NOTHING
       RETURNING recipient_id, kind, actor_id, post_id, id, at
     )
     INSERT INTO notifications (slot, recipient_id, id, kind, actor_id, post_id, at)
     SELECT s.slot, told.recipient_id, told.id, told.kind, told.actor_id, told.post_id, told.at FROM told CROSS JOIN ${ACTIVE_SLOTS} s
     ON CONFLICT DO NOTHING`,
    [
      others.map(({ recipientId }) => recipientId),
      others.map(({ kind }) => kind),
      others.map(({ actorId }) => actorId),
      others.map(({ postId }) => postId ?? NIL),
      others.map(({ id }) => id),
      others.map(({ at }) => at),
    ],
  );
  await forgetOldest(
    tx,
    others.map(({ recipientId }) => recipientId),
  );
}

/** What ended: one follow or like; everything about some posts. */
export type Ended =
  | { readonly kind: 'follow'; readonly recipientId: string; readonly actorId: string }
  | { readonly kind: 'like'; readonly postId: string; readonly actorId: string }
  | { readonly kind: 'posts'; readonly postIds: readonly string[] };

/**
 * The list by a second statement: a rebuild that held the facts may have written some of them into its version meanwhile, and a
 * statement does not see what was committed while it waited.
 */
export async function withdraw(tx: Tx, ended: Ended): Promise<void> {
  const [where, values] = conditionOf(ended);
  await drop(
    tx,
    await tx.query<Dropped>(
      `DELETE FROM notification_facts WHERE ${where} RETURNING recipient_id AS "recipientId", id`,
      values,
    ),
  );
}

/**
 * Some of what a person was told and of what others were told of them, `most` at a time; answers whether any of it is left. What is
 * held by another's erasure is that one's to drop: waiting for it could be waiting for each other.
 */
export async function forgetPerson(tx: Tx, userId: string, most: number): Promise<boolean> {
  for (const column of ['recipient_id', 'actor_id']) {
    await drop(
      tx,
      await tx.query<Dropped>(
        `DELETE FROM notification_facts WHERE ctid = ANY(ARRAY(
           SELECT ctid FROM notification_facts WHERE ${column} = $1 LIMIT $2 FOR UPDATE SKIP LOCKED))
         RETURNING recipient_id AS "recipientId", id`,
        [userId, most],
      ),
    );
    const left = await tx.query(`SELECT FROM notification_facts WHERE ${column} = $1 LIMIT 1`, [userId]);
    if (left.length > 0) return true;
  }
  return false;
}

interface Dropped {
  readonly recipientId: string;
  readonly id: string;
}

async function drop(tx: Tx, gone: readonly Dropped[]): Promise<void> {
  if (gone.length === 0) return;
  await tx.query(
    `DELETE FROM notifications n USING unnest($1::uuid[], $2::uuid[]) AS g (recipient_id, id)
     WHERE n.recipient_id = g.recipient_id AND n.id = g.id`,
    [gone.map(({ recipientId }) => recipientId), gone.map(({ id }) => id)],
  );
}

function conditionOf(ended: Ended): [string, unknown[]] {
  switch (ended.kind) {
    case 'follow':
      return [`recipient_id = $1 AND kind = 'follow' AND actor_id = $2`, [ended.recipientId, ended.actorId]];
    case 'like':
      return [`post_id = $1 AND kind = 'like' AND actor_id = $2`, [ended.postId, ended.actorId]];
    case 'posts':
      return ['post_id = ANY($1::uuid[])', [ended.postIds]];
  }
}

/** At one notification of sixteen, by chance: to look at each would cost as much as to store it. */
async function forgetOldest(tx: Tx, recipientIds: readonly string[]): Promise<void> {
  const due = recipientIds.filter(() => Math.random() < 1 / 16);
  if (due.length > 0) await keepNewest(tx, due, NOTIFICATIONS_MAX);
}

export async function keepNewest(tx: Tx, recipientIds: readonly string[], max: number): Promise<void> {
  const old = await tx.query<Dropped>(
    `DELETE FROM notification_facts f USING (
       SELECT r.id AS recipient_id, (ARRAY(
         SELECT id FROM notification_facts WHERE recipient_id = r.id ORDER BY id DESC LIMIT $2 + 1
       ))[$2 + 1] AS last
       FROM (SELECT DISTINCT id FROM unnest($1::uuid[]) AS id) r
     ) cut WHERE f.recipient_id = cut.recipient_id AND f.id <= cut.last
     RETURNING f.recipient_id AS "recipientId", f.id`,
    [recipientIds, max],
  );
  await drop(tx, old);
}

/** What is written as `@handle` in a text: at most ten. */
export function handlesIn(body: string): string[] {
  const handles = [...body.matchAll(/(?<![\w@])@([A-Za-z0-9_]{2,30})(?!\w)/g)].map((match) =>
    (match[1] ?? '').toLowerCase(),
  );
  return [...new Set(handles)].slice(0, MENTIONS_MAX);
}

/** Who is meant by that: only who has the handle now. */
export async function mentionedIn(statements: Statements, body: string): Promise<string[]> {
  const named = handlesIn(body);
  if (named.length === 0) return [];
  const rows = await statements.query<{ id: string }>(
    `SELECT u.id FROM handles h JOIN users u ON u.id = h.user_id AND u.handle = h.handle AND u.deleted_at IS NULL
     WHERE h.handle = ANY($1::text[])`,
    [named],
  );
  return rows.map(({ id }) => id);
}

const MENTIONS_MAX = 10;
