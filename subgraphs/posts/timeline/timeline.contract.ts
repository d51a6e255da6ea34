import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { newId } from '#libs/identity';
import { rebuild } from '#libs/read-model';
import { silent } from '#libs/telemetry';
import type { Database, Statements } from '#libs/database';
import type { DomainEvent } from '#libs/events';
import { Failure } from '#libs/failure';
import type { CountedPost } from '../post.js';
import { homePage, homePageFromSource } from '../read/home.queries.js';
import type { Scene } from '../scene.contract.js';
import { deletePost } from '../write/delete-post.js';
import { publishPost } from '../write/publish-post.js';
import { restorePost } from '../write/restore-post.js';
import { briefPause } from '../../../test/brief-pause.js';
import { SEED } from '../../../test/seed.js';
import * as bulk from '../bulk.js';
import { postsGauges } from '../gauges.js';
import { backfillStep } from './backfill.js';
import { buildAllMissing } from './build.js';
import { deliverStep, pushPost } from './deliver.js';
import type { TimelineLimits } from './lists.js';
import { homeTimelineModel } from './read-model.js';
import { TimelineWorker } from './worker.js';

/** So small that five people meet every bound: two followers are many, four posts are a list, two followers a slice. */
export const SMALL: TimelineLimits = { pushMax: 2, length: 4, trimEvery: 1, sliceMax: 2 };

const PEOPLE = 5;
const who = fc.nat({ max: PEOPLE - 1 });
const nth = fc.nat({ max: 20 });
const ACT = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant('publish' as const), who, whom: who, nth }) },
  { weight: 8, arbitrary: fc.record({ do: fc.constantFrom('follow' as const, 'work' as const), who, whom: who, nth }) },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constantFrom(
        'unfollow' as const,
        'block' as const,
        'unblock' as const,
        'delete' as const,
        'restore' as const,
      ),
      who,
      whom: who,
      nth,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constantFrom('leave' as const, 'rebuild' as const), who, whom: who, nth }),
  },
);
type Act = typeof ACT extends fc.Arbitrary<infer A> ? A : never;

type ReadHome = (
  database: Statements,
  viewer: string,
  page: { after: string | undefined; take: number },
) => Promise<CountedPost[]>;

/** Whatever five people do, in whatever order it is worked off: the list is the truth, and on the way there shows nothing that is not. */
export function timelines(open: () => Promise<Scene>, { runs }: { readonly runs: number }): void {
  let scene: Scene;
  beforeAll(async () => {
    scene = await open();
  });
  afterAll(() => scene?.close());

  const story = (read: ReadHome) =>
    fc.asyncProperty(fc.array(ACT, { minLength: 15, maxLength: 40 }), async (acts) => {
      const people = await Promise.all(Array.from({ length: PEOPLE }, () => scene.person()));
      const teller = new Teller(scene, people);
      for (const act of acts) {
        await teller.do(act);
        const viewer = people[act.nth % PEOPLE] as string;
        await onlyWhatMayBeSeen(scene, read, viewer);
      }
      await settle(scene);
      for (const viewer of people) await isTheTruth(scene, read, viewer);
    });

  it('equal the SQL truth after any follows, blocks, posts and deletions, and never show what may not be seen', async () => {
    await fc.assert(story(homePage), { seed: SEED, numRuns: runs, endOnFailure: true });
  }, 300_000);

  it('somebody who was seen to follow before they were heard of has a list, without a start of posts', async () => {
    const worker = new TimelineWorker({ database: scene.database, logger: silent, limits: SMALL });
    try {
      worker.wake();
      await worker.settled();
      const followee = await scene.person();
      const userId = newId();
      await scene.hear('follow-started', {
        followerId: userId,
        followeeId: followee,
        followedAt: new Date().toISOString(),
      });
      await scene.hear('user-registered', { userId, handle: 'late' });
      await worker.settled();
      expect(await scene.database.query('SELECT FROM home_timelines WHERE user_id = $1', [userId])).toHaveLength(1);
    } finally {
      await worker.close();
    }
  });

  it('a registration that is told again makes nobody look at those who came after', async () => {
    const first = await scene.person();
    const worker = new TimelineWorker({ database: scene.database, logger: silent, limits: SMALL });
    const lists = (ids: string[]) =>
      scene.database.query('SELECT FROM home_timelines WHERE user_id = ANY($1::uuid[])', [ids]);
    try {
      worker.wake();
      await worker.settled();
      const later = Array.from({ length: 30 }, () => newId());
      await bulk.loadPeople(scene.database, later);
      await scene.hear('user-registered', { userId: first, handle: 'again' });
      await worker.settled();
      expect([await lists([first]), await lists(later)]).toMatchObject([[{}], []]);
    } finally {
      await worker.close();
    }
    // The next start finds them.
    const next = new TimelineWorker({ database: scene.database, logger: silent, limits: SMALL });
    next.wake();
    await next.settled();
    await next.close();
    expect((await scene.database.query('SELECT FROM home_timelines')).length).toBeGreaterThan(30);
  });

  it('whoever has no list in a version that has begun to answer is given one, without a start of posts', async () => {
    const worker = new TimelineWorker({ database: scene.database, logger: silent, limits: SMALL });
    try {
      worker.wake();
      await worker.settled();
      const late = await scene.person();
      await rebuild(scene.database, homeTimelineModel(SMALL), { mend: true, pause: settling(scene) });
      await scene.database.query('DELETE FROM home_timelines WHERE user_id = $1', [late]);
      worker.wake();
      await worker.settled();
      expect(await scene.database.query('SELECT FROM home_timelines WHERE user_id = $1', [late])).toHaveLength(1);
    } finally {
      await worker.close();
    }
  });

  it('somebody who was frozen while another version was built has a list in it when they are back, without a start of posts', async () => {
    const worker = new TimelineWorker({ database: scene.database, logger: silent, limits: SMALL });
    try {
      const leaving = await scene.person();
      const of = { userId: leaving, handle: 'x', deletionId: newId(), saga: 'orchestrated' as const };
      await scene.hear('account-frozen', of);
      await rebuild(scene.database, homeTimelineModel(SMALL), { mend: true, pause: settling(scene) });
      worker.wake();
      await worker.settled();
      const lists = `SELECT FROM home_timelines JOIN read_models ON name = 'home-timeline' AND slot = serving WHERE user_id = $1`;
      expect(await scene.database.query(lists, [leaving])).toEqual([]);
      await scene.hear('account-thawed', of);
      await worker.settled();
      expect(await scene.database.query(lists, [leaving])).toHaveLength(1);
    } finally {
      await worker.close();
    }
  });

  it('more newcomers than can be remembered, while everybody is looked at, have everybody looked at once more', async () => {
    const early = newId({ now: Date.parse('2025-01-01T00:00:00.000Z') });
    let tell: (events: readonly DomainEvent[]) => Promise<void> = async () => {};
    let isFirst = true;
    const database = {
      afterCommit: (listener: typeof tell) => void (tell = listener),
      query: scene.database.query.bind(scene.database),
      async transaction(work: Parameters<Database['transaction']>[0]) {
        const result = await scene.database.transaction(work);
        if (!isFirst) return result;
        isFirst = false;
        await bulk.loadPeople(scene.database, [early]);
        const newcomers = Array.from({ length: 10_000 }, () => ({
          type: 'user-registered',
          payload: { userId: newId() },
        }));
        await tell([...newcomers, { type: 'user-registered', payload: { userId: early } }] as unknown as DomainEvent[]);
        return result;
      },
    } as unknown as Database;
    const worker = new TimelineWorker({ database, logger: silent, limits: SMALL });
    try {
      worker.wake();
      await worker.settled();
    } finally {
      await worker.close();
    }
    expect(await scene.database.query('SELECT FROM home_timelines WHERE user_id = $1', [early])).toHaveLength(1);
  });

  it('one with many followers takes its turn: small posts that come after its first slice are out before it', async () => {
    const limits: TimelineLimits = { pushMax: 10_000, length: 200, trimEvery: 1_000, sliceMax: 500 };
    // Two steps: the first takes the great one and 49 others, the second what is left of both.
    expect(await smallOnesLeft(limits, 2)).toEqual({ small: 0, reached: 1_000 });
    // Control: a slice is everybody, so whoever comes after waits for all of them.
    expect(await smallOnesLeft({ ...limits, sliceMax: 10_000 }, 1)).toEqual({ small: 1, reached: 3_000 });
  });

  it('how long a post has been on its way is on a gauge, until it is delivered', async () => {
    const lag = postsGauges(scene.database).find(({ labels }) => labels?.['model'] === 'home-timeline')!;
    const [author, follower] = [await scene.person(), await scene.person()];
    await bulk.loadEdges(scene.database, [{ followerId: follower, followeeId: author }]);
    expect(await lag.read()).toBe(0);
    await scene.database.transaction((tx) => pushPost(tx, { postId: newId(), authorId: author }));
    await scene.database.query(`UPDATE timeline_work SET since = since - interval '90 s'`);
    expect(await lag.read()).toBeCloseTo(90, -1);
    await deliverStep(scene.database, SMALL);
    expect(await lag.read()).toBe(0);
  });

  /** How many of 50 small posts are still on their way after some steps, and how many lists the great one is in. */
  async function smallOnesLeft(limits: TimelineLimits, steps: number): Promise<{ small: number; reached: number }> {
    const ids = (count: number): string[] => Array.from({ length: count }, () => newId());
    const [great = '', ...authors] = ids(51);
    const followers = ids(3_000);
    const follows = [
      ...followers.map((followerId) => ({ followerId, followeeId: great })),
      ...authors.map((followeeId, nth) => ({ followerId: followers[nth] as string, followeeId })),
    ];
    await bulk.loadPeople(scene.database, [great, ...authors, ...followers]);
    await bulk.loadEdges(scene.database, follows);
    await scene.database.query('UPDATE follow_edges SET pushed = true');
    const work = [great, ...authors].map((authorId) => ({ postId: newId(), authorId }));
    for (const one of work) await scene.database.transaction((tx) => pushPost(tx, one));
    for (let step = 0; step < steps; step++) await deliverStep(scene.database, limits);
    const left = await scene.database.query<{ author: string }>('SELECT author_id AS author FROM timeline_work');
    const [row] = await scene.database.query<{ n: number }>(
      `SELECT count(*)::int AS n FROM home_entries WHERE post_id = $1
         AND slot = (SELECT serving FROM read_models WHERE name = 'home-timeline')`,
      [work[0]?.postId],
    );
    await scene.database.query('DELETE FROM timeline_work');
    return { small: left.filter(({ author }) => author !== great).length, reached: row?.n ?? 0 };
  }

  it('control: a list that is read as it was written shows what may not be seen', async () => {
    // Stories that are known to show it.
    const { failed } = await fc.check(story(asWritten), { seed: 20_261_128, numRuns: runs, endOnFailure: true });
    expect(failed).toBe(true);
  }, 300_000);
}

/** The naive way: whoever was given a post has it. */
const asWritten: ReadHome = async (database, viewer, { after, take }) => {
  const rows = await database.query<{ id: string }>(
    `SELECT post_id AS id FROM home_entries WHERE slot = (SELECT serving FROM read_models WHERE name = 'home-timeline')
       AND user_id = $1 AND post_id < $2 ORDER BY post_id DESC LIMIT $3`,
    [viewer, after ?? 'ffffffff-ffff-ffff-ffff-ffffffffffff', take],
  );
  return rows as unknown as CountedPost[];
};

class Teller {
  readonly #posts: { id: string; author: string }[] = [];

  constructor(
    private readonly scene: Scene,
    private readonly people: readonly string[],
  ) {}

  async do(act: Act): Promise<void> {
    const { scene } = this;
    const [one, other] = [this.people[act.who] as string, this.people[act.whom] as string];
    const post = this.#posts[act.nth % Math.max(1, this.#posts.length)];
    const at = new Date().toISOString();
    switch (act.do) {
      case 'publish':
        return refusalsAside(async () => {
          const { id } = await publishPost(scene.writing, { viewer: one, body: 'x', inReplyToId: null });
          this.#posts.push({ id, author: one });
          await this.tell('post-published', id, one, at);
        });
      case 'delete':
        if (post)
          await refusalsAside(async () => void (await deletePost(scene.writing, { viewer: post.author, id: post.id })));
        return;
      case 'restore':
        if (!post) return;
        return refusalsAside(async () => {
          await restorePost(scene.writing, { viewer: post.author, id: post.id });
          await this.tell('post-restored', post.id, post.author, at);
        });
      case 'follow':
        if (one !== other) await scene.hear('follow-started', { followerId: one, followeeId: other, followedAt: at });
        return;
      case 'unfollow':
        await scene.hear('follow-ended', { followerId: one, followeeId: other });
        return;
      case 'block':
        if (one === other) return;
        await scene.hear('follow-ended', { followerId: one, followeeId: other });
        await scene.hear('follow-ended', { followerId: other, followeeId: one });
        await scene.hear('block-started', { blockerId: one, blockedId: other });
        return;
      case 'unblock':
        await scene.hear('block-ended', { blockerId: one, blockedId: other });
        return;
      case 'leave':
        await scene.hear('user-deleted', { userId: one, handle: 'somebody' });
        return;
      case 'work':
        if (act.nth % 2 === 0) await deliverStep(scene.database, SMALL);
        else await backfillStep(scene.database, SMALL);
        return;
      case 'rebuild':
        await rebuild(scene.database, homeTimelineModel(SMALL), { mend: true, pause: settling(scene) });
    }
  }

  private tell(type: 'post-published' | 'post-restored', postId: string, authorId: string, at: string): Promise<void> {
    const post = { postId, authorId, body: 'x', inReplyToId: null, createdAt: at };
    return type === 'post-published' ? this.scene.hear(type, post) : this.scene.hear(type, { ...post, editedAt: null });
  }
}

/** For a rebuild that waits: what was told is done meanwhile, and some time passes. */
export function settling(scene: Scene, limits = SMALL): () => Promise<void> {
  return async () => {
    await settle(scene, limits);
    await briefPause();
  };
}

/** Works everything off. */
export async function settle(scene: Scene, limits = SMALL): Promise<void> {
  await buildAllMissing(scene.database, limits);
  while ((await backfillStep(scene.database, limits)) > 0);
  while ((await deliverStep(scene.database, limits)).posts > 0);
}

/** Every page, of every size, is the page that the posts and edges say; and so is what a page falls back to. */
export async function isTheTruth(
  scene: Scene,
  read: ReadHome,
  viewer: string,
  pages: readonly number[] = [1, 3, 50],
): Promise<void> {
  for (const take of pages) {
    let after: string | undefined;
    for (;;) {
      const page = { after, take };
      const told = await idsOf(() => read(scene.database, viewer, page));
      expect(told).toEqual(await truthOf(scene, viewer, page));
      expect(await idsOf(() => homePageFromSource(scene.database, viewer, page))).toEqual(told);
      if (typeof told === 'string' || told.length < take) break;
      after = told.at(-1);
    }
  }
}

async function onlyWhatMayBeSeen(scene: Scene, read: ReadHome, viewer: string): Promise<void> {
  const truth = await truthOf(scene, viewer, { after: undefined, take: 1_000 });
  const shown = await idsOf(() => read(scene.database, viewer, { after: undefined, take: 10 }));
  if (typeof truth === 'string') expect(shown).toEqual(truth);
  else expect((shown as string[]).filter((id) => !truth.includes(id))).toEqual([]);
}

type Page = Parameters<ReadHome>[2];

/** In the plainest SQL, which shares nothing with what it judges: ids of posts, or why there are none. */
async function truthOf({ database }: Scene, viewer: string, { after, take }: Page): Promise<string[] | string> {
  const [row] = await database.query<{ state: string | null; ids: string[] }>(
    `SELECT (SELECT state FROM people WHERE id = $1) AS state, ARRAY(
       SELECT p.id::text FROM posts p
       WHERE p.state = 'published' AND ($2::uuid IS NULL OR p.id < $2)
         AND (p.author_id = $1 OR p.author_id IN (SELECT followee_id FROM follow_edges WHERE follower_id = $1))
         AND p.author_id NOT IN (SELECT blocked_id FROM block_edges WHERE blocker_id = $1)
         AND p.author_id NOT IN (SELECT blocker_id FROM block_edges WHERE blocked_id = $1)
       ORDER BY p.id DESC LIMIT $3) AS ids`,
    [viewer, after ?? null, take],
  );
  if (row?.state === 'deleted') return 'UNAUTHENTICATED';
  return row?.state === 'frozen' ? 'ACCOUNT_FROZEN' : (row?.ids ?? []);
}

async function idsOf(read: () => Promise<CountedPost[]>): Promise<string[] | string> {
  try {
    return (await read()).map(({ id }) => id);
  } catch (error) {
    if (error instanceof Failure) return error.code;
    throw error;
  }
}

async function refusalsAside(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof Failure) || !['NOT_FOUND', 'FORBIDDEN', 'UNAUTHENTICATED'].includes(error.code)) throw error;
  }
}
