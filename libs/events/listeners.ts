import type { EventSource } from './catalogue.js';

/**
 * Who hears whom. A stream that cannot keep events (in one process) waits for these groups before it publishes, and one
 * that can (Redis) keeps an event until they all have acknowledged it; so a service that starts late, or for the first
 * time, misses nothing.
 */
export const LISTENERS: Readonly<Record<EventSource, readonly string[]>> = {
  users: ['posts', 'followers'],
  followers: ['posts'],
  posts: [],
};
