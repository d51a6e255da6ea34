import { describe, expect, it } from '@jest/globals';
import { Running } from './running.js';

const MAX = 1_000;
const busy = (running: Running): void => running.look(1, true, false, MAX);
const begin = (running: Running, many: number) => Array.from({ length: many }, (_, order) => running.begin(order));
const waiting = (turns: ReturnType<typeof begin>): number => turns.filter(({ ready }) => ready !== undefined).length;

describe('those who are run', () => {
  it('are as many as twice those who were there, and few at once after the event loop has been busy for long', () => {
    const running = new Running();
    expect(waiting(begin(running, 200))).toBe(72);
    // They wait for a service: more may begin at the next look, and nobody waits at the one after it.
    running.look(0.5, false, false, MAX);
    expect(running.waiting).toBe(0);
    for (let looks = 0; looks < 3; looks += 1) {
      running.look(0.5, false, false, MAX);
      begin(running, 200);
    }
    expect(running.waiting).toBe(0);
    // Busy for a moment only, and then for long.
    running.look(1, false, false, MAX);
    expect(waiting(begin(running, 100))).toBe(0);
    for (let looks = 0; looks < 20; looks += 1) busy(running);
    expect(waiting(begin(running, 200))).toBe(184);
    // Nobody came for a while.
    for (let looks = 0; looks < 20; looks += 1) running.look(0.1, false, false, MAX);
    expect(waiting(begin(running, 200))).toBe(72);
  });

  it('are not those who came last, when fewer may wait', async () => {
    const running = new Running();
    begin(running, 128);
    const told: string[] = [];
    for (const order of [3, 1, 2])
      running.begin(order).ready!.then(
        () => told.push(`${order} begins`),
        (why: Error) => told.push(`${order} ${why.message}`),
      );
    expect(running.cut(2, new Error('too many'))).toBe(1);
    await Promise.resolve();
    await Promise.resolve();
    expect([told, running.waiting, running.cut(2, new Error('too many'))]).toEqual([['3 too many'], 2, 0]);
  });

  it('begin in their order when others have ended, and a turn that is given up takes no place', async () => {
    const running = new Running();
    for (let looks = 0; looks < 20; looks += 1) busy(running);
    const first = begin(running, 16);
    const began: string[] = [];
    const later = ['c', 'a', 'b', 'd'].map((name) => {
      const turn = running.begin(name.charCodeAt(0));
      void turn.ready?.then(() => began.push(name));
      return turn;
    });
    later[1]!.end();
    first[0]!.end();
    await Promise.resolve();
    expect([began, running.waiting]).toEqual([['b'], 2]);
    for (const turn of [...first.slice(1), ...later]) turn.end();
    expect([running.inside, running.waiting]).toEqual([0, 0]);
  });

  it('keep nobody waiting for long while they wait for a service, though the event loop never sleeps; control: without looks they do', async () => {
    const running = new Running();
    for (let looks = 0; looks < 20; looks += 1) busy(running);
    const slow = begin(running, 16);
    const fast = running.begin(99);
    let hasBegun = false;
    void fast.ready!.then(() => (hasBegun = true));
    await Promise.resolve();
    // (control) Sixteen who wait three seconds each would be all that is done.
    expect(hasBegun).toBe(false);
    busy(running);
    busy(running);
    await Promise.resolve();
    expect([hasBegun, running.inside]).toEqual([true, 1]);
    // What has ended long ago leaves once.
    for (const turn of [...slow, fast]) turn.end();
    expect(running.inside).toBe(0);
  });

  it('are more at each look in which it could do more, a quarter while it hardly sleeps, twice as many when it does, and fewer before the last step has told', () => {
    const widths = (utilizations: number[]): number[] => {
      const running = new Running();
      for (let looks = 0; looks < 20; looks += 1) busy(running);
      begin(running, MAX);
      return utilizations.map((utilization) => {
        running.look(utilization, true, false, MAX);
        return running.inside;
      });
    };
    // Two looks' worth of them are there: what began before the last look has a place still.
    expect(widths([0.9, 0.9])).toEqual([20, 25]);
    expect(widths([0.5, 0.5, 0.5])).toEqual([32, 64, 128]);
    expect(widths([1, 1, 1])).toEqual([16, 16, 16]);
    // A heap that is found nearly full asks for less than was held.
    const held = new Running();
    begin(held, 100);
    held.look(0.5, false, true, MAX);
    expect(waiting(begin(held, 10))).toBe(10);
  });
});
