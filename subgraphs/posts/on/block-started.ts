import type { Tx } from '#libs/database';
import type { DomainEvent } from '#libs/events';
import { addEdge } from './edges.js';

export async function blockStarted(tx: Tx, { payload }: DomainEvent<'block-started'>): Promise<void> {
  await addEdge(tx, 'block_edges', payload.blockerId, payload.blockedId);
}
