import type { Tx } from '#libs/database';
import type { DomainEvent } from '#libs/events';
import { beginList } from '../timeline/build.js';

export async function userRegistered(tx: Tx, { payload }: DomainEvent<'user-registered'>): Promise<void> {
  await tx.query(`INSERT INTO people (id, state) VALUES ($1, 'registered') ON CONFLICT (id) DO NOTHING`, [
    payload.userId,
  ]);
  await beginList(tx, payload.userId);
}
