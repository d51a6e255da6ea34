import type { Post } from './post.js';

/**
 * A post is kept whole at every 20th of its versions. Written by the statement that appends, so it costs none.
 * MEASURED
 */
export const SNAPSHOT_EVERY = 20;

/** Of `Post`, and of the fold that makes it. Change it with either: older snapshots are then passed over, and the facts read. */
export const SNAPSHOT_SHAPE = 1;

export function isKept({ version }: Post): boolean {
  return version % SNAPSHOT_EVERY === 0;
}
