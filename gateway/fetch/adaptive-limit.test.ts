import { describe, expect, it } from '@jest/globals';
import { AdaptiveLimit } from './adaptive-limit.js';
import { Line } from './line.js';

const CAPACITY = 8;
const WORK_MS = 10;
const TIMEOUT_MS = 40;
const PEAK = CAPACITY / WORK_MS;

/**
 * A subgraph as a process with eight cores is one: whatever it has taken shares them, and what nobody waits for any more is
 * worked on to its end. More callers than places always wait. In virtual milliseconds; answers in time per ms.
 */
function goodput(places: number, limit: AdaptiveLimit | undefined, ms = 4_000): number {
  const line = new Line(places, 1_000_000);
  const working: { left: number; since: number; cohort: number; gone: boolean }[] = [];
  let now = 0;
  let good = 0;
  const caller = {
    deadline: 0,
    start: () => void working.push({ left: WORK_MS, since: now, cohort: limit?.cohort ?? 0, gone: false }),
  };
  const end = (): void => {
    line.leave();
    if (line.waiting < 10) for (let i = 0; i < 100; i += 1) line.enter(caller);
  };
  for (let i = 0; i < 200; i += 1) line.enter(caller);
  for (; now < ms; now += 1) {
    const share = Math.min(1, CAPACITY / working.length);
    for (const call of working.splice(0)) {
      call.left -= share;
      if (!call.gone && now - call.since >= TIMEOUT_MS) {
        call.gone = true;
        if (limit?.overloaded(call.cohort)) line.places = limit.places;
        end();
      }
      if (call.left > 0) working.push(call);
      else if (!call.gone) {
        // The first second is for finding the limit.
        if (now > 1_000) good += 1;
        if (limit?.answered(line.inside)) line.places = limit.places;
        end();
      }
    }
  }
  return good / (ms - 1_000);
}

describe('a limit that adapts', () => {
  it('keeps four fifths of the peak of a subgraph that can bear a tenth of the callers; control: a fixed one loses nearly all', () => {
    expect(goodput(64, new AdaptiveLimit(64))).toBeGreaterThanOrEqual(0.8 * PEAK);
    expect(goodput(64, undefined)).toBeLessThan(0.2 * PEAK);
  });

  it('begins at the most, and stays there while nothing is too much', () => {
    const limit = new AdaptiveLimit(64);
    for (let i = 0; i < 1_000; i += 1) expect(limit.answered(64)).toBe(false);
    expect(limit.places).toBe(64);
  });

  it('falls once for all that were under way together', () => {
    const limit = new AdaptiveLimit(64);
    const { cohort } = limit;
    for (let i = 0; i < 64; i += 1) limit.overloaded(cohort);
    expect(limit.places).toBe(48);
    limit.overloaded(limit.cohort);
    expect(limit.places).toBe(36);
  });

  it('rises by one for each round of answers, and only while it is used', () => {
    const limit = new AdaptiveLimit(64);
    limit.overloaded(limit.cohort);
    for (let i = 0; i < 1_000; i += 1) limit.answered(3);
    expect(limit.places).toBe(48);
    for (let i = 0; i < 49; i += 1) limit.answered(48);
    expect(limit.places).toBe(49);
  });

  it('never falls below one', () => {
    const limit = new AdaptiveLimit(4);
    for (let i = 0; i < 100; i += 1) limit.overloaded(limit.cohort);
    expect(limit.places).toBe(1);
  });
});

describe('a line whose places change', () => {
  it('takes whoever waits when there are more, and nobody new while there are fewer than are inside', () => {
    const line = new Line(1, 10);
    const order: string[] = [];
    for (const name of ['a', 'b', 'c', 'd']) line.enter({ deadline: 0, start: () => void order.push(name) });
    line.places = 3;
    expect(order).toEqual(['a', 'b', 'c']);
    line.places = 1;
    line.leave();
    line.leave();
    expect(order).toHaveLength(3);
    line.leave();
    expect(order).toEqual(['a', 'b', 'c', 'd']);
  });

  it('is emptied without going deeper for each: fifty thousand that leave as they start', () => {
    const line = new Line(1, 100_000);
    line.enter({ deadline: 0, start: () => {} });
    let started = 0;
    for (let i = 0; i < 50_000; i += 1)
      line.enter({
        deadline: 0,
        start: () => {
          started += 1;
          line.leave();
        },
      });
    line.leave();
    expect([started, line.inside]).toEqual([50_000, 0]);
  });
});
