import { entityNames, objectOf, staleEntity, type Aside, type Cache, type Stale } from '#libs/cache';
import type { DomainEvent } from '#libs/events';
import { globalId } from '#libs/identity';
import type { Person } from './user.js';

/** The worst age of an entry whose drop was lost. */
const TTL_MS = 60_000;

/** What this service keeps between requests, and what makes each of it stale; nothing else decides that. */
export class UserCache {
  readonly byId: Aside<Person>;
  /** Handle → id. */
  readonly byHandle: Aside<string>;

  constructor(cache: Cache) {
    this.byId = cache.aside({ prefix: 'users.by-id', ttlMs: TTL_MS, is: isPerson });
    this.byHandle = cache.aside({ prefix: 'users.by-handle', ttlMs: TTL_MS, is: (value) => typeof value === 'string' });
  }

  staleKeys(event: DomainEvent): string[] {
    if (
      event.type === 'user-registered' ||
      event.type === 'account-frozen' ||
      event.type === 'account-thawed' ||
      event.type === 'user-deleted'
    ) {
      return [this.byId.keyOf(event.payload.userId), this.byHandle.keyOf(event.payload.handle)];
    }
    if (event.type === 'profile-edited') {
      const { userId, handle, previousHandle } = event.payload;
      return [this.byId.keyOf(userId), this.byHandle.keyOf(handle), this.byHandle.keyOf(previousHandle)];
    }
    return [];
  }
}

/** What gateways keep of ours, and an event makes stale. */
export function staleEntities(event: DomainEvent): Stale[] {
  switch (event.type) {
    case 'user-registered':
    case 'account-frozen':
    case 'account-thawed':
    case 'user-deleted':
    case 'profile-edited':
      // A handle that nobody had may be somebody's now.
      return [
        staleEntity('users', 'User', { id: globalId('user', event.payload.userId) }),
        { epochs: [entityNames.nothing('users')] },
      ];
    default:
      return [];
  }
}

const isPerson = objectOf<Person>({
  id: 'string',
  handle: 'string',
  displayName: 'string',
  bio: 'string',
  avatarUrl: 'string?',
  joinedAt: 'string',
});
