import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Database, Tx } from '#libs/database';
import { Failure } from '#libs/failure';
import { newId } from '#libs/identity';
import { countersModel, DriftWatch, rebuild, reconcile, rowsOf, type Count, type Counted } from '#libs/read-model';
import { silent } from '#libs/telemetry';
import { briefPause } from '../../test/brief-pause.js';
import { withServer } from '../../test/servers/needs.js';
import { loadPeople } from './bulk.js';
import { postsCounted } from './counters.js';
import { countingUnderLikes, rebuildingCounts } from './rebuild-counts.contract.js';
import { openScene, type Scene } from './scene.contract.js';
import { refreshTrending } from './trending/refresh.js';
import { trendingPage } from './read/trending.queries.js';
import { likePost } from './write/like-post.js';
import { wholeCount } from './post.counts.js';
import { publishPost } from './write/publish-post.js';

let scene: Scene;
let people: string[];
beforeAll(async () => {
  scene = await openScene();
  people = await Promise.all(Array.from({ length: 4 }, () => scene.person()));
});
afterAll(() => scene.close());

const publish = (nth: number, inReplyToId: string | null = null): Promise<{ id: string }> =>
  publishPost(scene.writing, { viewer: people[nth] as string, body: 'x', inReplyToId });
const drift = async (mend: boolean) =>
  (await Promise.all(postsCounted.map((counted) => reconcile(scene.database, counted, { mend })))).flat();

it('a count that is wrong is found, said, and mended when that is asked for', async () => {
  const [post] = [await publish(0)];
  await publish(1, post.id);
  await likePost(scene.writing, { viewer: people[2] as string, postId: post.id });
  expect(await drift(false)).toEqual([]);

  await scene.database.query('UPDATE posts SET like_count = 7, reply_count = 0 WHERE id = $1', [post.id]);
  await scene.database.query('UPDATE people SET post_count = 3 WHERE id = $1', [people[1]]);
  const wrong = [
    { count: 'likeCount', key: post.id, says: 7, counted: 1 },
    { count: 'replyCount', key: post.id, says: 0, counted: 1 },
    { count: 'postCount', key: people[1], says: 3, counted: 1 },
  ];
  expect(await drift(false)).toEqual(wrong);
  expect(await drift(true)).toEqual(wrong);
  expect(await drift(false)).toEqual([]);
});

it('a count that is wrong is on a gauge when its row is looked at, until it is right and looked at again', async () => {
  const { database } = scene;
  const seen: number[] = [];
  /** Somebody scrapes whenever it asks. */
  const scraped = {
    service: database.service,
    async query(...statement: Parameters<Database['query']>) {
      seen.push(await watch.gauge.read());
      return database.query(...statement);
    },
  } as unknown as Database;
  const watch: DriftWatch = new DriftWatch({ database: scraped, counted: postsCounted, logger: silent, rowsMax: 2 });
  const round = async (): Promise<number> => {
    while (!(await watch.look()));
    return watch.gauge.read();
  };
  const [one, other] = [await publish(0), await publish(1)];
  expect(await round()).toBe(0);
  await database.query('UPDATE posts SET like_count = 7 WHERE id = ANY($1::uuid[])', [[one.id, other.id]]);
  await database.query('UPDATE people SET post_count = 30 WHERE id = $1', [people[1]]);
  expect(await round()).toBe(3);
  await database.query('UPDATE posts SET like_count = 0 WHERE id = $1', [one.id]);
  seen.length = 0;
  expect(await round()).toBe(2);
  expect(Math.min(...seen)).toBe(2);
  await drift(true);
  // Without a round: what was wrong is looked at again by the next look.
  await watch.look();
  expect(await watch.gauge.read()).toBe(0);
  await watch.close();
});

it('what waits for a connection in vain is looked at by the next look, as much at once (control: what takes too long is less, and passed over)', async () => {
  const { database } = scene;
  const ofPeople = postsCounted.filter(({ table }) => table === 'people');
  const all = await rowsOf(database, ofPeople[0] as Counted);
  const roundAfter = async (code: 'OVERLOADED' | 'SUBGRAPH_TIMEOUT'): Promise<number[]> => {
    let failing = true;
    const looks: number[] = [];
    const failingFirst = {
      service: database.service,
      async query(...statement: Parameters<Database['query']>) {
        const isLook = statement[0].includes(' says_0');
        if (isLook && failing) throw new Failure(code);
        const rows = await database.query(...statement);
        if (isLook) looks.push(rows.length);
        return rows;
      },
    } as unknown as Database;
    const watch = new DriftWatch({ database: failingFirst, counted: ofPeople, logger: silent, rowsMax: 4 });
    for (let time = 0; time < 2; time++) await expect(watch.look()).rejects.toThrow(new Failure(code));
    failing = false;
    while (!(await watch.look()));
    await watch.close();
    return looks;
  };
  const sum = (looks: number[]): number => looks.reduce((rows, more) => rows + more, 0);
  expect(all).toBeGreaterThan(3);
  const [inVain, tooLong] = [await roundAfter('OVERLOADED'), await roundAfter('SUBGRAPH_TIMEOUT')];
  expect([inVain[0], sum(inVain)]).toEqual([4, all]);
  expect([tooLong[0], sum(tooLong)]).toEqual([1, all - 1]);
});

it('where everybody would wait for it, a look is at a hundred rows, and reconcile looks at as many as fit (control: else at all of these)', async () => {
  const { database } = scene;
  const ofPeople = postsCounted.filter(({ table }) => table === 'people');
  const [counted] = ofPeople as [Counted];
  await loadPeople(
    database,
    Array.from({ length: 250 }, () => newId()),
  );
  const all = await rowsOf(database, counted);
  const looks: number[] = [];
  const seen = {
    service: database.service,
    kind: database.kind,
    async query(...statement: Parameters<Database['query']>) {
      const rows = await database.query(...statement);
      looks.push(rows.length);
      return rows;
    },
  } as unknown as Database;
  const watch = new DriftWatch({ database: seen, counted: ofPeople, logger: silent, everyMs: 1 });
  watch.start();
  while (looks.length < 3) await briefPause();
  await watch.close();
  expect(looks.slice(0, 3)).toEqual([100, 100, all - 200]);

  const stepsOf = async (stepMs: number | undefined): Promise<number[]> => {
    const steps: number[] = [];
    await reconcile(database, counted, { mend: false, stepMs, onStep: (rows) => void steps.push(rows) });
    return steps;
  };
  expect(await stepsOf(undefined)).toEqual([all]);
  expect(await stepsOf(0.001)).toEqual([...Array<number>(Math.floor(all / 20)).fill(20), all % 20].filter(Boolean));
});

it('reconcile looks at no fewer rows because its turn comes late', async () => {
  const { database } = scene;
  const [counted] = postsCounted.filter(({ table }) => table === 'people') as [Counted];
  await loadPeople(
    database,
    Array.from({ length: 250 }, () => newId()),
  );
  const [stepMs, waitMs] = [200, 220];
  const wait = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, waitMs));
  const busy: Pick<Database, 'query' | 'transaction'> = {
    query: (...statement) => wait().then(() => database.query(...statement)),
    transaction: (work) => wait().then(() => database.transaction(work)),
  };
  const steps: number[] = [];
  await reconcile(busy, counted, { mend: false, stepMs, onStep: (rows) => void steps.push(rows) });
  expect(Math.max(...steps)).toBeGreaterThan(20);
  expect(steps.length).toBeLessThan(Math.floor((await rowsOf(database, counted)) / 20));
});

it('trending posts go by the counts that answer', async () => {
  const { database, writing } = scene;
  const post = await publish(0);
  await likePost(writing, { viewer: people[2] as string, postId: post.id });
  const trends = async (): Promise<boolean> => {
    await refreshTrending(database, 0);
    return (await trendingPage(database, null, { after: undefined, take: 100 })).posts.some(
      (one) => one.post.id === post.id,
    );
  };
  await database.query('UPDATE posts SET like_count = 0 WHERE id = $1', [post.id]);
  expect(await trends()).toBe(false);
  const [ofPosts] = postsCounted as [Counted];
  expect(await rebuild(database, countersModel(ofPosts), { mend: true, pause: briefPause })).toMatchObject({
    switched: true,
  });
  expect(await trends()).toBe(true);
  await drift(true);
});

describe('counts built anew, embedded', () => rebuildingCounts(() => openScene()));
withServer('postgres', 'counts built anew, on PostgreSQL', (adminUrl) => {
  rebuildingCounts(() => openScene(adminUrl));
  countingUnderLikes(() => openScene(adminUrl));
});

withServer('postgres', 'a count that is compared while others like', (adminUrl) => {
  let other: Scene;
  let author: string;
  beforeAll(async () => {
    other = await openScene(adminUrl);
    author = await other.person();
  });
  afterAll(() => other?.close());

  const [ofPosts] = postsCounted as [Counted];
  const published = async (): Promise<string> =>
    (await publishPost(other.writing, { viewer: author, body: 'x', inReplyToId: null })).id;
  const like = async (postId: string): Promise<void> => {
    await likePost(other.writing, { viewer: await other.person(), postId });
  };
  const likesOf = async (id: string): Promise<number> => {
    const [row] = await other.database.query<{ likes: number }>(
      `SELECT ${wholeCount('likes', 'p')} AS likes FROM posts p WHERE id = $1`,
      [id],
    );
    return row?.likes ?? -1;
  };

  it('is compared at one moment: a like that commits meanwhile is no drift', async () => {
    const post = await published();
    const likes = ofPosts.counts['likeCount'] as Count;
    // Half a second between what the row says and what is counted.
    const late = `SELECT ${likes.pending} FROM pg_sleep(CASE WHEN t.id = '${post}' THEN 0.5 ELSE 0 END)`;
    const slow: Counted = { ...ofPosts, counts: { likeCount: { ...likes, pending: late } } };
    const looking = reconcile(other.database, slow, { mend: false });
    await new Promise((resolve) => setTimeout(resolve, 100));
    await like(post);
    expect(await looking).toEqual([]);
    expect(await likesOf(post)).toBe(1);
  });

  it('control: kept and counted by two statements, a like between them is taken for a drift', async () => {
    const post = await published();
    const kept = await likesOf(post);
    await like(post);
    const [row] = await other.database.query<{ n: number }>(
      'SELECT count(*)::int AS n FROM likes WHERE post_id = $1 AND liked',
      [post],
    );
    expect([kept, row?.n]).toEqual([0, 1]);
  });

  it.each(['before the row is held', 'while the row is held'] as const)(
    'is mended with a like that commits %s, and the like counts once',
    async (when) => {
      const post = await published();
      await like(post);
      await other.database.query('UPDATE posts SET like_count = 7 WHERE id = $1', [post]);
      let likes = 0;
      const between = async (): Promise<void> => {
        if (likes++ === 0) await like(post);
      };
      const database: Pick<Database, 'query' | 'transaction'> = {
        query: (...statement) => other.database.query(...statement),
        transaction: (work) =>
          other.database.transaction(async (tx) => {
            if (when === 'before the row is held') await between();
            const query: Tx['query'] = async (...statement) => {
              const rows = await tx.query<never>(...statement);
              await between();
              return rows;
            };
            return work({ ...tx, query });
          }),
      };
      const drift = await reconcile(database, ofPosts, { mend: true });
      expect(drift).toEqual([{ count: 'likeCount', key: post, says: 7, counted: 1 }]);
      expect(await likesOf(post)).toBe(2);
      expect(await other.drift()).toEqual([]);
    },
  );
});
