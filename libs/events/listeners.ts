import type { EventSource } from './catalogue.js';

/**
 * Who hears whom. A stream that cannot keep events (in one process) waits for these groups before it publishes, and one
 * that can (Redis) keeps an event until they all have acknowledged it; so a service that starts late, or for the first
 * time, misses nothing. Each service also hears its own: what it could not drop from its cache after COMMIT, because it was killed
 * there, it drops then.
 */
export const LISTENERS: Readonly<Record<EventSource, readonly string[]>> = {
  users: ['users', 'posts', 'followers'],
  posts: ['posts', 'users'],
  followers: ['followers', 'posts', 'users'],
};
