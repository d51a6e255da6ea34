import { z } from 'zod';

const id = z.uuid();
const instant = z.iso.datetime({ precision: 3 });
const saga = z.enum(['orchestrated', 'choreographed']);
const postsStep = z.enum(['withdraw-posts', 'restore-posts', 'erase-posts']);
const followsStep = z.enum(['dissolve-follows', 'restore-follows', 'erase-follows']);
const outcome = z.enum(['done', 'failed']);

/**
 * Every fact that one service tells the others: name, version, payload. Ids are the stored uuids, times RFC 3339 UTC with
 * milliseconds. A contract: change it only forward, by a new version. `aggregate` says whose order the event keeps.
 */
export const EVENTS = {
  // users; aggregate user:<userId>
  'user-registered': { source: 'users', version: 1, payload: z.object({ userId: id, handle: z.string() }) },
  'profile-edited': {
    source: 'users',
    version: 1,
    payload: z.object({ userId: id, handle: z.string(), previousHandle: z.string() }),
  },
  // A deletion has begun: nothing is done in this person's name any more. Choreographed, everybody begins their part.
  'account-frozen': {
    source: 'users',
    version: 1,
    payload: z.object({ userId: id, handle: z.string(), deletionId: id, saga }),
  },
  // It is off. Choreographed, everybody undoes their part.
  'account-thawed': {
    source: 'users',
    version: 1,
    payload: z.object({ userId: id, handle: z.string(), deletionId: id, saga }),
  },
  // It cannot be taken back any more: everybody erases.
  'user-deleted': {
    source: 'users',
    version: 1,
    // By which deletion; absent in events that were recorded before 29 November 2026.
    payload: z.object({ userId: id, handle: z.string(), deletionId: id.optional(), saga: saga.optional() }),
  },
  // users; aggregate deletion:<deletionId>: what the coordinator of an orchestrated deletion asks of the others
  'deletion-step-asked': {
    source: 'users',
    version: 1,
    payload: z.object({ deletionId: id, userId: id, step: z.union([postsStep, followsStep]) }),
  },
  // posts; aggregate post:<postId>
  'post-published': {
    source: 'posts',
    version: 1,
    payload: z.object({
      postId: id,
      authorId: id,
      body: z.string(),
      inReplyToId: id.nullable(),
      // Absent in events that were recorded before 28 November 2026.
      inReplyToAuthorId: id.nullable().optional(),
      createdAt: instant,
    }),
  },
  'post-edited': {
    source: 'posts',
    version: 1,
    payload: z.object({ postId: id, authorId: id, body: z.string(), editedAt: instant }),
  },
  'post-deleted': {
    source: 'posts',
    version: 1,
    payload: z.object({ postId: id, authorId: id, inReplyToId: id.nullable(), reason: z.enum(['author', 'account']) }),
  },
  'post-restored': {
    source: 'posts',
    version: 1,
    payload: z.object({
      postId: id,
      authorId: id,
      body: z.string(),
      inReplyToId: id.nullable(),
      createdAt: instant,
      editedAt: instant.nullable(),
    }),
  },
  // posts; aggregate like:<postId>:<userId>
  'post-liked': {
    source: 'posts',
    version: 1,
    // The post's author; absent in events that were recorded before 28 November 2026.
    payload: z.object({ postId: id, userId: id, authorId: id.optional() }),
  },
  'post-unliked': { source: 'posts', version: 1, payload: z.object({ postId: id, userId: id }) },
  // posts; aggregate withdrawal:<deletionId>: how its part of a deletion ended
  'posts-step-ended': {
    source: 'posts',
    version: 1,
    payload: z.object({ deletionId: id, userId: id, step: postsStep, outcome }),
  },
  // The same aggregate: it was asked again for what it is at, and has come further since the last time.
  'posts-step-goes-on': {
    source: 'posts',
    version: 1,
    payload: z.object({ deletionId: id, userId: id, step: postsStep }),
  },
  // followers; aggregate relation:<smaller id>:<larger id>, so both directions of a pair keep one order
  'follow-started': {
    source: 'followers',
    version: 1,
    payload: z.object({ followerId: id, followeeId: id, followedAt: instant }),
  },
  'follow-ended': { source: 'followers', version: 1, payload: z.object({ followerId: id, followeeId: id }) },
  'block-started': { source: 'followers', version: 1, payload: z.object({ blockerId: id, blockedId: id }) },
  'block-ended': { source: 'followers', version: 1, payload: z.object({ blockerId: id, blockedId: id }) },
  // followers; aggregate dissolution:<deletionId>: how its part of a deletion ended
  'follows-step-ended': {
    source: 'followers',
    version: 1,
    payload: z.object({ deletionId: id, userId: id, step: followsStep, outcome }),
  },
  'follows-step-goes-on': {
    source: 'followers',
    version: 1,
    payload: z.object({ deletionId: id, userId: id, step: followsStep }),
  },
} as const;

export type EventType = keyof typeof EVENTS;
export type EventSource = (typeof EVENTS)[EventType]['source'];
export type Payload<T extends EventType> = z.infer<(typeof EVENTS)[T]['payload']>;
