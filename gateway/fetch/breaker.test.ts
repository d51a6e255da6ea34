import { describe, expect, it } from '@jest/globals';
import { Breaker, PROBE, REFUSED } from './breaker.js';

function breaker(failuresMax = 3) {
  let now = 1_000;
  const one = new Breaker({ failuresMax, clock: () => now, random: () => 0.5 });
  return {
    one,
    pass: (ms: number) => void (now += ms),
    fail: (times: number) => {
      for (let i = 0; i < times; i += 1) one.failed(one.begin(), false);
    },
  };
}

describe('a breaker', () => {
  it('opens after so many failures in a row, and lets one call try after a pause', () => {
    const { one, pass, fail } = breaker();
    fail(2);
    expect(one.state).toBe('closed');
    fail(1);
    expect([one.state, one.begin()]).toEqual(['open', REFUSED]);
    pass(249);
    expect(one.begin()).toBe(REFUSED);
    pass(1);
    expect([one.begin(), one.state, one.begin()]).toEqual([PROBE, 'half-open', REFUSED]);
    one.succeeded(PROBE);
    expect([one.state, one.begin() >= 0]).toEqual(['closed', true]);
  });

  it('waits twice as long after each try in vain, at most 2 s', () => {
    const { one, pass, fail } = breaker();
    fail(3);
    const pauses: number[] = [];
    for (let i = 0; i < 5; i += 1) {
      let waited = 0;
      while (!one.allows) {
        pass(1);
        waited += 1;
      }
      pauses.push(waited);
      one.failed(one.begin(), false);
    }
    expect(pauses).toEqual([250, 500, 1_000, 2_000, 2_000]);
  });

  it('that nobody asks for half a minute after its pause is closed: nothing is known any more', () => {
    const { one, pass, fail } = breaker();
    fail(3);
    pass(250 + 29_999);
    expect(one.state).toBe('open');
    pass(1);
    expect([one.state, one.begin() >= 0]).toEqual(['closed', true]);
    // As if it had never failed: it takes as many failures again.
    fail(2);
    expect(one.state).toBe('closed');
    fail(1);
    expect(one.state).toBe('open');
  });

  it('in a hurry it is tried after the first pause again; asked to hurry again and again, no later', () => {
    const { one, pass, fail } = breaker();
    fail(3);
    for (let tries = 0; tries < 3; tries += 1) {
      pass(2_000);
      one.failed(one.begin(), false);
    }
    pass(100);
    one.hurry();
    pass(249);
    one.hurry();
    expect(one.allows).toBe(false);
    pass(1);
    expect([one.begin(), one.state]).toEqual([PROBE, 'half-open']);
  });

  it('a try whose client went away is nobody’s try: the next one may, after the same pause and not at once', () => {
    const { one, pass, fail } = breaker();
    fail(3);
    pass(250);
    for (let tries = 0; tries < 3; tries += 1) {
      one.abandoned(one.begin());
      expect(one.begin()).toBe(REFUSED);
      pass(250);
    }
    expect(one.begin()).toBe(PROBE);
    // Control: one that fails waits twice as long.
    one.failed(PROBE, false);
    pass(250);
    expect(one.begin()).toBe(REFUSED);
  });

  it('an answer in between starts the count anew', () => {
    const { one, fail } = breaker();
    for (let i = 0; i < 10; i += 1) {
      fail(2);
      one.succeeded(one.begin());
    }
    expect(one.state).toBe('closed');
  });

  it('what ends together counts once: a process that ends with 64 connections opens nothing; control: counted each, it would', () => {
    const { one } = breaker();
    const calls = Array.from({ length: 64 }, () => one.begin());
    for (const call of calls) one.failed(call, false);
    expect(one.state).toBe('closed');
    const { one: each } = breaker();
    for (let i = 0; i < 64; i += 1) each.failed(each.begin(), false);
    expect(each.state).toBe('open');
  });

  it('64 that waited their whole time for nothing are no blip', () => {
    const { one } = breaker();
    const calls = Array.from({ length: 64 }, () => one.begin());
    for (const call of calls) one.failed(call, true);
    expect(one.state).toBe('open');
  });
});
