import { z } from 'zod';

const id = z.uuid();
const instant = z.iso.datetime({ precision: 3 });
const saga = z.enum(['orchestrated', 'choreographed']);
const postsStep = z.enum(['withdraw-posts', 'restore-posts', 'erase-posts']);
const followsStep = z.enum(['dissolve-follows', 'restore-follows', 'erase-follows']);
const outcome = z.enum(['done', 'failed']);

/** How one type of event is told, and how it is heard. */
interface Kind {
  readonly source: string;
  readonly version: number;
  readonly payload: z.ZodObject;
  /** The payload of each version before, made into that of the next: older programs, outboxes, streams and quarantines have them. */
  readonly before?: Readonly<Record<number, z.ZodType>>;
}

export type Catalogue = Readonly<Record<string, Kind>>;

/**
 * Every fact that one service tells the others: name, version, payload. Ids are the stored uuids, times RFC 3339 UTC with
 * milliseconds. `aggregate` says whose order the event keeps.
 *
 * A contract. A field may be added to a version as optional: who does not know it leaves it out, and an event from before is without it.
 * Whatever else changes is a new version, with the payload of before in `before`:
 *
 *     version: 2, before: { 1: z.object({ … }).transform((old) => ({ ...old, … })) }
 *
 * `golden.json` has an event of every version that was ever told, and is only added to; no type is taken away. A program from before a new
 * type or version keeps it in quarantine, and with it what comes after in its aggregate, until one that knows it runs. So a type goes
 * into the catalogue a release before anybody tells it. Who begins to hear a type that their program of before knew has to take what that
 * one passed over from elsewhere, once it has ended.
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
    // By which deletion; absent in what was recorded before 29 November 2026.
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
      // Absent in what was recorded before 28 November 2026.
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
    // The post's author, who is notified. Absent where nobody is: of a like that comes back with an account, as its notification does,
    // and in what was recorded before 28 November 2026.
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
} as const satisfies Catalogue;

export type EventType = keyof typeof EVENTS;
export type EventSource = (typeof EVENTS)[EventType]['source'];
export type Payload<T extends EventType> = z.infer<(typeof EVENTS)[T]['payload']>;
