import { beforeEach, describe, expect, it } from '@jest/globals';
import { ShortTurns } from './short-turns.js';

/** A clock on which only work takes time: 1 ms a piece. */
let now: number;
let done: number[];
beforeEach(() => {
  now = 0;
  done = [];
});
const clock = () => now;
const piece = (nth: number) => () => {
  now += 1;
  done.push(nth);
};
/** Until the next turn of the event loop. */
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

describe('answers that come together', () => {
  const MANY = 60;

  it('are gone on with a few in each turn, in their order; control: with no end to a turn all of them at once', async () => {
    const turns = new ShortTurns(clock);
    for (let nth = 0; nth < MANY; nth += 1) turns.take(0, piece(nth));
    expect(done).toEqual([0, 1]);
    let most = 0;
    for (let before = done.length; turns.waiting > 0; before = done.length) {
      await turn();
      most = Math.max(most, done.length - before);
    }
    expect(done).toEqual(Array.from({ length: MANY }, (_, nth) => nth));
    expect(most).toBeLessThanOrEqual(3);
    done = [];
    const naive = new ShortTurns(() => 0);
    for (let nth = 0; nth < MANY; nth += 1) naive.take(0, piece(nth));
    expect(done).toHaveLength(MANY);
  });

  it('what one starts is done before the next begins, so that it counts', async () => {
    const turns = new ShortTurns(clock);
    const later: string[] = [];
    const starts = (name: string) => () => {
      now += 1;
      later.push(`${name} begins`);
      void Promise.resolve()
        .then(() => {})
        .then(() => later.push(`${name} ends`));
    };
    turns.take(0, piece(0));
    turns.take(0, piece(1));
    for (const name of ['a', 'b', 'c']) turns.take(0, starts(name));
    while (turns.waiting > 0) await turn();
    await turn();
    expect(later).toEqual(['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends']);
  });

  it('wait while clients connect, and not for good where they go on with it; control: with no new client they do not', async () => {
    const held = new ShortTurns(clock);
    for (let nth = 0; nth < 20; nth += 1) held.take(0, piece(nth));
    held.connected();
    await turn();
    const before = done.length;
    for (let turned = 0; turned < 20; turned += 1) {
      held.connected();
      await turn();
    }
    expect(done).toHaveLength(before);
    // Where they go on with it, a fifth of the time is theirs, and what they have not used, up to 100 ms.
    const since = now;
    let heldMs = 0;
    for (let turned = 0; held.waiting > 0 && turned < 1_000; turned += 1) {
      const before = done.length;
      held.connected();
      await turn();
      if (done.length === before) heldMs += 1;
      now += 1;
    }
    expect(heldMs).toBeGreaterThan(100);
    expect(heldMs).toBeLessThanOrEqual(102 + 0.2 * (now - since));
    done = [];
    const free = new ShortTurns(clock);
    for (const nth of [3, 4, 5]) free.take(0, piece(nth));
    while (free.waiting > 0) await turn();
    expect(done).toEqual([3, 4, 5]);
  });

  it('have half of each turn, however long it takes to read what clients send; control: with nothing to read a few are enough', async () => {
    const mostBeside = async (readingMs: number) => {
      const turns = new ShortTurns(clock);
      let isOver = false;
      const read = () => {
        now += readingMs;
        if (!isOver) setImmediate(read);
      };
      setImmediate(read);
      for (let nth = 0; nth < 200; nth += 1) turns.take(0, piece(nth));
      let most = 0;
      for (let before = done.length; turns.waiting > 0; before = done.length) {
        await turn();
        most = Math.max(most, done.length - before);
      }
      isOver = true;
      return most;
    };
    expect(await mostBeside(40)).toBeGreaterThanOrEqual(40);
    expect(await mostBeside(0)).toBeLessThanOrEqual(3);
  });

  it('of those that wait, whose request has to be answered first is first; control: of equals, who came first', async () => {
    const turns = new ShortTurns(clock);
    for (const [nth, deadline] of [1, 1, 30, 20, 20, 10].entries()) turns.take(deadline, piece(nth));
    while (turns.waiting > 0) await turn();
    expect(done).toEqual([0, 1, 5, 3, 4, 2]);
  });
});
