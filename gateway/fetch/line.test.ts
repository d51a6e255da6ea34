import { describe, expect, it } from '@jest/globals';
import { Line, type Waiting } from './line.js';

function started(line: Line) {
  const order: string[] = [];
  const call = (name: string, deadline: number): Waiting => ({ deadline, start: () => void order.push(name) });
  return { order, call, enter: (name: string, deadline: number) => line.enter(call(name, deadline)) };
}

describe('a line for connections', () => {
  it('lets as many in as there are places, and the next one when somebody leaves', () => {
    const line = new Line(2, 10);
    const { order, enter } = started(line);
    for (const name of ['a', 'b', 'c']) enter(name, 1);
    expect(order).toEqual(['a', 'b']);
    line.leave();
    expect(order).toEqual(['a', 'b', 'c']);
  });

  it('lets those first whose request has to be answered first, and of equals the first to come', () => {
    const line = new Line(1, 10);
    const { order, enter } = started(line);
    enter('inside', 0);
    for (const [name, deadline] of Object.entries({ a: 20, b: 10, c: 20, d: 10, e: 30, f: 15 })) enter(name, deadline);
    for (let i = 0; i < 6; i += 1) line.leave();
    expect(order.slice(1)).toEqual(['b', 'd', 'f', 'a', 'c', 'e']);
  });

  it('takes as many as may wait and refuses the next', () => {
    const line = new Line(1, 2);
    const { enter } = started(line);
    expect([enter('inside', 0), enter('a', 1), enter('b', 1), enter('c', 0)]).toEqual([true, true, true, false]);
  });

  it('forgets whoever gave up, and gives the place of nobody twice', () => {
    const line = new Line(1, 10);
    const { order, call, enter } = started(line);
    enter('inside', 0);
    const gone = call('gone', 1);
    line.enter(gone);
    enter('stays', 2);
    line.giveUp(gone);
    line.giveUp(gone);
    line.leave();
    expect(order).toEqual(['inside', 'stays']);
    line.leave();
    enter('later', 3);
    expect(order).toEqual(['inside', 'stays', 'later']);
  });

  it('two requests of two steps each: the first is done before the second begins; control: first come, first served is not', () => {
    const line = new Line(1, 10);
    const done: string[] = [];
    const naive: (() => void)[] = [];
    const doneNaive: string[] = [];
    // The second step of a request is asked for when its first one ends.
    for (const [name, deadline] of [
      ['a', 1],
      ['b', 2],
    ] as const) {
      const second: Waiting = { deadline, start: () => void done.push(`${name}2`) };
      line.enter({
        deadline,
        start: () => {
          done.push(`${name}1`);
          line.enter(second);
        },
      });
      naive.push(() => {
        doneNaive.push(`${name}1`);
        naive.push(() => void doneNaive.push(`${name}2`));
      });
    }
    for (let i = 0; i < 4; i += 1) {
      line.leave();
      naive.shift()?.();
    }
    expect(done).toEqual(['a1', 'a2', 'b1', 'b2']);
    expect(doneNaive).toEqual(['a1', 'b1', 'a2', 'b2']);
  });
});
