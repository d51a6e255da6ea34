import type { Tx } from '#libs/database';
import { Failure } from '#libs/failure';
import { foundAsAsked } from '#libs/outbox';
import { changeCounts, changePostCount } from '../post.counts.js';
import { decide, noSuchPost, type CountedPost } from '../post.js';
import { appendFacts, lockPosts } from '../post.store.js';
import { replay } from '../replay.js';
import { asPerson, type Writing } from './as-person.js';
import { visiblePost } from './visible-post.js';

/**
 * Undoes the deletion by its author: text, likes and replies are as they were. Whoever asks is told no more than they could
 * see: a post that is gone is NOT_FOUND for everybody else. What is not deleted is answered as it is.
 */
export async function restorePost(
  writing: Writing,
  command: { readonly viewer: string; readonly id: string },
): Promise<CountedPost> {
  const { viewer, id } = command;
  return asPerson(writing, viewer, 'to change', async (tx) => {
    const [own] = await tx.query<{ parentId: string | null }>(
      `SELECT in_reply_to_id AS "parentId" FROM posts WHERE id = $1 AND author_id = $2`,
      [id, viewer],
    );
    if (own === undefined) return refused(tx, id, viewer);

    const { parentId } = own;
    const before = (await lockPosts(tx, parentId === null ? [id] : [id, parentId])).get(id);
    if (before?.state === 'published') {
      await foundAsAsked(tx, `post:${id}`);
      return before;
    }
    const at = new Date(writing.clock()).toISOString();
    const fact = decide.restore(before, { viewer, body: await lastBody(tx, before), at });
    const [post] = await appendFacts(tx, viewer, [{ id, before, fact }]);
    await changePostCount(tx, viewer, 1);
    if (parentId !== null) await changeCounts(tx, [{ postId: parentId, replies: 1 }]);
    return post as CountedPost;
  });
}

async function refused(tx: Tx, id: string, viewer: string): Promise<never> {
  await visiblePost(tx, id, viewer, { locked: false }); // NOT_FOUND, or there but another's
  throw new Failure('FORBIDDEN', 'Only its author can restore a post.');
}

/** The row of a deleted post keeps no text; its facts do. */
async function lastBody(tx: Tx, post: CountedPost | undefined): Promise<string> {
  if (post === undefined) throw noSuchPost();
  const [was] = await replay(tx, [{ id: post.id, version: post.version - 1 }]);
  if (was === undefined) throw new Error(`post ${post.id}: deleted, but nothing tells what it was`);
  return was.post.body;
}
