import type { Database } from '#libs/database';
import { NIL } from '../../subgraphs/users/notifications/facts.js';
import type { Acted } from './saga-bystanders.js';
import type { Cast } from './saga-people.js';

/** A notification that somebody has. */
export interface Told {
  readonly id: string;
  readonly isRead: boolean;
}

/** Notifications that are not as they must be. */
export interface Mistold {
  /** There, but of or to somebody who is gone, or another one than was there before, or read where it was not, or the other way round. */
  readonly left: number;
  /** Not there any more. */
  readonly lost: number;
  /** In the list that is read and not among the facts, or the other way round. */
  readonly unlisted: number;
}

/** Of a notification: to whom, of what, by whom, about which post. */
export function keyOf(
  ...[recipientId, kind, actorId, postId]: readonly [string, string, string, string | null]
): string {
  return `${recipientId} ${kind} ${actorId} ${postId ?? NIL}`;
}

export async function toldIn(users: Database): Promise<Map<string, Told>> {
  const rows = await users.query<Record<'recipient' | 'kind' | 'actor' | 'post', string> & Told>(
    `SELECT recipient_id AS recipient, kind, actor_id AS actor, post_id AS post, id, coalesce(id <= read_to, false) AS "isRead"
     FROM notification_facts LEFT JOIN notification_reads ON user_id = recipient_id`,
  );
  return new Map(
    rows.map(({ recipient, kind, actor, post, id, isRead }) => [keyOf(recipient, kind, actor, post), { id, isRead }]),
  );
}

/** Of who is gone nothing is left, to them or of them; all others have what they had, by the ids that it had, read or not, and what was done since. */
export async function mistoldIn(
  users: Database,
  { told, staying, stranger, liked, accounts }: Cast,
  ends: ReadonlyMap<string, 'gone' | 'back'>,
  acted: Acted | undefined,
): Promise<Mistold> {
  const [first = '', second = '', third = ''] = staying;
  const isGone = (id: string): boolean => ends.get(id) === 'gone';
  const truth = new Map<string, Told | undefined>([...told].filter(([key]) => !key.split(' ').some(isGone)));
  for (const { id, posts } of accounts) {
    const { liked: isLiked, replied, unfollowed, followed, unliked } = acted?.of.get(id) ?? {};
    if (isLiked) truth.set(keyOf(id, 'like', first, posts.at(-1)!), undefined);
    if (replied !== undefined) truth.set(keyOf(id, 'reply', second, replied), undefined);
    if (followed) truth.set(keyOf(id, 'follow', stranger, null), undefined);
    if (unfollowed) truth.delete(keyOf(id, 'follow', third, null));
    if (unliked) truth.delete(keyOf(first, 'like', id, liked));
  }
  const facts = await toldIn(users);
  const isRight = ([key, { id, isRead }]: [string, Told]): boolean => {
    const was = truth.get(key);
    // What was told since has an id that nobody knew, and nobody has read it.
    return truth.has(key) && (was?.id ?? id) === id && (was?.isRead ?? false) === isRead;
  };
  const [reads] = await users.query<{ count: number }>(
    'SELECT count(*)::int AS count FROM notification_reads WHERE user_id = ANY($1::uuid[])',
    [[...ends.keys()].filter(isGone)],
  );
  const [lists] = await users.query<{ wrong: number }>(
    `SELECT count(*)::int AS wrong FROM (
       SELECT recipient_id, id, kind, actor_id, post_id FROM notification_facts
     ) f FULL JOIN (
       SELECT recipient_id, id, kind, actor_id, post_id FROM notifications
         WHERE slot = (SELECT serving FROM read_models WHERE name = 'notifications')
     ) n USING (recipient_id, id, kind, actor_id, post_id) WHERE f.* IS NULL OR n.* IS NULL`,
  );
  return {
    left: [...facts].filter((one) => !isRight(one)).length + reads!.count,
    lost: [...truth.keys()].filter((key) => !facts.has(key)).length,
    unlisted: lists!.wrong,
  };
}
