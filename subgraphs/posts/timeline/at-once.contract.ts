import { afterAll, beforeAll, beforeEach, expect, it } from '@jest/globals';
import type { Database, Tx } from '#libs/database';
import { newId } from '#libs/identity';
import type { Part } from '#libs/saga';
import { silent } from '#libs/telemetry';
import { eraseSlice } from '../on/erase-posts.js';
import type { Scene } from '../scene.contract.js';
import { publishPost } from '../write/publish-post.js';
import { backfillStep } from './backfill.js';
import { buildMissingOf } from './build.js';
import { deliverStep, pushPost } from './deliver.js';
import { homeTimelineModel } from './read-model.js';
import { settle, SMALL } from './timeline.contract.js';
import { TimelineWorker } from './worker.js';

/** Where a transaction of somebody else is open meanwhile, so not on the one connection of an embedded database. */
export function atOnce(open: () => Promise<Scene>): void {
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

  const count = async (query: string, values: readonly unknown[] = []): Promise<number> =>
    (await scene.database.query(query, [...values])).length;
  const onItsWay = () => scene.database.transaction((tx) => pushPost(tx, { postId: newId(), authorId: author }));

  it.each([
    ['posts on their way', 'SELECT FROM timeline_work'],
    ['new edges', 'SELECT FROM follow_edges WHERE NOT pushed'],
  ])('%s that are all held are looked for again soon, though nothing tells when they are free', async (_, work) => {
    await onItsWay();
    const left = () => count(work);
    const worker = (retryMs: number) =>
      new TimelineWorker({ database: scene.database, logger: silent, limits: SMALL, retryMs });
    /** Looks while another transaction holds everything, which then ends. */
    const looksAndItEnds = async (one: TimelineWorker): Promise<void> => {
      const end = await heldOpen(scene.database, ({ transaction }) =>
        transaction((tx) => tx.query(`${work} FOR UPDATE`)),
      );
      one.wake();
      await one.settled();
      await end();
    };
    const [soon, late] = [worker(20), worker(60_000)];
    try {
      // The control: one that waits until it looks anyway.
      await looksAndItEnds(late);
      await new Promise((resolve) => setTimeout(resolve, 100));
      expect(await left()).toBe(1);

      await looksAndItEnds(soon);
      while ((await left()) > 0) await new Promise((resolve) => setTimeout(resolve, 10));
    } finally {
      await Promise.all([soon.close(), late.close()]);
    }
    await settle(scene);
  });

  it('a post that is being delivered to somebody who is erased is not in their list in the end', async () => {
    await settle(scene);
    await onItsWay();
    const end = await heldOpen(scene.database, (database) => deliverStep(database, SMALL));
    const erasing = await erasingOf(reader);
    while ((await erasing.state()) !== 'deleted') await erasing.slice();
    for (let times = 0; times < 3; times++) expect(await erasing.slice()).toMatch(/^late /);
    await end();
    // The control: an erasure that has ended by now.
    expect(await count('SELECT FROM home_entries WHERE user_id = $1', [reader])).toBe(1);
    while ((await erasing.slice()) !== undefined);
    expect(await count('SELECT FROM home_entries WHERE user_id = $1', [reader])).toBe(0);
  });

  it('a new edge that is being copied is waited for by the erasure of either of its people', async () => {
    for (const erased of ['reader', 'author']) {
      const [follower, followee] = [await scene.person(), await scene.person()];
      await publishPost(scene.writing, { viewer: followee, body: 'x', inReplyToId: null });
      await settle(scene);
      await scene.hear('follow-started', {
        followerId: follower,
        followeeId: followee,
        followedAt: new Date().toISOString(),
      });
      const end = await heldOpen(scene.database, (database) => backfillStep(database, SMALL));
      // The control: by what it can delete, there is nothing left.
      const edges = 'SELECT FROM follow_edges WHERE follower_id = $1';
      expect(await count(`${edges} FOR UPDATE SKIP LOCKED`, [follower])).toBe(0);
      const erasing = await erasingOf(erased === 'reader' ? follower : followee);
      while ((await erasing.slice()) !== 'edges');
      for (let times = 0; times < 3; times++) expect(await erasing.slice()).toBe('edges');
      await end();
      while ((await erasing.slice()) !== undefined);
      expect(await count(edges, [follower])).toBe(0);
      const left = await count('SELECT FROM home_entries WHERE user_id = $1', [follower]);
      expect([erased, left > 0]).toEqual([erased, erased === 'author']);
    }
  });

  it.each<[string, (database: Database, userId: string) => Promise<unknown>]>([
    ['by who gives a list to whoever has none', (database, userId) => buildMissingOf(database, [userId], SMALL)],
    [
      'into the version that is being built',
      async (database, userId) => {
        const [last] = await scene.database.query<{ id: string }>(
          'SELECT id FROM people WHERE id < $1 ORDER BY id DESC LIMIT 1',
          [userId],
        );
        await database.transaction((tx) => homeTimelineModel(SMALL).fill(tx, 2, last?.id ?? '', 25));
      },
    ],
  ])('a list that is written, %s, when its person is erased meanwhile, is not there in the end', async (_, build) => {
    const leaving = await scene.person();
    await settle(scene);
    await scene.database.query('DELETE FROM home_timelines WHERE user_id = $1', [leaving]);
    const goOn = await stalledAt(LISTS, scene.database, (database) => build(database, leaving));
    const erasing = await erasingOf(leaving);
    while ((await erasing.slice()) !== undefined);
    await goOn();
    expect(await count('SELECT FROM home_timelines WHERE user_id = $1', [leaving])).toBe(0);
    // The control: somebody else's is written.
    const staying = await scene.person();
    await scene.database.query('DELETE FROM home_timelines WHERE user_id = $1', [staying]);
    await (
      await stalledAt(LISTS, scene.database, (database) => build(database, staying))
    )();
    expect(await count('SELECT FROM home_timelines WHERE user_id = $1', [staying])).toBe(1);
  });

  it('a list that is about to be written holds up no slice of its person’s erasure, which waits for it in the end', async () => {
    const leaving = await scene.person();
    await settle(scene);
    await scene.database.query('DELETE FROM home_timelines WHERE user_id = $1', [leaving]);
    const goOn = await stalledAt('INSERT INTO home_entries', scene.database, (database) =>
      buildMissingOf(database, [leaving], SMALL),
    );
    const erasing = await erasingOf(leaving);
    while ((await erasing.state()) !== 'deleted') await erasing.slice();
    for (let times = 0; times < 3; times++) expect(await erasing.slice()).toMatch(/^late /);
    await goOn();
    // The control: an erasure that has ended by now.
    expect(await count('SELECT FROM home_timelines WHERE user_id = $1', [leaving])).toBe(1);
    while ((await erasing.slice()) !== undefined);
    expect(await count('SELECT FROM home_timelines WHERE user_id = $1', [leaving])).toBe(0);
  });

  /** An erasure whose slices the test calls for. */
  async function erasingOf(userId: string) {
    await scene.database.query(`UPDATE people SET state = 'frozen' WHERE id = $1`, [userId]);
    let cursor: string | undefined = '';
    return {
      async slice(): Promise<string | undefined> {
        const part = { userId, cursor } as Part;
        cursor = await scene.database.transaction((tx) => eraseSlice(tx, part));
        return cursor;
      },
      async state(): Promise<string | undefined> {
        const [row] = await scene.database.query<{ state: string }>('SELECT state FROM people WHERE id = $1', [userId]);
        return row?.state;
      },
    };
  }
}

/** Before it holds the lists of people whom it has found. */
const LISTS = 'pg_advisory_xact_lock';

/** Does this in a transaction that stands still before such a statement. Answers how it goes on. */
async function stalledAt<T>(
  statement: string,
  database: Database,
  work: (stalling: Database) => Promise<T>,
): Promise<() => Promise<T>> {
  let [stalled, goOn] = [(): void => {}, (): void => {}];
  const isStalled = new Promise<void>((resolve) => (stalled = resolve));
  const mayGoOn = new Promise<void>((resolve) => (goOn = resolve));
  const transaction: Database['transaction'] = (inner) =>
    database.transaction((tx) => {
      const query = (async (text: string, values?: unknown[]) => {
        if (text.includes(statement)) {
          // The erasure may have to wait for others of the whole server.
          await tx.query('SET LOCAL idle_in_transaction_session_timeout = 0');
          stalled();
          await mayGoOn;
        }
        return tx.query(text, values);
      }) as Tx['query'];
      return inner({ ...tx, query });
    });
  const working = work({ transaction } as Database);
  await Promise.race([isStalled, working]);
  return () => {
    goOn();
    return working;
  };
}

/** The second follows the first, since now. */
export async function authorAndReader(scene: Scene): Promise<[author: string, reader: string]> {
  const [author, reader] = [await scene.person(), await scene.person()];
  const followedAt = new Date().toISOString();
  await scene.hear('follow-started', { followerId: reader, followeeId: author, followedAt });
  return [author, reader];
}

/** Does this in a transaction that stays open, as another process would. Answers how it ends. */
export async function heldOpen<T>(database: Database, work: (held: Database) => Promise<T>): Promise<() => Promise<T>> {
  let [worked, end] = [(): void => {}, (): void => {}];
  const hasWorked = new Promise<void>((resolve) => (worked = resolve));
  const mayEnd = new Promise<void>((resolve) => (end = resolve));
  const transaction: Database['transaction'] = (inner) =>
    database.transaction(async (tx) => {
      const result = await inner(tx);
      worked();
      await mayEnd;
      return result;
    });
  const working = work({ transaction } as Database);
  await Promise.race([hasWorked, working]);
  return () => {
    end();
    return working;
  };
}
