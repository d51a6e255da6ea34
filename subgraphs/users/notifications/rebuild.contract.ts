import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { newId } from '#libs/identity';
import { rebuild } from '#libs/read-model';
import { briefPause } from '../../../test/brief-pause.js';
import { Load } from '../../../test/load.js';
import { NIL } from './facts.js';
import { notificationsModel } from './read-model.js';
import type { Scene } from './scene.contract.js';

/** A step is 200 people, so these are three. */
const PEOPLE = 450;

/** One of each step, to whom nothing happens; a reader looks at them all the time. */
const QUIET = [5, 250, 440];
/** One of the first step and one of the last, who are liked and no longer liked meanwhile. */
const LIVELY = [0, 449];

/** Everybody was liked by the next, once. */
export function rebuilding(open: () => Promise<Scene>): void {
  let scene: Scene;
  let people: string[];
  let posts: string[];

  beforeAll(async () => {
    scene = await open();
    people = (await scene.people(PEOPLE)).toSorted();
    posts = people.map(() => newId());
    for (let from = 0; from < PEOPLE; from += 100)
      await scene.hear(...people.slice(from, from + 100).map((author, k) => like(from + k, author)));
  });
  afterAll(() => scene?.close());

  const fanOf = (nth: number): string => people[(nth + 1) % PEOPLE] as string;
  const like = (nth: number, author = people[nth] as string) => scene.liked(posts[nth] as string, author, fanOf(nth));
  const unlike = (nth: number) => scene.unliked(posts[nth] as string, fanOf(nth));
  const state = async (): Promise<unknown> => {
    const [row] = await scene.database.query(
      `SELECT serving, building, phase, done::int FROM read_models WHERE name = 'notifications'`,
    );
    return row;
  };
  const shown = async (nth: number): Promise<string[]> => (await scene.shown(people[nth] as string)).told;
  const pause = briefPause;
  const load = (): LikesAndReads =>
    new LikesAndReads({
      likes: () => scene.hear(...LIVELY.map((nth) => like(nth))),
      unlikes: () => scene.hear(...LIVELY.map((nth) => unlike(nth))),
      lacking: async (nth) => (await shown(nth)).join() !== `like ${posts[nth]}`,
    });

  it('goes on where a process was killed, while others are notified, and no read lacks one', async () => {
    const killed = async (): Promise<void> => {
      throw new Error('killed');
    };
    await expect(rebuild(scene.database, notificationsModel, { mend: false, onStep: killed })).rejects.toThrow();
    expect(await state()).toEqual({ serving: 1, building: 2, phase: 'filling', done: 200 });
    const beside = load();
    // Of somebody whose list is built already, and of somebody whose list is not.
    await beside.some();
    // An embedded database has one connection: there the load comes between the steps, elsewhere at any moment.
    if (scene.database.kind === 'server') beside.goOn();
    let resumedAt = 0;
    let steps = 0;
    const rebuilt = await rebuild(scene.database, notificationsModel, {
      mend: false,
      pause,
      onResume: (done) => void (resumedAt = done),
      onStep: async () => {
        steps += 1;
        await beside.some();
      },
    });
    await beside.end();
    expect([beside.lacking, beside.reads > 10]).toEqual([[], true]);
    expect(rebuilt).toEqual({ switched: true, differing: 0, resumed: true });
    expect([resumedAt, steps]).toEqual([200, 2 + 3]);
    expect(await state()).toMatchObject({ serving: 2, building: null, phase: 'idle' });
    await scene.hear(...LIVELY.map((nth) => like(nth)));
    for (const nth of [...LIVELY, ...QUIET]) expect(await shown(nth)).toEqual([`like ${posts[nth]}`]);
    await scene.hear(scene.deleted(posts[6] as string, people[6] as string));
    expect(await shown(6)).toEqual([]);
  });

  it('does not switch to a version that answers otherwise, until it is told to', async () => {
    await scene.database.query('DELETE FROM notifications WHERE slot = 2 AND recipient_id = $1', [people[7]]);
    expect(await rebuild(scene.database, notificationsModel, { mend: false, pause })).toMatchObject({
      switched: false,
      differing: 1,
    });
    expect(await shown(7)).toEqual([]);
    expect(await rebuild(scene.database, notificationsModel, { mend: true, pause })).toMatchObject({ switched: true });
    expect(await shown(7)).toEqual([`like ${posts[7]}`]);
  });

  it('waits for what differs once, not in every step, and is none the worse for smaller ones', async () => {
    await scene.database.query(
      `DELETE FROM notifications WHERE slot = (SELECT serving FROM read_models WHERE name = 'notifications')`,
    );
    let [pauses, compared] = [0, 0];
    const rebuilt = await rebuild(scene.database, notificationsModel, {
      mend: false,
      stepMs: 25,
      pause: () => {
        pauses += 1;
        return briefPause();
      },
      onStep: ({ phase }) => void (compared += phase === 'comparing' ? 1 : 0),
    });
    // 50 people at most; and one of the lively ones, or both, is liked no more.
    expect([rebuilt.switched, compared >= PEOPLE / 50]).toEqual([false, true]);
    expect(rebuilt.differing).toBeGreaterThanOrEqual(PEOPLE - 4);
    // The control is the number of times that each step asks again by itself: 40. Writers of before are waited for, too.
    expect(pauses).toBeLessThan(2 * 40);
    expect(await rebuild(scene.database, notificationsModel, { mend: true, pause })).toMatchObject({ switched: true });
    for (const nth of QUIET) expect(await shown(nth)).toEqual([`like ${posts[nth]}`]);
  });

  it('control: emptied and filled again in place, reads lack some meanwhile', async () => {
    const { database } = scene;
    const beside = load();
    const [row] = await database.query<{ serving: number }>(
      `SELECT serving FROM read_models WHERE name = 'notifications'`,
    );
    const slot = row?.serving as number;
    await database.query('DELETE FROM notifications WHERE slot = $1', [slot]);
    await beside.some();
    for (let after: string | undefined = NIL; after !== undefined;) {
      const from: string = after;
      const step = await database.transaction((tx) => notificationsModel.fill(tx, slot, from, 200));
      after = step?.end ? undefined : step?.last;
    }
    expect(beside.lacking).toEqual(QUIET);
    for (const nth of QUIET) expect(await shown(nth)).toEqual([`like ${posts[nth]}`]);
  });
}

/** Likes that end and come again; and reads that know what they must see. */
class LikesAndReads extends Load {
  reads = 0;
  readonly lacking: number[] = [];
  #isLiked = true;

  constructor(
    private readonly parts: {
      likes(): Promise<void>;
      unlikes(): Promise<void>;
      lacking(nth: number): Promise<boolean>;
    },
  ) {
    super();
  }

  override async some(): Promise<void> {
    const { likes, unlikes, lacking } = this.parts;
    this.#isLiked = !this.#isLiked;
    await (this.#isLiked ? likes() : unlikes());
    for (const nth of QUIET) {
      this.reads += 1;
      if (await lacking(nth)) this.lacking.push(nth);
    }
  }
}
