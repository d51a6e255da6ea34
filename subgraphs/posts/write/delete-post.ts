import { changeCounts, changePostCount } from '../post.counts.js';
import { decide } from '../post.js';
import { appendFacts, lockPosts } from '../post.store.js';
import { asPerson, type Writing } from './as-person.js';
import { visiblePost } from './visible-post.js';

/** The replies to it stay, as posts of their own whose `inReplyTo` is null. */
export async function deletePost(
  writing: Writing,
  command: { readonly viewer: string; readonly id: string },
): Promise<{ readonly id: string }> {
  const { viewer, id } = command;
  return asPerson(writing, viewer, 'to change', async (tx) => {
    const now = () => new Date(writing.clock()).toISOString();
    const seen = await visiblePost(tx, id, viewer, { locked: false });
    decide.remove(seen, { viewer, at: now() });

    const parentId = seen.inReplyToId; // never changes, so it can be read before the lock
    const locked = await lockPosts(tx, parentId === null ? [id] : [id, parentId]);
    const before = locked.get(id);
    // Its time is taken while the post is held, so that the times of its facts follow their order.
    await appendFacts(tx, viewer, [{ id, before, fact: decide.remove(before, { viewer, at: now() }) }]);
    await changePostCount(tx, viewer, -1);
    if (parentId !== null) await changeCounts(tx, [{ postId: parentId, replies: -1 }]);
    return { id };
  });
}
