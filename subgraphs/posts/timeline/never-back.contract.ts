import { afterAll, beforeAll, beforeEach, expect, it } from '@jest/globals';
import { openCache } from '#libs/cache';
import { PostCache } from '../post.cache.js';
import { readsOf } from '../read/reads.js';
import type { Scene } from '../scene.contract.js';
import { publishPost } from '../write/publish-post.js';
import { authorAndReader, heldOpen } from './at-once.contract.js';
import { backfillStep } from './backfill.js';
import { settle, SMALL } from './timeline.contract.js';

/**
 * A page of posts that are published and not delivered yet, and the page after it. `hasServer`: a transaction of somebody else may be
 * open meanwhile, which the one connection of an embedded database does not allow.
 */
export function neverBack(open: () => Promise<Scene>, { hasServer }: { readonly hasServer: boolean }): void {
  let scene: Scene;
  let author: string;
  let reader: string;
  beforeAll(async () => {
    scene = await open();
  });
  afterAll(() => scene?.close());
  beforeEach(async () => {
    [author, reader] = await authorAndReader(scene);
  });

  /** Published, and not heard of by who delivers it: a stream may bring that later. */
  const publish = async (): Promise<string> =>
    (await publishPost(scene.writing, { viewer: author, body: 'x', inReplyToId: null })).id;

  /** Whether the reader is shown this post: by whoever asks, and by who must not go back. */
  async function shown(post: string, first: number): Promise<{ mostly: boolean; monotonic: boolean }> {
    const source = new PostCache(openCache({ mode: 'off' }));
    const readAs = readsOf({ database: scene.database, kept: source, source, cached: false });
    const shownTo = async (monotonic: boolean): Promise<boolean> => {
      const asked = { viewer: reader, requestId: 'test', upTo: [], wrote: [], found: [] };
      const reads = readAs({ ...asked, fresh: monotonic, monotonic });
      return (await reads.home(reader, { first, after: undefined })).some(({ id }) => id === post);
    };
    return { mostly: await shownTo(false), monotonic: await shownTo(true) };
  }

  it('who must not go back is shown on a short page what a page beyond the end of the list has shown', async () => {
    for (let posts = 0; posts <= SMALL.length; posts++) await publish();
    await settle(scene);
    const post = await publish();
    expect(await shown(post, 50)).toEqual({ mostly: true, monotonic: true });
    // The control: by the list alone it is gone again until it is delivered.
    expect(await shown(post, 1)).toEqual({ mostly: false, monotonic: true });
  });

  if (!hasServer) return;
  it('who must not go back is shown, when a new follow has been copied, what was shown while it was', async () => {
    const end = await heldOpen(scene.database, (database) => backfillStep(database, SMALL));
    const post = await publish();
    expect(await shown(post, 1)).toEqual({ mostly: true, monotonic: true });
    await end();
    // The control, as above.
    expect(await shown(post, 1)).toEqual({ mostly: false, monotonic: true });
  });
}
