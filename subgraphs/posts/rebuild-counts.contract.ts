import { afterAll, beforeAll, expect, it } from '@jest/globals';
import type { Database, Tx } from '#libs/database';
import { newId } from '#libs/identity';
import { countersModel, rebuild, reconcile, type Counted, type ReadModel } from '#libs/read-model';
import { briefPause as pause } from '../../test/brief-pause.js';
import { Load } from '../../test/load.js';
import * as bulk from './bulk.js';
import { postsCounted } from './counters.js';
import { peopleByIds, postsByIds } from './read/post.queries.js';
import type { Scene } from './scene.contract.js';
import { deletePost } from './write/delete-post.js';
import { likePost } from './write/like-post.js';
import { publishPost } from './write/publish-post.js';
import { restorePost } from './write/restore-post.js';
import { unlikePost } from './write/unlike-post.js';

const [OF_POSTS, OF_PEOPLE] = postsCounted as [Counted, Counted];
/** So that there are some steps. */
const MODEL = countersModel(OF_POSTS, 20);
const NIL = '00000000-0000-0000-0000-000000000000';
const PEOPLE = 12;
const POSTS = 60;
/** Nobody touches it, everybody may like it; the others are written as it comes. */
const [QUIET, HOT] = [0, 1];
const LIKES_OF_QUIET = 3;

/** A store as it is after the migration, whose second versions were never built; and a reader who looks all the time. */
export function rebuildingCounts(open: () => Promise<Scene>): void {
  let scene: Scene;
  let people: string[];
  let posts: string[];

  beforeAll(async () => {
    scene = await open();
    ({ people, posts } = await fill(scene));
    await scene.database.query('UPDATE posts SET like_count_2 = NULL, reply_count_2 = NULL');
    await scene.database.query('UPDATE people SET post_count_2 = NULL');
  });
  afterAll(() => scene?.close());

  it('go on where a process was killed, under writes that count in both versions, and no read fails or is wrong', async () => {
    const { database } = scene;
    const load = new LikesAndReads(scene, people, posts);
    let steps = 0;
    const killed = async (): Promise<void> => {
      await load.some();
      if (++steps === 2) throw new Error('killed');
    };
    await expect(rebuild(database, MODEL, { mend: false, onStep: killed })).rejects.toThrow('killed');
    expect(await stateOf(scene)).toMatchObject({ serving: 1, building: 2, phase: 'filling', done: '40' });
    await load.some();

    // An embedded database has one connection: there the load comes between the steps, elsewhere at any moment.
    if (database.kind === 'server') load.goOn();
    let resumedAt = 0;
    const onResume = (done: number): void => void (resumedAt = done);
    const rebuilt = await rebuild(database, MODEL, { mend: false, pause, onResume, onStep: () => load.some() });
    expect([rebuilt, resumedAt]).toEqual([{ switched: true, differing: 0, resumed: true }, 40]);
    expect(
      await rebuild(database, countersModel(OF_PEOPLE, 5), { mend: false, pause, onStep: () => load.some() }),
    ).toEqual({
      switched: true,
      differing: 0,
      resumed: false,
    });
    await load.end();
    expect([load.wrong, load.reads > 10, load.writes > 10]).toEqual([[], true, true]);
    expect(await stateOf(scene)).toMatchObject({ serving: 2, building: null, phase: 'idle' });
    expect(await bothVersions(scene)).toEqual([]);
    expect(await scene.drift()).toEqual([]);
  });

  it('are not switched to where the versions differ, until that is asked for; the wrong one left behind hinders no write', async () => {
    const { database, writing } = scene;
    const post = posts[5] as string;
    const viewer = people[3] as string;
    await likePost(writing, { viewer, postId: post });
    const { serving } = await stateOf(scene);
    const kept = serving === 2 ? 'like_count_2' : 'like_count';
    await database.query(`UPDATE posts SET ${kept} = 0 WHERE id = $1`, [post]);
    const refused = { switched: false, differing: 1, resumed: false };
    // Also by who was slower than another process.
    let other: unknown;
    const onStep = async ({ phase }: { phase: string }): Promise<void> => {
      if (phase === 'comparing') other ??= await rebuild(database, MODEL, { mend: false, pause });
    };
    expect(await rebuild(database, MODEL, { mend: false, pause, onStep })).toEqual(refused);
    expect(other).toEqual({ ...refused, resumed: true });
    expect(await stateOf(scene)).toMatchObject({ serving, phase: 'idle', building: null });
    expect(await scene.drift()).toHaveLength(1);

    expect(await rebuild(database, MODEL, { mend: true, pause })).toMatchObject({ switched: true });
    expect(await scene.drift()).toEqual([]);
    for (let nth = 0; nth < 2; nth++) {
      await unlikePost(writing, { viewer, postId: post });
      await likePost(writing, { viewer, postId: post });
    }
    expect(await scene.drift()).toEqual([]);
    // One of them may be wrong and below zero, which nobody is shown; both may not.
    const { serving: answers } = await stateOf(scene);
    const [zero, one] = answers === 2 ? ['like_count_2', 'like_count'] : ['like_count', 'like_count_2'];
    await database.query(`UPDATE posts SET ${zero} = 0, ${one} = 1 WHERE id = $1`, [post]);
    const likers = await database.query<{ id: string }>(
      'SELECT user_id AS id FROM likes WHERE post_id = $1 AND liked LIMIT 1',
      [post],
    );
    await unlikePost(writing, { viewer: likers[0]?.id as string, postId: post });
    expect((await postsByIds(database, [post])).get(post)?.likeCount).toBe(0);
    expect(await scene.drift()).toEqual([expect.objectContaining({ id: post, says: -1 })]);
    await reconcile(database, OF_POSTS, { mend: true });
    await expect(
      database.query('UPDATE posts SET like_count = -1, like_count_2 = -1 WHERE id = $1', [post]),
    ).rejects.toThrow();
  });

  it('are begun anew where a process was killed long ago', async () => {
    const { database } = scene;
    const killed = (): void => {
      throw new Error('killed');
    };
    await expect(rebuild(database, MODEL, { mend: false, onStep: killed })).rejects.toThrow('killed');
    await database.query(`UPDATE read_models SET began_at = now() - interval '25 hours' WHERE name = $1`, [MODEL.name]);
    expect(await rebuild(database, MODEL, { mend: true, pause })).toMatchObject({
      resumed: false,
      switched: true,
    });
    expect(await scene.drift()).toEqual([]);
  });
}

/** With connections enough to like a post while it is counted. */
export function countingUnderLikes(open: () => Promise<Scene>): void {
  let scene: Scene;
  beforeAll(async () => {
    scene = await open();
  });
  afterAll(() => scene?.close());

  const likedPost = async (): Promise<string> => {
    const viewer = await scene.person();
    const { id } = await publishPost(scene.writing, { viewer, body: 'x', inReplyToId: null });
    await likePost(scene.writing, { viewer, postId: id });
    return id;
  };
  const likesOf = async (id: string): Promise<number | undefined> =>
    (await postsByIds(scene.database, [id])).get(id)?.likeCount;
  /** The database, with one like that commits after each statement of a filling. */
  const likedMeanwhile = (postId: string): Pick<Database, 'query' | 'transaction'> => ({
    query: (...statement) => scene.database.query(...statement),
    transaction: (work) =>
      scene.database.transaction((tx) => {
        const query: Tx['query'] = async (...statement) => {
          const rows = await tx.query<never>(...statement);
          if (/FROM posts|UPDATE posts/.test(statement[0]) && (await stateOf(scene)).phase === 'filling')
            await likePost(scene.writing, { viewer: await scene.person(), postId });
          return rows;
        };
        return work({ ...tx, query });
      }),
  });

  it('a like that commits while its post is held and counted is in both versions once', async () => {
    const post = await likedPost();
    // What is right is not held.
    await scene.database.query('UPDATE posts SET like_count_2 = NULL, reply_count_2 = NULL');
    const model = countersModel(OF_POSTS);
    expect(await rebuild(likedMeanwhile(post), model, { mend: false, pause })).toMatchObject({
      switched: true,
      differing: 0,
    });
    expect(await likesOf(post)).toBeGreaterThan(2);
    expect([await bothVersions(scene), await scene.drift()]).toEqual([[], []]);
  });

  it('a post whose count is right in the version that is built is not held for it', async () => {
    const { database } = scene;
    const post = await likedPost();
    await rebuild(database, countersModel(OF_POSTS), { mend: true, pause });
    const { serving } = await stateOf(scene);
    const step = await database.transaction(async (tx) => {
      await tx.query('SELECT FROM posts WHERE id = $1 FOR UPDATE', [post]);
      return database.transaction((other) => countersModel(OF_POSTS).fill(other, 3 - serving, NIL, 500));
    });
    expect(step).toMatchObject({ end: true });
  });

  it('control: rows counted at one moment and deltas at another lose it, which the comparison sees', async () => {
    const post = await likedPost();
    const twice: ReadModel = {
      ...countersModel(OF_POSTS),
      async fill(tx, slot, after) {
        const held = await tx.query<{ id: string; n: number }>(
          `SELECT id, (SELECT count(*)::int FROM likes l WHERE l.post_id = p.id AND l.liked) AS n
           FROM posts p WHERE id > $1 ORDER BY id FOR NO KEY UPDATE`,
          [after],
        );
        for (const { id, n } of held)
          await tx.query(
            `UPDATE posts SET ${slot === 2 ? 'like_count_2' : 'like_count'} = $2
               - coalesce((SELECT sum(likes) FROM count_deltas WHERE post_id = $1), 0) WHERE id = $1`,
            [id, n],
          );
        const last = held.at(-1)?.id;
        return last === undefined ? undefined : { last, keys: held.length, rows: held.length };
      },
    };
    const { serving } = await stateOf(scene);
    expect(await rebuild(likedMeanwhile(post), twice, { mend: false, pause })).toMatchObject({
      switched: false,
      differing: 1,
    });
    expect((await stateOf(scene)).serving).toBe(serving);
    expect(await scene.drift()).toEqual([]);
  });
}

async function fill(scene: Scene): Promise<{ people: string[]; posts: string[] }> {
  const { database } = scene;
  const day = Date.parse('2026-01-01T00:00:00.000Z');
  const people = Array.from({ length: PEOPLE }, (_, nth) => newId({ now: day + nth }));
  const posts = Array.from({ length: POSTS }, (_, nth) => newId({ now: day + 1_000 + nth }));
  await bulk.loadPeople(database, people);
  await bulk.loadPosts(
    database,
    posts.map((id, nth) => ({
      id,
      authorId: people[nth % PEOPLE] as string,
      body: 'x',
      createdAt: new Date(day + 1_000 + nth).toISOString(),
      inReplyToId: nth > 20 && nth % 3 === 0 ? (posts[nth % 20] as string) : null,
    })),
  );
  const likers = people.slice(0, LIKES_OF_QUIET);
  await bulk.loadLikes(
    database,
    posts.flatMap((postId) => likers.map((userId) => ({ postId, userId }))),
  );
  await bulk.recount(database);
  return { people, posts };
}

async function stateOf(
  scene: Scene,
): Promise<{ serving: number; building: number | null; phase: string; done: string }> {
  const [row] = await scene.database.query<{ serving: number; building: number | null; phase: string; done: string }>(
    'SELECT serving, building, phase, done::text FROM read_models WHERE name = $1',
    [MODEL.name],
  );
  return row as NonNullable<typeof row>;
}

/** Posts of which either version is not what the rows are. */
function bothVersions(scene: Scene): Promise<unknown[]> {
  const each = ['like_count', 'like_count_2'].map(
    (column) =>
      `p.${column} + coalesce((SELECT sum(likes) FROM count_deltas WHERE post_id = p.id), 0) IS DISTINCT FROM l.n`,
  );
  return scene.database.query(
    `SELECT p.id, p.like_count, p.like_count_2, l.n FROM posts p
     CROSS JOIN LATERAL (SELECT count(*) AS n FROM likes WHERE post_id = p.id AND liked) l WHERE ${each.join(' OR ')}`,
  );
}

/** Likes, replies, deletions and their undoing; and reads that know what they must see. */
class LikesAndReads extends Load {
  reads = 0;
  writes = 0;
  readonly wrong: unknown[] = [];
  #hot = 0;
  #nth = 0;

  constructor(
    private readonly scene: Scene,
    private readonly people: readonly string[],
    private readonly posts: readonly string[],
  ) {
    super();
  }

  override async some(): Promise<void> {
    const { writing } = this.scene;
    const nth = (this.#nth += 1);
    const viewer = this.people[3 + (nth % (PEOPLE - 3))] as string;
    const postId = this.posts[2 + ((7 * nth) % (POSTS - 2))] as string;
    await likePost(writing, { viewer: await this.scene.person(), postId: this.posts[HOT] as string });
    await likePost(writing, { viewer, postId });
    const { id } = await publishPost(writing, { viewer, body: 'reply', inReplyToId: postId });
    if (nth % 2 === 0) await unlikePost(writing, { viewer, postId });
    if (nth % 3 !== 0) await deletePost(writing, { viewer, id });
    if (nth % 3 === 1) await restorePost(writing, { viewer, id });
    this.writes += 4;
    await this.#read();
  }

  /** The quiet post never changes, the hot one only grows, and nobody loses a count. */
  async #read(): Promise<void> {
    const { database } = this.scene;
    const [quiet, hot] = [this.posts[QUIET] as string, this.posts[HOT] as string];
    const read = await postsByIds(database, [quiet, hot]);
    const [ofQuiet, ofHot] = [read.get(quiet)?.likeCount, read.get(hot)?.likeCount ?? -1];
    const person = (await peopleByIds(database, [this.people[0] as string])).get(this.people[0] as string);
    this.reads += 1;
    if (ofQuiet !== LIKES_OF_QUIET || ofHot < this.#hot || person?.postCount !== POSTS / PEOPLE)
      this.wrong.push({ ofQuiet, ofHot, hot: this.#hot, person });
    this.#hot = ofHot;
  }
}
