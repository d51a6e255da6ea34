import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { silent } from '#libs/telemetry';
import { DropsDue } from './drops-due.js';
import { CaughtUp, consume, openStream, type Consumer, type Stream } from './index.js';
import { enter, event, openScene, person, type Scene } from './scene.contract.js';

const LONG_MS = 60_000;
const awaited = [{ source: 'users', aggregate: `user:${person(1)}`, version: 1 }];

/** Whoever is killed between COMMIT and the drop leaves a mark: test/faults/killed-before-the-drop.test.ts does it. */
describe('what took effect past the stream', () => {
  let scene: Scene;
  let stream: Stream;
  let consumer: Consumer | undefined;
  let dropped: string[] = [];
  let marks: () => Promise<number>;

  beforeAll(async () => {
    scene = await openScene();
    scene.posts.afterCommit(async (events) => void dropped.push(...events.map(({ id }) => id)));
    marks = async () => (await scene.posts.query('SELECT FROM drops_due')).length;
  });
  afterAll(() => scene.close());
  beforeEach(async () => {
    await scene.empty();
    dropped = [];
    stream = openStream({ logger: silent });
  });
  afterEach(async () => {
    await consumer?.close();
    consumer = undefined;
    await stream.close();
  });

  const start = (hear = enter): Consumer =>
    (consumer = consume({
      database: scene.posts,
      stream,
      group: 'posts',
      hear: { 'profile-edited': hear },
      logger: silent,
      pausesMs: [1, 1, 1, 1],
    }));

  /** As its process leaves it that is killed between COMMIT and the drop. */
  async function killedBeforeTheDrop(marked = true): Promise<string> {
    const one = event(1, 1);
    const drops = new DropsDue({ database: scene.posts, group: 'posts', tellAgain: async () => {} });
    await scene.posts.query(
      `INSERT INTO inbox (consumer, aggregate, aggregate_version, event_id) VALUES ('posts', $1, 1, $2)`,
      [one.aggregate, one.id],
    );
    if (marked) await scene.posts.transaction((tx) => drops.mark(tx, [one]));
    return one.id;
  }

  async function until(holds: () => Promise<boolean>): Promise<void> {
    while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 10));
  }

  it('leaves no mark when its drop is done: brought, or out of the quarantine', async () => {
    let stumbles = 1;
    start(async (tx, one) => {
      if (one.aggregateVersion === 2 && stumbles-- > 0) throw new Error('not yet');
      await enter(tx, one);
    });
    await consumer!.hearNow([event(1, 1)]);
    expect([dropped.length, await marks()]).toEqual([1, 0]);
    await stream.publish([event(1, 2)]);
    await consumer!.settled();
    await until(async () => (await marks()) === 0);
    expect([await scene.effects(), dropped.length]).toEqual([['1:1', '1:2'], 2]);
  });

  it('is dropped by whoever starts next, and the mark goes; control: without one nobody does', async () => {
    const unmarked = await killedBeforeTheDrop(false);
    start();
    await consumer!.settled();
    await consumer!.close();
    expect(dropped).not.toContain(unmarked);
    await scene.empty();
    const marked = await killedBeforeTheDrop();
    start();
    await until(async () => (await marks()) === 0);
    expect(dropped).toEqual([marked]);
    // It had its effect.
    expect(await scene.effects()).toEqual([]);
  });

  it('is read past the caches by who has to be shown it, for as long as the mark is there; control: else for 5 s', async () => {
    for (const marked of [true, false]) {
      await scene.empty();
      await killedBeforeTheDrop(marked);
      let nowMs = 0;
      const reader = new CaughtUp({
        database: scene.posts,
        group: 'posts',
        sources: ['users'],
        logger: silent,
        now: () => nowMs,
      });
      const told = async () => (await reader.wait(awaited, LONG_MS)).justHeard;
      expect(await told()).toBe(true);
      nowMs = 60_000;
      expect(await told()).toBe(marked);
      await scene.posts.query('DELETE FROM drops_due');
      expect(await told()).toBe(false);
    }
  });
});
