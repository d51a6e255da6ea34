import { expect, it } from '@jest/globals';
import { StepSize } from './step-size.js';

/** Steps over keys that take so long each. */
function steps(size: StepSize, msOfKey: (nth: number) => number, count: number): { keys: number; ms: number }[] {
  let done = 0;
  return Array.from({ length: count }, () => {
    const { keys } = size;
    let ms = 0;
    for (const end = done + keys; done < end; done++) ms += msOfKey(done);
    size.took(ms, keys);
    return { keys, ms };
  });
}

it('where nobody waits a step has what the model does at once', () => {
  expect(steps(new StepSize(200, undefined), () => 1_000, 3).map(({ keys }) => keys)).toEqual([200, 200, 200]);
});

it('else it begins with one key, and grows to what fits, or to a fourth of what the model does at once', () => {
  expect(steps(new StepSize(200, 25), () => 1, 7).map(({ keys }) => keys)).toEqual([1, 2, 4, 8, 16, 25, 25]);
  expect(steps(new StepSize(200, 25), () => 0, 8).map(({ keys }) => keys)).toEqual([1, 2, 4, 8, 16, 32, 50, 50]);
  // What waited for its turn each time, and told that as well, would never have more than the least.
  expect(steps(new StepSize(1_000, 200, undefined, 20), () => 11, 3).map(({ keys }) => keys)).toEqual([20, 20, 20]);
  // A key is not divided.
  expect(steps(new StepSize(200, 25), () => 90, 3).map(({ keys }) => keys)).toEqual([1, 1, 1]);
});

it('full lists behind empty ones take two steps that are too long, at most (control: four times as long with what the model does at once)', () => {
  const full = (nth: number): number => (nth < 1_000 ? 0 : 2);
  const longest = (ran: { ms: number }[]): number => Math.max(...ran.map(({ ms }) => ms));
  const ran = steps(new StepSize(200, 25), full, 60);
  expect(ran.filter(({ ms }) => ms > 25).length).toBeLessThanOrEqual(2);
  expect(longest(ran)).toBeLessThanOrEqual(100);
  expect(longest(steps(new StepSize(200, undefined), full, 6))).toBe(400);
});
