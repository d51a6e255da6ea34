import type { CountedPost } from '../post.js';
import { asPerson, type Writing } from './as-person.js';
import { countLike } from './count-like.js';
import { postToCount } from './visible-post.js';

/** Of a post that was not liked nothing is taken back. Undefined: as with likePost. */
export async function unlikePost(
  writing: Writing,
  command: { readonly viewer: string; readonly postId: string },
): Promise<CountedPost | undefined> {
  const { viewer, postId } = command;
  let post: CountedPost | undefined;
  await asPerson(writing, viewer, 'to keep', async (tx) => {
    const counted = await postToCount(tx, postId, viewer);
    const at = new Date(writing.clock()).toISOString();
    const [like] = await tx.query<{ version: number }>(
      `UPDATE likes SET liked = false, version = version + 1, at = $3 WHERE post_id = $1 AND user_id = $2 AND liked
       RETURNING version`,
      [postId, viewer, at],
    );
    post =
      like === undefined
        ? counted.post
        : await countLike(tx, counted, 'post-unliked', { userId: viewer, version: like.version, at });
  });
  return post;
}
