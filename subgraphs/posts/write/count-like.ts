import type { Tx } from '#libs/database';
import type { CountedPost } from '../post.js';
import { recordLikes } from '../post.store.js';

/** Counts and tells a like that was given or taken back, on a post that this transaction holds locked. */
export async function countLike(
  tx: Tx,
  post: CountedPost,
  type: 'post-liked' | 'post-unliked',
  like: { readonly userId: string; readonly version: number; readonly at: string },
): Promise<CountedPost> {
  const { userId, version, at } = like;
  const likeCount = post.likeCount + (type === 'post-liked' ? 1 : -1);
  await tx.query('UPDATE posts SET like_count = $2 WHERE id = $1', [post.id, likeCount]);
  await recordLikes(tx, type, userId, at, [
    { postId: post.id, userId, version, ...(type === 'post-liked' ? { authorId: post.authorId } : {}) },
  ]);
  return { ...post, likeCount };
}
