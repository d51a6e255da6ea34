import { entityNames, isTexts, objectOf, staleEntity, type Aside, type Cache, type Stale } from '#libs/cache';
import type { DomainEvent } from '#libs/events';
import { globalId } from '#libs/identity';
import type { CountedPost } from './post.js';

/** What posts says about a person. */
export interface KnownPerson {
  readonly postCount: number;
}

/** As many as the longest page, and one more that tells whether there is a next. */
export const NEWEST_MAX = 101;

/** At most a minute: how long a drop that never arrives could matter. */
const ttlMs = 60_000;

/**
 * What posts keeps in the cache, and which event makes which entry stale. Nothing else knows the keys. Entries belong to
 * everybody, except those whose id names the viewer. The home timeline is not kept: it changes with every post of a followee.
 */
export class PostCache {
  /** Published posts by id. */
  readonly posts: Aside<CountedPost>;
  /** Registered people by id. */
  readonly people: Aside<KnownPerson>;
  /** The ids of a person's newest posts, newest first, by the person's id. */
  readonly newest: Aside<readonly string[]>;
  /** Whether a block stands between two people, by `pair`. */
  readonly blocks: Aside<true>;
  /** Whether somebody likes a post, by `like`. */
  readonly likes: Aside<true>;

  constructor(cache: Cache) {
    this.posts = cache.aside({ prefix: 'posts.by-id', ttlMs, is: isPost });
    this.people = cache.aside({ prefix: 'posts.people', ttlMs, is: isKnownPerson });
    this.newest = cache.aside({ prefix: 'posts.newest', ttlMs, is: isTexts });
    // Mostly there is none: that is kept as long as the opposite.
    this.blocks = cache.aside({ prefix: 'posts.blocks', ttlMs, negativeTtlMs: ttlMs, is: isTrue });
    this.likes = cache.aside({ prefix: 'posts.likes', ttlMs, negativeTtlMs: ttlMs, is: isTrue });
  }

  staleKeys(event: DomainEvent): string[] {
    switch (event.type) {
      case 'user-registered':
        return [this.people.keyOf(event.payload.userId)];
      // The person's posts and likes have events of their own.
      case 'account-frozen':
      case 'deletion-step-asked':
      case 'account-thawed':
      case 'user-deleted':
        return [this.people.keyOf(event.payload.userId), this.newest.keyOf(event.payload.userId)];
      case 'post-published':
      case 'post-deleted':
      case 'post-restored': {
        const { postId, authorId, inReplyToId } = event.payload;
        return [
          this.posts.keyOf(postId),
          this.people.keyOf(authorId),
          this.newest.keyOf(authorId),
          ...(inReplyToId === null ? [] : [this.posts.keyOf(inReplyToId)]),
        ];
      }
      case 'post-edited':
        return [this.posts.keyOf(event.payload.postId)];
      case 'post-liked':
      case 'post-unliked': {
        const { postId, userId } = event.payload;
        return [this.posts.keyOf(postId), this.likes.keyOf(like(userId, postId))];
      }
      case 'block-started':
      case 'block-ended':
        return [this.blocks.keyOf(pair(event.payload.blockerId, event.payload.blockedId))];
      case 'profile-edited':
      case 'posts-step-ended':
      case 'posts-step-goes-on':
      case 'follow-started':
      case 'follow-ended':
      case 'follows-step-ended':
      case 'follows-step-goes-on':
        return [];
    }
  }
}

/** What gateways keep of ours, and an event makes stale. */
export function staleEntities(event: DomainEvent): Stale[] {
  const post = (id: string): Stale => staleEntity('posts', 'Post', { id: globalId('post', id) });
  const user = (id: string): Stale => staleEntity('posts', 'User', { id: globalId('user', id) });
  switch (event.type) {
    case 'user-registered':
    case 'account-frozen':
    case 'deletion-step-asked':
    case 'account-thawed':
    case 'user-deleted':
      return [user(event.payload.userId)];
    case 'post-published':
    case 'post-deleted':
    case 'post-restored': {
      const { postId, authorId, inReplyToId } = event.payload;
      return [
        post(postId),
        user(authorId),
        ...(inReplyToId === null ? [] : [post(inReplyToId)]),
        { epochs: [entityNames.nothing('posts')] },
      ];
    }
    case 'post-edited':
    case 'post-liked':
    case 'post-unliked':
      return [post(event.payload.postId)];
    // A block changes what two viewers are shown of each other, wherever that is.
    case 'block-started':
    case 'block-ended':
      return [viewers(event.payload)];
    default:
      return [];
  }
}

function viewers({ blockerId, blockedId }: { blockerId: string; blockedId: string }): Stale {
  return { epochs: [blockerId, blockedId].map((id) => entityNames.viewer(globalId('user', id))) };
}

/** A block hides both from each other, so two people have one entry. */
export function pair(one: string, other: string): string {
  return one < other ? `${one}:${other}` : `${other}:${one}`;
}

export function like(viewer: string, postId: string): string {
  return `${viewer}:${postId}`;
}

const isPost = objectOf<CountedPost>({
  id: 'string',
  authorId: 'string',
  body: 'string',
  createdAt: 'string',
  editedAt: 'string?',
  inReplyToId: 'string?',
  version: 'number',
  state: 'string',
  likeCount: 'number',
  replyCount: 'number',
});
const isKnownPerson = objectOf<KnownPerson>({ postCount: 'number' });
const isTrue = (value: unknown): boolean => value === true;
