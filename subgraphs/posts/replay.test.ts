import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { newId } from '#libs/identity';
import { SEED } from '../../test/seed.js';
import { evolve, type CountedPost, type Post } from './post.js';
import { POST_COLUMNS, postOf, type PostRow } from './post.row.js';
import { replay } from './replay.js';
import { openScene, type Scene } from './scene.contract.js';
import { SNAPSHOT_EVERY, SNAPSHOT_SHAPE } from './snapshot.js';
import { factOf } from './stored-fact.js';
import { deletePost } from './write/delete-post.js';
import { editPost } from './write/edit-post.js';
import { publishPost } from './write/publish-post.js';
import { restorePost } from './write/restore-post.js';

let scene: Scene;
let alice: string;
beforeAll(async () => {
  scene = await openScene();
  alice = await scene.person();
});
afterAll(() => scene.close());

const START = Date.parse('2026-11-20T20:00:00.000Z');
const instant = (ms: number) => new Date(ms).toISOString();

/** Acts of the author, one every second. */
const story = fc.array(
  fc.oneof(
    { weight: 8, arbitrary: fc.constant('edit' as const) },
    { weight: 1, arbitrary: fc.constantFrom('delete' as const, 'restore' as const) },
  ),
  { minLength: 1, maxLength: 3 * SNAPSHOT_EVERY },
);

/** Lives a post; answers its id and what it was after each of its versions, told without the store. */
async function live(acts: readonly ('edit' | 'delete' | 'restore')[]): Promise<{ id: string; was: Told[] }> {
  let now = START;
  const writing = { ...scene.writing, clock: () => now, newPostId: () => newId({ now }) };
  const { id } = await publishPost(writing, { viewer: alice, body: 'v1', inReplyToId: null });
  const was: Told[] = [{ body: 'v1', isThere: true, at: instant(now) }];
  for (const act of acts) {
    now += 1_000;
    const { body, isThere } = was.at(-1) as Told;
    if (act === 'restore' ? isThere : !isThere) continue;
    const next = act === 'edit' ? `v${was.length + 1}` : body;
    if (act === 'edit') await editPost(writing, { viewer: alice, id, body: next });
    else await (act === 'delete' ? deletePost : restorePost)(writing, { viewer: alice, id });
    was.push({ body: next, isThere: act !== 'delete', at: instant(now) });
  }
  return { id, was };
}

describe('a post that processes with different clocks have written', () => {
  /** Where its facts say that it was otherwise than what was written. By the snapshots, and by the facts alone. */
  async function wrong(id: string): Promise<[kept: number, folded: number]> {
    const facts = await scene.database.query<{ version: number; at: string }>(
      `SELECT version, fact ->> 'at' AS at FROM post_events WHERE post_id = $1 ORDER BY version`,
      [id],
    );
    const look = async () => {
      const was = await replay(
        scene.database,
        facts.map(({ at }) => ({ id, at })),
      );
      return was.filter((one, nth) => one?.post.version !== nth + 1).length;
    };
    const kept = await look();
    await scene.database.query('DELETE FROM post_snapshots WHERE post_id = $1', [id]);
    return [kept, await look()];
  }

  /** The first is five minutes ahead of the second; they write in turns. */
  async function inTurns(): Promise<{ id: string; clocks: string[] }> {
    let now = START;
    const clocks: string[] = [];
    const ahead = [300_000, 0].map((ms) => ({
      ...scene.writing,
      clock: () => now + ms,
      newPostId: () => newId({ now }),
    }));
    const { id } = await publishPost(ahead[1]!, { viewer: alice, body: 'v1', inReplyToId: null });
    clocks.push(instant(now));
    for (let version = 2; version <= 2 * SNAPSHOT_EVERY + 3; version += 1) {
      now += 1_000;
      const writing = ahead[version % 2]!;
      await editPost(writing, { viewer: alice, id, body: `v${version}` });
      clocks.push(instant(writing.clock()));
    }
    return { id, clocks };
  }

  it('was at each moment what was written by then (control: with the times that their clocks said, it was not)', async () => {
    const { id, clocks } = await inTurns();
    expect(await wrong(id)).toEqual([0, 0]);
    const naive = await inTurns();
    await scene.database.query(
      `UPDATE post_events SET fact = fact || jsonb_build_object('at', at)
       FROM unnest($2::text[]) WITH ORDINALITY AS c (at, n) WHERE post_id = $1 AND version = n`,
      [naive.id, clocks],
    );
    for (const count of await wrong(naive.id)) expect(count).toBeGreaterThan(10);
  });
});

interface Told {
  /** Also while it is gone: what it will be again. */
  readonly body: string;
  readonly isThere: boolean;
  readonly at: string;
}

async function rowOf(id: string): Promise<Post> {
  const [row] = await scene.database.query<PostRow>(`SELECT ${POST_COLUMNS} FROM posts p WHERE p.id = $1`, [id]);
  const { likeCount: _, replyCount: __, ...post } = postOf(row as PostRow) as CountedPost;
  return post;
}

/** All facts from the first, and no snapshot. */
async function folded(id: string): Promise<Post | undefined> {
  const rows = await scene.database.query<{ version: number; factVersion: number; fact: Record<string, unknown> }>(
    'SELECT version, fact_version AS "factVersion", fact FROM post_events WHERE post_id = $1 ORDER BY version',
    [id],
  );
  return rows.reduce<Post | undefined>(
    (post, { fact, factVersion }) => evolve(id, post, factOf(fact, factVersion)),
    undefined,
  );
}

describe('a post, from its facts alone', () => {
  const anyStory = (check: (id: string, was: Told[]) => Promise<void>) =>
    fc.assert(
      fc.asyncProperty(story, async (acts) => {
        const { id, was } = await live(acts);
        await check(id, was);
      }),
      { numRuns: 12, endOnFailure: true, seed: SEED },
    );

  it('is its row, after any story, whether by its snapshots or from its beginning', () =>
    anyStory(async (id, was) => {
      const row = await rowOf(id);
      const [replayed] = await replay(scene.database, [{ id }]);
      expect(replayed?.post).toEqual(row);
      expect(await folded(id)).toEqual(row);
      expect(row.version).toBe(was.length);
    }));

  it('is at every version and every time what it was then', () =>
    anyStory(async (id, was) => {
      const byVersion = await replay(
        scene.database,
        was.map((_, nth) => ({ id, version: nth + 1 })),
      );
      const byTime = await replay(
        scene.database,
        was.map(({ at }) => ({ id, at })),
      );
      const between = await replay(
        scene.database,
        was.map(({ at }) => ({ id, at: instant(Date.parse(at) + 999) })),
      );
      for (const [nth, { body, isThere }] of was.entries()) {
        const post = { version: nth + 1, body: isThere ? body : '', state: isThere ? 'published' : 'deleted' };
        for (const found of [byVersion[nth], byTime[nth], between[nth]]) expect(found?.post).toMatchObject(post);
      }
      expect(await replay(scene.database, [{ id, at: instant(START - 1) }, { id: newId() }])).toEqual([
        undefined,
        undefined,
      ]);
    }));

  it('is not what a snapshot says that was taken at a wrong version (control)', async () => {
    const { id } = await live(Array.from({ length: SNAPSHOT_EVERY + 5 }, () => 'edit' as const));
    await scene.database.query('UPDATE post_snapshots SET version = version + 2 WHERE post_id = $1', [id]);
    const [replayed] = await replay(scene.database, [{ id }]);
    expect(replayed?.post).not.toEqual(await rowOf(id));
  });
});

describe('a snapshot', () => {
  const edits = (count: number) => Array.from({ length: count }, () => 'edit' as const);
  const versions = async (id: string) =>
    (
      await scene.database.query<{ version: number }>(
        'SELECT version FROM post_snapshots WHERE post_id = $1 ORDER BY version',
        [id],
      )
    ).map(({ version }) => version);

  it(`is kept at every ${SNAPSHOT_EVERY}th version, by no statement of its own`, async () => {
    const { id } = await live(edits(SNAPSHOT_EVERY - 2));
    expect(await versions(id)).toEqual([]);
    const cost = async () => {
      const before = scene.database.statements;
      await editPost(scene.writing, { viewer: alice, id, body: `edit ${before}` });
      return scene.database.statements - before;
    };
    const [kept, plain] = [await cost(), await cost()];
    expect(await versions(id)).toEqual([SNAPSHOT_EVERY]);
    expect(kept).toBe(plain);
  });

  it('bounds what is read, however long the history is', async () => {
    const { id } = await live(edits(4 * SNAPSHOT_EVERY));
    let rows = 0;
    const counting = {
      query: async <Row>(text: string, values?: readonly unknown[]) => {
        const found = await scene.database.query<Row>(text, values);
        rows = found.length;
        return found;
      },
    };
    for (const moment of [{}, { version: 50 }, { at: instant(START + 30_500) }, { at: instant(START + 1_000) }]) {
      await replay(counting, [{ id, ...moment }]);
      expect(rows).toBeGreaterThan(0);
      expect(rows).toBeLessThanOrEqual(SNAPSHOT_EVERY);
    }
    await scene.database.query('DELETE FROM post_snapshots WHERE post_id = $1', [id]);
    await replay(counting, [{ id }]);
    expect(rows).toBe(4 * SNAPSHOT_EVERY + 1); // without them: all of it
  });

  it('only saves reading: lost, or of another shape, the post is the same', async () => {
    const { id } = await live(edits(2 * SNAPSHOT_EVERY + 3));
    const row = await rowOf(id);
    const nonsense = JSON.stringify({ whatever: 'a newer program keeps' });
    await scene.database.query('UPDATE post_snapshots SET shape = $2, post = $3 WHERE post_id = $1', [
      id,
      SNAPSHOT_SHAPE + 1,
      nonsense,
    ]);
    expect((await replay(scene.database, [{ id }]))[0]?.post).toEqual(row);
    await scene.database.query('DELETE FROM post_snapshots WHERE post_id = $1', [id]);
    expect((await replay(scene.database, [{ id }]))[0]?.post).toEqual(row);
  });
});

it('what a program of before the versions wrote is read, edited, deleted and restored like any other', async () => {
  const id = scene.writing.newPostId(alice);
  const at = (second: number) => instant(START + second * 1_000);
  const facts = [
    { type: 'published', authorId: alice, body: 'one', inReplyToId: null, at: at(0) },
    { type: 'edited', body: 'two', at: at(1) },
  ];
  // Word for word what it wrote: no version of the fact, and no snapshot.
  await scene.database.query(
    `INSERT INTO post_events (post_id, version, fact, actor)
     SELECT $1, n, fact, $3 FROM unnest($2::jsonb[]) WITH ORDINALITY AS f (fact, n)`,
    [id, facts.map((fact) => JSON.stringify(fact)), alice],
  );
  await scene.database.query(
    `INSERT INTO posts (id, author_id, body, created_at, edited_at, version, state) VALUES ($1, $2, 'two', $3, $4, 2, 'published')`,
    [id, alice, at(0), at(1)],
  );
  await scene.database.query('UPDATE people SET post_count = post_count + 1 WHERE id = $1', [alice]);

  expect((await replay(scene.database, [{ id }]))[0]).toEqual({
    post: await rowOf(id),
    fact: { type: 'edited', body: 'two', basedOn: null, at: at(1) },
  });
  await editPost(scene.writing, { viewer: alice, id, body: 'three', expectedVersion: 2 });
  await deletePost(scene.writing, { viewer: alice, id });
  expect(await restorePost(scene.writing, { viewer: alice, id })).toMatchObject({ body: 'three', version: 5 });
  expect((await replay(scene.database, [{ id }]))[0]?.post).toEqual(await rowOf(id));
  expect(await scene.drift()).toEqual([]);
});
