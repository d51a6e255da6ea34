import type { Tx } from '#libs/database';
import type { DomainEvent } from '#libs/events';
import { pushPost } from '../timeline/deliver.js';

/**
 * Our own events, heard again. Nothing is stored: what is heard is told to `afterCommit`, which drops the cache entries that
 * the event made stale. So a process that died between its COMMIT and its drop leaves nothing stale behind.
 */
export async function heardAgain(): Promise<void> {}

/** A post that is there, or there again, goes into the lists of its author's followers. */
export async function toTimelines(tx: Tx, { payload }: DomainEvent<'post-published' | 'post-restored'>): Promise<void> {
  await pushPost(tx, payload);
}
