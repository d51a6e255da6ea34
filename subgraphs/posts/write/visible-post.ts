import type { Tx } from '#libs/database';
import { noSuchPost, type CountedPost } from '../post.js';
import { noBlockBetween, POST_COLUMNS, postOf, type PostRow } from '../post.row.js';

/** A post that the viewer may see, else NOT_FOUND; `locked`: held until the end of the transaction. */
export async function visiblePost(
  tx: Tx,
  id: string,
  viewer: string,
  { locked }: { readonly locked: boolean },
): Promise<CountedPost> {
  const [row] = await tx.query<PostRow>(
    `SELECT ${POST_COLUMNS} FROM posts p
     WHERE p.id = $1 AND p.state = 'published' AND ${noBlockBetween('$2::uuid', 'p.author_id')}
     ${locked ? 'FOR NO KEY UPDATE OF p' : ''}`,
    [id, viewer],
  );
  if (row === undefined) throw noSuchPost();
  return postOf(row);
}

/**
 * The same, to change one of its counts: `held` until the end of the transaction, unless somebody else holds it. It may be about to
 * be deleted by them: then this was before.
 */
export async function postToCount(tx: Tx, id: string, viewer: string): Promise<{ post: CountedPost; held: boolean }> {
  const [row] = await tx.query<PostRow>(
    `SELECT ${POST_COLUMNS} FROM posts p
     WHERE p.id = $1 AND p.state = 'published' AND ${noBlockBetween('$2::uuid', 'p.author_id')}
     FOR NO KEY UPDATE OF p SKIP LOCKED`,
    [id, viewer],
  );
  if (row !== undefined) return { post: postOf(row), held: true };
  return { post: await visiblePost(tx, id, viewer, { locked: false }), held: false };
}
