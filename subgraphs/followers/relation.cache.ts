import { entityNames, isTexts, objectOf, staleEntity, type Aside, type Cache, type Stale } from '#libs/cache';
import type { DomainEvent } from '#libs/events';
import { globalId } from '#libs/identity';

export interface Counts {
  readonly followers: number;
  readonly following: number;
}

/** What a viewer and a target are to each other, as the viewer may know it. */
export interface Edge {
  readonly follows: boolean;
  readonly followed: boolean;
  readonly blocks: boolean;
}

export type Direction = 'followers' | 'following';

/** One row of a list: who, and since when (RFC 3339, UTC, milliseconds). */
export type Entry = readonly [userId: string, followedAt: string];

/** The worst age of an entry whose drop was lost. */
const TTL_MS = 60_000;

/** What this service keeps between requests, and what makes each of it stale; nothing else decides that. */
export class RelationCache {
  /** By person. */
  readonly counts: Aside<Counts>;
  /** By person: the newest of the list, the same for every viewer. */
  readonly newest: Readonly<Record<Direction, Aside<Entry[]>>>;
  /** By viewer and target. */
  readonly edges: Aside<Edge>;
  /** By viewer: whom a block keeps out of the lists that the viewer is shown, whichever of the two blocks. */
  readonly hidden: Aside<string[]>;

  constructor(cache: Cache) {
    this.counts = cache.aside({ prefix: 'followers.counts', ttlMs: TTL_MS, is: isCounts });
    this.newest = {
      followers: cache.aside({ prefix: 'followers.newest', ttlMs: TTL_MS, is: isEntries }),
      following: cache.aside({ prefix: 'following.newest', ttlMs: TTL_MS, is: isEntries }),
    };
    this.edges = cache.aside({ prefix: 'followers.edges', ttlMs: TTL_MS, is: isEdge });
    this.hidden = cache.aside({ prefix: 'followers.hidden', ttlMs: TTL_MS, is: isTexts });
  }

  staleKeys(event: DomainEvent): string[] {
    switch (event.type) {
      case 'follow-started':
      case 'follow-ended': {
        const { followerId, followeeId } = event.payload;
        return [
          this.counts.keyOf(followerId),
          this.counts.keyOf(followeeId),
          this.newest.following.keyOf(followerId),
          this.newest.followers.keyOf(followeeId),
          ...this.#edgeKeys(followerId, followeeId),
        ];
      }
      case 'block-started':
      case 'block-ended': {
        const { blockerId, blockedId } = event.payload;
        return [this.hidden.keyOf(blockerId), this.hidden.keyOf(blockedId), ...this.#edgeKeys(blockerId, blockedId)];
      }
      case 'user-registered':
      case 'account-frozen':
      case 'deletion-step-asked':
      case 'account-thawed':
      case 'user-deleted':
        return [this.counts.keyOf(event.payload.userId)];
      case 'profile-edited':
      case 'posts-step-ended':
      case 'posts-step-goes-on':
      case 'follows-step-ended':
      case 'follows-step-goes-on':
      case 'post-published':
      case 'post-edited':
      case 'post-deleted':
      case 'post-restored':
      case 'post-liked':
      case 'post-unliked':
        return [];
    }
  }

  #edgeKeys(one: string, other: string): string[] {
    return [this.edges.keyOf(edgeId(one, other)), this.edges.keyOf(edgeId(other, one))];
  }
}

/** What gateways keep of ours, and an event makes stale. */
export function staleEntities(event: DomainEvent): Stale[] {
  const user = (id: string): Stale => staleEntity('followers', 'User', { id: globalId('user', id) });
  switch (event.type) {
    case 'user-registered':
    case 'account-frozen':
    case 'deletion-step-asked':
    case 'account-thawed':
    case 'user-deleted':
      return [user(event.payload.userId)];
    case 'follow-started':
    case 'follow-ended':
      return [user(event.payload.followerId), user(event.payload.followeeId)];
    // A block changes what two viewers are shown of each other, wherever that is.
    case 'block-started':
    case 'block-ended': {
      const { blockerId, blockedId } = event.payload;
      return [{ epochs: [blockerId, blockedId].map((id) => entityNames.viewer(globalId('user', id))) }];
    }
    default:
      return [];
  }
}

export function edgeId(viewer: string, target: string): string {
  return `${viewer}:${target}`;
}

const isCounts = objectOf<Counts>({ followers: 'number', following: 'number' });
const isEdge = objectOf<Edge>({ follows: 'boolean', followed: 'boolean', blocks: 'boolean' });

function isEntries(value: unknown): boolean {
  return Array.isArray(value) && value.every((entry) => isTexts(entry) && (entry as Entry).length === 2);
}
