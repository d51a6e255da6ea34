import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Failure } from '#libs/failure';
import { withServer } from '../../../test/servers/needs.js';
import type { CountedPost } from '../post.js';
import { appendFacts } from '../post.store.js';
import { openScene, type Scene } from '../scene.contract.js';
import { editPost } from './edit-post.js';
import { publishPost } from './publish-post.js';

const WRITERS = 8;
const WORDS = Array.from({ length: WRITERS }, (_, nth) => `word${nth}`);

/**
 * Eight windows of one author show the same version, each adds a word, all send at once. What becomes of the eight words, by
 * the ways to answer such a conflict.
 */
interface Outcome {
  /** Of the eight words, those in the text. */
  readonly inText: number;
  /** Those in the history, from where they can be brought back. */
  readonly inHistory: number;
  /** Windows that were told that their word was not taken. */
  readonly told: number;
}

function conflicts(adminUrl?: string): void {
  let scene: Scene;
  let alice: string;
  beforeAll(async () => {
    scene = await openScene(adminUrl);
    alice = await scene.person();
  });
  afterAll(() => scene.close());

  /** What a window does with its word, having read the post. */
  type Save = (read: CountedPost, word: string) => Promise<unknown>;

  async function outcomeOf(save: Save): Promise<Outcome> {
    const read = await publishPost(scene.writing, { viewer: alice, body: 'text', inReplyToId: null });
    const saved = await Promise.allSettled(WORDS.map((word) => save(read, word)));
    const refused = saved.filter((outcome) => outcome.status === 'rejected').map(({ reason }) => reason as unknown);
    for (const reason of refused) expect(reason).toEqual(expect.objectContaining({ code: 'CONFLICT' }));
    const [row] = await scene.database.query<{ body: string }>('SELECT body FROM posts WHERE id = $1', [read.id]);
    const history = await scene.database.query<{ body: string }>(
      `SELECT fact->>'body' AS body FROM post_events WHERE post_id = $1`,
      [read.id],
    );
    return {
      inText: WORDS.filter((word) => row?.body.split(' ').includes(word)).length,
      inHistory: WORDS.filter((word) => history.some(({ body }) => body.split(' ').includes(word))).length,
      told: refused.length,
    };
  }

  const edit = (id: string, body: string, expectedVersion?: number) =>
    editPost(scene.writing, { viewer: alice, id, body, expectedVersion });

  it('written over the row, seven words are lost, and nobody is told (control)', async () => {
    const naive: Save = (read, word) =>
      scene.database.transaction(async (tx) => {
        await tx.query('UPDATE posts SET body = $2 WHERE id = $1', [read.id, `${read.body} ${word}`]);
      });
    expect(await outcomeOf(naive)).toEqual({ inText: 1, inHistory: 0, told: 0 });
  });

  it('last writer wins: without expectedVersion seven are overwritten, but the history has them', async () => {
    const blind: Save = (read, word) => edit(read.id, `${read.body} ${word}`);
    expect(await outcomeOf(blind)).toEqual({ inText: 1, inHistory: WRITERS, told: 0 });
  });

  it('reject: with expectedVersion one is taken, and the seven others are told CONFLICT', async () => {
    const careful: Save = (read, word) => edit(read.id, `${read.body} ${word}`, read.version);
    expect(await outcomeOf(careful)).toEqual({ inText: 1, inHistory: 1, told: WRITERS - 1 });
  });

  it('merge: who is told CONFLICT reads again and adds the word to what is there now; none is lost', async () => {
    const merging: Save = async (read, word) => {
      let theirs = { body: read.body, version: read.version };
      // Each time somebody else has got through, so the writers are as many as the tries that can be needed.
      for (let attempt = 1; ; attempt++) {
        try {
          return await edit(read.id, merged(read.body, `${read.body} ${word}`, theirs.body), theirs.version);
        } catch (error) {
          if (!(error instanceof Failure) || error.code !== 'CONFLICT' || attempt === WRITERS) throw error;
        }
        const [now] = await scene.database.query<{ body: string; version: number }>(
          'SELECT body, version FROM posts WHERE id = $1',
          [read.id],
        );
        theirs = now as typeof theirs;
      }
    };
    expect(await outcomeOf(merging)).toEqual({ inText: WRITERS, inHistory: WRITERS, told: 0 });
  });

  it('where nothing was locked, the key lets one of the same version in, and the others are told CONFLICT', async () => {
    const unlocked: Save = (read, word) =>
      scene.database.transaction((tx) => {
        const fact = { type: 'edited', body: `${read.body} ${word}`, basedOn: 1, at: read.createdAt } as const;
        return appendFacts(tx, alice, [{ id: read.id, before: read, fact }]);
      });
    expect(await outcomeOf(unlocked)).toEqual({ inText: 1, inHistory: 1, told: WRITERS - 1 });
    const events = await scene.database.query(
      'SELECT aggregate FROM outbox GROUP BY aggregate HAVING max(aggregate_version) <> count(*)',
    );
    expect(events).toEqual([]); // who was refused told nothing
  });
}

/** The text that both changes of `base` lead to, where both only wrote on. */
function merged(base: string, mine: string, theirs: string): string {
  if (!mine.startsWith(base) || !theirs.startsWith(base))
    throw new Failure('CONFLICT', 'These changes exclude each other.');
  return theirs + mine.slice(base.length);
}

describe('eight edits of one version, embedded', () => conflicts());
withServer('postgres', 'eight edits of one version, on PostgreSQL', (adminUrl) => conflicts(adminUrl));
