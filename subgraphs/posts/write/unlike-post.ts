import { foundAsAsked } from '#libs/outbox';
import type { CountedPost } from '../post.js';
import { likeAggregate, recordLikes } from '../post.store.js';
import { asPerson, type Writing } from './as-person.js';
import { countLike } from './count-like.js';
import { postToCount } from './visible-post.js';

/**
 * Of a post that was not liked nothing is taken back. A like that is to come back with the account is not counted now; it stays away,
 * and is told of as taken back, for who was notified of it still is. Undefined: as with likePost.
 */
export async function unlikePost(
  writing: Writing,
  command: { readonly viewer: string; readonly postId: string },
): Promise<CountedPost | undefined> {
  const { viewer, postId } = command;
  let post: CountedPost | undefined;
  await asPerson(writing, viewer, 'to keep', async (tx) => {
    const counted = await postToCount(tx, postId, viewer);
    const at = new Date(writing.clock()).toISOString();
    const [like] = await tx.query<{ version: number; liked: boolean }>(
      `WITH before AS (SELECT liked FROM likes WHERE post_id = $1 AND user_id = $2 AND (liked OR withdrawn) FOR UPDATE)
       UPDATE likes SET liked = false, withdrawn = false, version = version + 1, at = $3 FROM before
       WHERE post_id = $1 AND user_id = $2 RETURNING version, before.liked`,
      [postId, viewer, at],
    );
    post = counted.post;
    if (like === undefined) return foundAsAsked(tx, likeAggregate(postId, viewer));
    const { version } = like;
    if (like.liked) post = await countLike(tx, counted, 'post-unliked', { userId: viewer, version, at });
    else await recordLikes(tx, 'post-unliked', viewer, at, [{ postId, userId: viewer, version }]);
  });
  return post;
}
