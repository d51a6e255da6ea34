import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { newId } from '#libs/identity';
import { rebuild } from '#libs/read-model';
import { briefPause } from '../../../test/brief-pause.js';
import { notificationsModel } from './read-model.js';
import type { Scene } from './scene.contract.js';

/** A step is 200 people, so these are three. */
const PEOPLE = 450;

/** Everybody was liked by the next, once; whoever was liked again or no longer meanwhile is not among those who are looked at. */
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
  }, 60_000);
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

  it('goes on where a process was killed, while others are notified, and no read lacks one', async () => {
    const killed = async (): Promise<void> => {
      throw new Error('killed');
    };
    await expect(rebuild(scene.database, notificationsModel, { mend: false, onStep: killed })).rejects.toThrow();
    expect(await state()).toEqual({ serving: 1, building: 2, phase: 'filling', done: 200 });
    // Of somebody whose list is built already, and of somebody whose list is not.
    await scene.hear(unlike(0), unlike(449));
    let resumedAt = 0;
    let steps = 0;
    const rebuilt = await rebuild(scene.database, notificationsModel, {
      mend: false,
      pause,
      onResume: (done) => void (resumedAt = done),
      onStep: async () => {
        steps += 1;
        await scene.hear(...(steps % 2 === 1 ? [like(0), like(449)] : [unlike(0), unlike(449)]));
        for (const nth of [5, 250, 440]) expect(await shown(nth)).toEqual([`like ${posts[nth]}`]);
      },
    });
    expect(rebuilt).toEqual({ switched: true, differing: 0, resumed: true });
    expect([resumedAt, steps]).toEqual([200, 2 + 3]);
    expect(await state()).toMatchObject({ serving: 2, building: null, phase: 'idle' });
    for (const nth of [0, 5, 250, 440, 449]) expect(await shown(nth)).toEqual([`like ${posts[nth]}`]);
    await scene.hear(scene.deleted(posts[5] as string, people[5] as string));
    expect(await shown(5)).toEqual([]);
  }, 60_000);

  it('does not switch to a version that answers otherwise, until it is told to', async () => {
    await scene.database.query('DELETE FROM notifications WHERE slot = 2 AND recipient_id = $1', [people[7]]);
    expect(await rebuild(scene.database, notificationsModel, { mend: false, pause })).toMatchObject({
      switched: false,
      differing: 1,
    });
    expect(await shown(7)).toEqual([]);
    expect(await rebuild(scene.database, notificationsModel, { mend: true, pause })).toMatchObject({ switched: true });
    expect(await shown(7)).toEqual([`like ${posts[7]}`]);
  }, 60_000);
}
