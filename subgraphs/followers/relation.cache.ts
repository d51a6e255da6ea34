import type { DomainEvent } from '#libs/events';

/** What this service keeps in the cache. Lifetimes are bounded by 60 s: the worst age of an entry whose drop was lost. */
export const COUNTS = { prefix: 'followers:counts', ttlMs: 60_000 };
/** The first page of ids, with times, in the order of the list: the same for every viewer. */
export const FIRST_PAGES = { followers: { prefix: 'followers:page', ttlMs: 60_000 }, following: { prefix: 'following:page', ttlMs: 60_000 } };
/** What a viewer and a target are to each other. */
export const EDGES = { prefix: 'followers:edge', ttlMs: 60_000 };
/** Whom a viewer is not shown, because one of the two blocks the other. */
export const HIDDEN = { prefix: 'followers:hidden', ttlMs: 60_000 };

export function edgeId(viewer: string, target: string): string {
  return `${viewer}:${target}`;
}
