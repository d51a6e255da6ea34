import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { newId } from '#libs/identity';
import { rebuild, rebuildAge } from '#libs/read-model';
import * as bulk from '../bulk.js';
import { homePage, homePageFromSource } from '../read/home.queries.js';
import type { Scene } from '../scene.contract.js';
import { publishPost } from '../write/publish-post.js';
import { buildAllMissing } from './build.js';
import { homeTimelineModel } from './read-model.js';
import type { TimelineLimits } from './lists.js';
import { briefPause } from '../../../test/brief-pause.js';
import { Load } from '../../../test/load.js';
import { isTheTruth, settle, settling } from './timeline.contract.js';

const LIMITS: TimelineLimits = { pushMax: 1_000, length: 200, trimEvery: 4, sliceMax: 10 };
const MODEL = homeTimelineModel(LIMITS);
const PEOPLE = 60;
const POSTS_EACH = 8;

/** Everybody follows the ten after them, whose posts are older than the test, and a reader reads all the time. */
export function rebuilding(open: () => Promise<Scene>): void {
  let scene: Scene;
  let people: string[];
  const day = Date.parse('2026-01-01T00:00:00.000Z');

  beforeAll(async () => {
    scene = await open();
    people = Array.from({ length: PEOPLE }, (_, nth) => newId({ now: day + nth }));
    const follows = people.flatMap((followerId, nth) =>
      Array.from({ length: 10 }, (__, k) => ({ followerId, followeeId: people[(nth + 1 + k) % PEOPLE] as string })),
    );
    const posts = Array.from({ length: PEOPLE * POSTS_EACH }, (_, nth) => ({
      id: newId({ now: day + 1_000_000 + nth }),
      authorId: people[nth % PEOPLE] as string,
      body: `post ${nth}`,
      createdAt: new Date(day + 1_000_000 + nth).toISOString(),
      inReplyToId: null,
    }));
    await bulk.loadPeople(scene.database, people);
    await bulk.loadEdges(scene.database, follows);
    await bulk.loadPosts(scene.database, posts);
    await bulk.fillTimelines(scene.database, LIMITS);
  });
  afterAll(() => scene?.close());

  const allAreTrue = async (): Promise<void> => {
    // Pages of one post each, of eighty posts, for everybody, were most of what this test took.
    for (const viewer of people) await isTheTruth(scene, homePage, viewer, [50]);
  };

  it('goes on where a process was killed, while others write and read, and no read lacks a post', async () => {
    const before = await serving(scene);
    const load = new PostsAndReads(scene, people);
    let steps = 0;
    await expect(
      rebuild(scene.database, MODEL, {
        mend: false,
        onStep: () => {
          steps += 1;
          if (steps === 2) throw new Error('killed');
        },
      }),
    ).rejects.toThrow('killed');
    expect(await serving(scene)).toMatchObject({ serving: before.serving, phase: 'filling', done: '50' });
    await load.some();

    const pause = settling(scene, LIMITS);
    const rest: number[] = [];
    let resumedAt = 0;
    const onStep = async ({ keys }: { keys: number }): Promise<void> => {
      rest.push(keys);
      await load.some();
    };
    const onResume = (done: number): void => void (resumedAt = done);
    // An embedded database has one connection: there the load comes between the steps, elsewhere at any moment.
    if (scene.database.kind === 'server') load.goOn();
    expect(await rebuild(scene.database, MODEL, { mend: false, pause, onResume, onStep })).toEqual({
      switched: true,
      differing: 0,
      resumed: true,
    });
    expect([resumedAt, rest[0]]).toEqual([50, PEOPLE - 50]);
    await load.end();
    expect(load.lacking).toEqual([]);
    expect(load.reads).toBeGreaterThan(10);
    expect(await serving(scene)).toMatchObject({ serving: 3 - before.serving, phase: 'idle', building: null });
    await settle(scene, LIMITS);
    await allAreTrue();
  }, 120_000);

  it('stopped and forgotten, it is written no more after a day; who is still at it then is told to begin again', async () => {
    const { database } = scene;
    const { serving: slot } = await serving(scene);
    const began = (hoursAgo: number) =>
      database.query(`UPDATE read_models SET began_at = now() - $1 * interval '1 hour' WHERE name = 'home-timeline'`, [
        hoursAgo,
      ]);
    /** The versions that a post which is published now is in. */
    const writtenInto = async (): Promise<number[]> => {
      const author = people[5] as string;
      const post = await publishPost(scene.writing, { viewer: author, body: 'new', inReplyToId: null });
      const { id: postId, authorId, body, inReplyToId, createdAt } = post;
      await scene.hear('post-published', { postId, authorId, body, inReplyToId, createdAt });
      await settle(scene, LIMITS);
      const rows = await database.query<{ slot: number }>(
        'SELECT DISTINCT slot FROM home_entries WHERE post_id = $1 ORDER BY slot',
        [postId],
      );
      return rows.map((row) => row.slot);
    };
    const stopped = rebuild(database, MODEL, {
      mend: false,
      onStep: () => {
        throw new Error('killed');
      },
    });
    await expect(stopped).rejects.toThrow('killed');
    expect(await writtenInto()).toEqual([1, 2]);
    const late = rebuild(database, MODEL, { mend: true, onStep: async () => void (await began(24.5)) });
    await expect(late).rejects.toThrow('began more than 24 hours ago');
    // Its last step may be under way.
    expect(await writtenInto()).toEqual([1, 2]);
    await began(26);
    expect(await writtenInto()).toEqual([slot]);
    expect(await rebuildAge(database).read()).toBeCloseTo(26 * 3_600, -2);

    const again = await rebuild(database, MODEL, { mend: false, pause: settling(scene, LIMITS) });
    expect(again).toEqual({ switched: true, differing: 0, resumed: false });
    expect(await rebuildAge(database).read()).toBe(0);
    await allAreTrue();
  }, 120_000);

  it('does not switch to a version that answers otherwise, until it is told to', async () => {
    const { serving: slot } = await serving(scene);
    await scene.database.query(
      `DELETE FROM home_entries WHERE slot = $1 AND (user_id, post_id) IN (
         SELECT user_id, post_id FROM home_entries WHERE slot = $1 AND user_id = $2 ORDER BY post_id DESC LIMIT 1)`,
      [slot, people[7]],
    );
    const pause = briefPause;
    expect(await rebuild(scene.database, MODEL, { mend: false, pause })).toEqual({
      switched: false,
      differing: 1,
      resumed: false,
    });
    expect(await serving(scene)).toMatchObject({ serving: slot, phase: 'idle', building: null });
    await expect(allAreTrue()).rejects.toThrow();
    expect(await rebuild(scene.database, MODEL, { mend: true, pause })).toMatchObject({ switched: true, differing: 1 });
    await allAreTrue();
  }, 120_000);

  it('control: emptied and filled again in place, reads lack posts meanwhile', async () => {
    const load = new PostsAndReads(scene, people);
    const { serving: slot } = await serving(scene);
    await scene.database.query('DELETE FROM home_entries WHERE slot = $1', [slot]);
    await load.some();
    await scene.database.query('DELETE FROM home_timelines WHERE slot = $1', [slot]);
    await buildAllMissing(scene.database, LIMITS);
    await load.end();
    expect(load.lacking.length).toBeGreaterThan(0);
    await settle(scene, LIMITS);
    await allAreTrue();
  }, 120_000);
}

interface State {
  readonly serving: number;
  readonly building: number | null;
  readonly phase: string;
  readonly done: string;
}

async function serving(scene: Scene): Promise<State> {
  const [row] = await scene.database.query<State>(
    `SELECT serving, building, phase, done::text FROM read_models WHERE name = 'home-timeline'`,
  );
  return row as State;
}

/** Reads and writes at once. Whoever writes is followed by nobody whom the reader looks at, so what a page must hold stays the same. */
class PostsAndReads extends Load {
  reads = 0;
  readonly lacking: string[] = [];
  readonly #must = new Map<string, string>();

  constructor(
    private readonly scene: Scene,
    private readonly people: readonly string[],
  ) {
    super();
  }

  /** Some reads, and a write whose post travels into ten lists. */
  override async some(): Promise<void> {
    const { scene, people } = this;
    // The followers of person 5 are those before; the reader looks at 10 to 50, who follow 11 to 60.
    const post = await publishPost(scene.writing, { viewer: people[5] as string, body: 'new', inReplyToId: null });
    const { id: postId, authorId, body, inReplyToId, createdAt } = post;
    await scene.hear('post-published', { postId, authorId, body, inReplyToId, createdAt });
    for (let nth = 10; nth < 50; nth += 7) {
      const viewer = people[nth] as string;
      const ids = async (read: typeof homePage): Promise<string> =>
        (await read(scene.database, viewer, { after: undefined, take: 15 })).map(({ id }) => id).join();
      if (!this.#must.has(viewer)) this.#must.set(viewer, await ids(homePageFromSource));
      this.reads += 1;
      if ((await ids(homePage)) !== this.#must.get(viewer)) this.lacking.push(viewer);
    }
  }
}
