import type { Tx } from '#libs/database';
import type { DomainEvent } from '#libs/events';
import { addEdge } from './edges.js';

export async function followStarted(tx: Tx, { payload }: DomainEvent<'follow-started'>): Promise<void> {
  await addEdge(tx, 'follow_edges', payload.followerId, payload.followeeId);
}
