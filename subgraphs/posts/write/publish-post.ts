import type { Tx } from '#libs/database';
import { timeOf } from '#libs/identity';
import { appendCounts, changeCounts, changePostCount } from '../post.counts.js';
import { decide, type CountedPost } from '../post.js';
import { appendFacts } from '../post.store.js';
import { asPerson, type Writing } from './as-person.js';
import { postToCount } from './visible-post.js';

export async function publishPost(
  writing: Writing,
  command: { readonly viewer: string; readonly body: string; readonly inReplyToId: string | null },
): Promise<CountedPost> {
  const { viewer, inReplyToId } = command;
  const id = writing.newPostId(viewer);
  const at = new Date(timeOf(id)).toISOString();
  const fact = decide.publish({ authorId: viewer, body: command.body, inReplyToId, at });

  return asPerson(writing, viewer, 'to change', async (tx) => {
    await changePostCount(tx, viewer, 1);
    const parentAuthorId = inReplyToId === null ? null : await countReply(tx, inReplyToId, viewer);
    const [post] = await appendFacts(tx, viewer, [{ id, before: undefined, fact, parentAuthorId }]);
    return post as CountedPost;
  });
}

/** Nobody can reply to what they cannot see. Answers who wrote it. */
async function countReply(tx: Tx, parentId: string, viewer: string): Promise<string> {
  const { post, held } = await postToCount(tx, parentId, viewer);
  if (held) await changeCounts(tx, [{ postId: parentId, replies: 1 }]);
  else await appendCounts(tx, [{ postId: parentId, replies: 1 }]);
  return post.authorId;
}
