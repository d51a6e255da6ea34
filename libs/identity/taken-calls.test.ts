import { describe, expect, it } from '@jest/globals';
import { TakenCalls } from './taken-calls.js';

const believedMs = 40_000;
let now = 0;
const calls = (callsMax?: number): TakenCalls => {
  now = Date.UTC(2026, 10, 20);
  return new TakenCalls({ believedMs, skewMs: 5_000, callsMax, now });
};
/** Signed `agoS` before it comes. */
const take = (taken: TakenCalls, id: string, agoS = 0): boolean =>
  taken.take(id, Math.floor(now / 1_000) - agoS, now) === undefined;

describe('calls that were taken', () => {
  it('are taken once for as long as they are believed, and for no longer than twice that known', () => {
    const taken = calls();
    expect([take(taken, 'a'), take(taken, 'a')]).toEqual([true, false]);
    for (let s = 1; s <= 40; s += 1) {
      now += 1_000;
      expect([take(taken, `a${s}`), take(taken, 'a', s)]).toEqual([true, false]);
    }
    now += 2 * believedMs;
    expect([take(taken, 'b'), taken.size <= 42]).toEqual([true, true]);
    now += believedMs;
    expect([take(taken, 'c'), taken.size]).toEqual([true, 2]);
  });

  it('are bounded in number: of what is forgotten before its time nothing is taken again, nor what was signed before it', () => {
    const taken = calls(100);
    for (let n = 0; n < 1_000; n += 1) {
      now += 100;
      expect([take(taken, `n${n}`), taken.size <= 200]).toEqual([true, true]);
    }
    // The last hundred and more are known by their names, the others by when they were signed, and one that is new and as old is with them.
    const whys = Array.from({ length: 1_000 }, (_, n) =>
      taken.take(`n${n}`, Math.floor((now - (999 - n) * 100) / 1_000), now),
    );
    expect(whys).toEqual(whys.map((_, n) => (n < 900 ? 'forgotten' : 'replayed')));
    expect([take(taken, 'late', 25), take(taken, 'new, though signed a while ago', 5), take(taken, 'new')]).toEqual([
      false,
      true,
      true,
    ]);
  });

  it('control: a set that is emptied when it is full takes again what it has forgotten', () => {
    const naive = new Set<string>();
    const naivelyTaken = (id: string): boolean => {
      if (naive.size >= 100) naive.clear();
      return naive.size < naive.add(id).size;
    };
    for (let n = 0; n < 101; n += 1) naivelyTaken(`n${n}`);
    expect(naivelyTaken('n0')).toBe(true);
  });

  it('do not keep out what is new when the clock is set back by an hour, though they are full', () => {
    const taken = calls(10);
    for (let n = 0; n < 30; n += 1) take(taken, `n${n}`, 40 - n);
    now -= 3_600_000;
    for (let n = 30; n < 45; n += 1) expect([take(taken, `n${n}`), take(taken, `n${n}`)]).toEqual([true, false]);
  });

  it('are taken on while a clock is put right by seconds', () => {
    const taken = calls();
    expect(take(taken, 'a')).toBe(true);
    now -= 3_000;
    expect([take(taken, 'a'), take(taken, 'b'), take(taken, 'b')]).toEqual([false, true, false]);
  });
});
