import type { Tx } from '#libs/database';
import type { DomainEvent } from '#libs/events';
import { newId } from '#libs/identity';
import { handlesIn, mentionedIn, notify, withdraw, type Fact } from '../notifications/facts.js';
import { hidePost, showPost } from '../notifications/gone-posts.js';
import { holdLists } from '../notifications/hold.js';

/**
 * Everybody whom these events may concern, before the first of them is told: with each event its own, two transactions would wait for
 * each other. Of a mention it is whoever has or had the handle; who takes it only now is told without.
 */
export async function holdNotified(tx: Tx, events: readonly DomainEvent[]): Promise<void> {
  const ids: string[] = [];
  const handles: string[] = [];
  for (const { type, payload } of events) {
    if (type === 'follow-started') ids.push(payload.followeeId);
    if (type === 'post-liked' && payload.authorId !== undefined) ids.push(payload.authorId);
    if (type === 'post-published') {
      if (payload.inReplyToAuthorId) ids.push(payload.inReplyToAuthorId);
      handles.push(...handlesIn(payload.body));
    }
  }
  await holdLists(tx, ids, handles);
}

/**
 * What others do that concerns somebody, and its end. What ends because an account is being deleted stays, and is not shown while the
 * account is frozen: it goes with the account, or is there again, read as it was, if the account comes back.
 */
export async function followStarted(tx: Tx, { payload, at, actor }: DomainEvent<'follow-started'>): Promise<void> {
  // It came back with an account. So does what was told of it, if it was told and is still kept.
  if (actor === null) return;
  const { followerId: actorId, followeeId: recipientId } = payload;
  await notify(tx, [{ id: newId(), recipientId, kind: 'follow', actorId, postId: null, at }]);
}

export async function followEnded(tx: Tx, { payload, actor }: DomainEvent<'follow-ended'>): Promise<void> {
  if (actor === null) return;
  await withdraw(tx, { kind: 'follow', recipientId: payload.followeeId, actorId: payload.followerId });
}

/** Without its author it notifies nobody: it came back with an account, as its notification does, or was told before likes named them. */
export async function postLiked(tx: Tx, { payload, at }: DomainEvent<'post-liked'>): Promise<void> {
  const { authorId, userId: actorId, postId } = payload;
  if (authorId !== undefined)
    await notify(tx, [{ id: newId(), recipientId: authorId, kind: 'like', actorId, postId, at }]);
}

export async function postUnliked(tx: Tx, { payload, actor }: DomainEvent<'post-unliked'>): Promise<void> {
  if (actor === null) return;
  await withdraw(tx, { kind: 'like', postId: payload.postId, actorId: payload.userId });
}

/** A reply concerns whom it answers, and a post everybody whom it names; who is both hears of it once. */
export async function postPublished(tx: Tx, { payload, at }: DomainEvent<'post-published'>): Promise<void> {
  const { postId, authorId: actorId, inReplyToAuthorId: answered = null, body } = payload;
  const about = (kind: Fact['kind'], recipientId: string): Fact => ({
    id: newId(),
    recipientId,
    kind,
    actorId,
    postId,
    at,
  });
  const named = (await mentionedIn(tx, body)).filter((id) => id !== answered);
  await notify(tx, [
    ...(answered === null ? [] : [about('reply', answered)]),
    ...named.map((id) => about('mention', id)),
  ]);
}

export async function postDeleted(tx: Tx, { payload }: DomainEvent<'post-deleted'>): Promise<void> {
  if (payload.reason === 'account') return;
  await hidePost(tx, payload.postId);
}

export async function postRestored(tx: Tx, { payload }: DomainEvent<'post-restored'>): Promise<void> {
  await showPost(tx, payload.postId);
}

export async function blockStarted(tx: Tx, { payload }: DomainEvent<'block-started'>): Promise<void> {
  // Of somebody who is gone it may come late, out of quarantine for example.
  await tx.query(
    `INSERT INTO block_edges (blocker_id, blocked_id) SELECT $1::uuid, $2::uuid
     WHERE NOT EXISTS (SELECT FROM users WHERE id IN ($1, $2) AND deleted_at IS NOT NULL) ON CONFLICT DO NOTHING`,
    [payload.blockerId, payload.blockedId],
  );
}

export async function blockEnded(tx: Tx, { payload }: DomainEvent<'block-ended'>): Promise<void> {
  await tx.query('DELETE FROM block_edges WHERE blocker_id = $1 AND blocked_id = $2', [
    payload.blockerId,
    payload.blockedId,
  ]);
}
