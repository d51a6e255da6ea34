import { foundAsAsked } from '#libs/outbox';
import type { CountedPost } from '../post.js';
import { likeAggregate } from '../post.store.js';
import { asPerson, type Writing } from './as-person.js';
import { countLike } from './count-like.js';
import { postToCount } from './visible-post.js';

/**
 * Liking twice is liking once: the second answers the post as it is. One that would come back with the account is here already: it
 * would be counted twice. Undefined: it was done before under the client's key, with which
 * nobody else's text is kept.
 */
export async function likePost(
  writing: Writing,
  command: { readonly viewer: string; readonly postId: string },
): Promise<CountedPost | undefined> {
  const { viewer, postId } = command;
  let post: CountedPost | undefined;
  await asPerson(writing, viewer, 'to keep', async (tx) => {
    const counted = await postToCount(tx, postId, viewer);
    const at = new Date(writing.clock()).toISOString();
    const [like] = await tx.query<{ version: number }>(
      `INSERT INTO likes AS l (post_id, user_id, liked, version, at) VALUES ($1, $2, true, 1, $3)
       ON CONFLICT (post_id, user_id) DO UPDATE SET liked = true, withdrawn = false, version = l.version + 1, at = excluded.at
         WHERE NOT l.liked
       RETURNING version`,
      [postId, viewer, at],
    );
    post = counted.post;
    if (like === undefined) return foundAsAsked(tx, likeAggregate(postId, viewer));
    post = await countLike(tx, counted, 'post-liked', { userId: viewer, version: like.version, at });
  });
  return post;
}
