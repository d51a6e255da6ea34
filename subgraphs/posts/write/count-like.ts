import type { Tx } from '#libs/database';
import type { CountedPost } from '../post.js';
import { appendCounts, changeCounts } from '../post.counts.js';
import { recordLikes } from '../post.store.js';

/** Counts and tells a like that was given or taken back. */
export async function countLike(
  tx: Tx,
  { post, held }: { readonly post: CountedPost; readonly held: boolean },
  type: 'post-liked' | 'post-unliked',
  like: { readonly userId: string; readonly version: number; readonly at: string },
): Promise<CountedPost> {
  const { userId, version, at } = like;
  const change = { postId: post.id, likes: type === 'post-liked' ? 1 : -1 };
  // As it is read: one that is wrong may be below zero.
  let likeCount = Math.max(0, post.likeCount + change.likes);
  if (held) likeCount = (await changeCounts(tx, [change])).get(post.id)?.likes ?? likeCount;
  else await appendCounts(tx, [change]);
  const author = type === 'post-liked' ? { authorId: post.authorId } : {};
  await recordLikes(tx, type, userId, at, [{ postId: post.id, userId, version, ...author }]);
  return { ...post, likeCount };
}
