import type { Tx } from '#libs/database';

/**
 * Adds an edge between two people, unless one of them was deleted: users and followers are heard in any order, so an edge can
 * come after its person's end. Both people are held, by id, so that a deletion that is under way finds the edge or is seen.
 */
export async function addEdge(tx: Tx, table: 'follow_edges' | 'block_edges', from: string, to: string): Promise<void> {
  const people = await tx.query<{ state: string }>(
    'SELECT state FROM people WHERE id = ANY($1::uuid[]) ORDER BY id FOR KEY SHARE',
    [[from, to]],
  );
  if (people.some((person) => person.state === 'deleted')) return;
  await tx.query(`INSERT INTO ${table} VALUES ($1, $2) ON CONFLICT DO NOTHING`, [from, to]);
}
