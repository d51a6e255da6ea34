import { foundAsAsked } from '#libs/outbox';
import { cleanBody, cleanExpectedVersion, decide, type CountedPost } from '../post.js';
import { appendFacts } from '../post.store.js';
import { asPerson, type Writing } from './as-person.js';
import { visiblePost } from './visible-post.js';

export async function editPost(
  writing: Writing,
  command: {
    readonly viewer: string;
    readonly id: string;
    readonly body: string;
    readonly expectedVersion?: number | null | undefined;
  },
): Promise<CountedPost> {
  const { viewer, id } = command;
  // Before the database is asked anything: a wrong text is wrong whatever the post is.
  const body = cleanBody(command.body);
  const expectedVersion = cleanExpectedVersion(command.expectedVersion);

  return asPerson(writing, viewer, 'to keep', async (tx) => {
    const before = await visiblePost(tx, id, viewer, { locked: true });
    const at = new Date(writing.clock()).toISOString();
    const fact = decide.edit(before, { viewer, body, expectedVersion, at });
    if (fact === undefined) {
      await foundAsAsked(tx, `post:${id}`);
      return before;
    }
    const [post] = await appendFacts(tx, viewer, [{ id, before, fact }]);
    return post as CountedPost;
  });
}
