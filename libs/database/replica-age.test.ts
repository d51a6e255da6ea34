import { expect, it } from '@jest/globals';
import { ReplicaAge } from './replica-age.js';

/** Marks of a primary as [asked, position], and then what the replica has replayed. */
function freshAsOf(...seen: (readonly [askedMs: number, at: bigint] | bigint)[]): number | undefined {
  const age = new ReplicaAge();
  for (const one of seen)
    if (typeof one === 'bigint') age.replayed(one);
    else age.mark({ askedMs: one[0], at: one[1] });
  return age.freshAsOfMs;
}

it('has all that was acknowledged before the last mark that it has replayed', () => {
  expect(freshAsOf([0, 10n], [250, 20n], [500, 30n], 29n)).toBe(250);
  expect(freshAsOf([0, 10n], [250, 20n], 19n, [500, 30n], [750, 40n], 30n)).toBe(500);
});

it('where nothing happens it is as fresh as the primary was when it was asked last', () => {
  expect(freshAsOf([0, 10n], 10n, [250, 10n], [60_000, 10n], 10n)).toBe(60_000);
});

it('of whom nothing was marked, or who is behind all that was, nothing is known', () => {
  expect(freshAsOf(10n)).toBeUndefined();
  expect(freshAsOf([0, 10n], 9n)).toBeUndefined();
  // Another server by the same name, older than the one before.
  expect(freshAsOf([0, 10n], [250, 20n], 20n, [500, 20n], 12n)).toBeUndefined();
});

it('who is ahead of a primary that was asked later follows one that was replaced, while that one is behind or it stands there', () => {
  const age = new ReplicaAge();
  age.mark({ askedMs: 0, at: 10n });
  age.replayed(15n);
  expect(age.freshAsOfMs).toBe(0);
  age.mark({ askedMs: 250, at: 12n });
  age.replayed(15n);
  expect([age.isAhead, age.freshAsOfMs]).toEqual([true, undefined]);
  // That server lives on, and writes.
  age.replayed(16n);
  expect([age.isAhead, age.freshAsOfMs]).toEqual([true, undefined]);
  // The new one has come further by now, on another way.
  age.mark({ askedMs: 500, at: 20n });
  age.replayed(16n);
  expect([age.isAhead, age.freshAsOfMs]).toEqual([true, undefined]);
  // Made anew from it.
  age.mark({ askedMs: 750, at: 30n });
  age.replayed(30n);
  expect([age.isAhead, age.freshAsOfMs]).toEqual([false, 750]);
});

it('keeps few marks however long it lags, and none that says too much', () => {
  const age = new ReplicaAge();
  for (let nth = 0; nth < 10_000; nth += 1) age.mark({ askedMs: nth, at: BigInt(nth) });
  age.replayed(5_000n);
  expect(age.freshAsOfMs).toBeLessThanOrEqual(5_000);
  expect(age.freshAsOfMs).toBeGreaterThan(4_950);
  age.mark({ askedMs: 10_000, at: 10_000n });
  age.replayed(10_000n);
  expect(age.freshAsOfMs).toBe(10_000);
});
