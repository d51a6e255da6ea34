import { beforeEach, describe, expect, it } from '@jest/globals';
import { silent } from './logger.js';
import { Outage } from './outage.js';

let now: number;
let said: [string, Record<string, unknown>][];
const outage = (everyMs?: number, otherwise?: (error: unknown) => string | undefined, overMs?: number) =>
  new Outage({
    logger: { ...silent, warn: (fields, message) => void said.push([message, fields as Record<string, unknown>]) },
    fields: { group: 'posts' },
    began: 'it fails',
    lasts: 'it still fails',
    over: 'it works again',
    clock: () => now,
    ...(everyMs === undefined ? {} : { everyMs }),
    ...(otherwise === undefined ? {} : { otherwise }),
    ...(overMs === undefined ? {} : { overMs }),
  });
const messages = () => said.map(([message]) => message);

beforeEach(() => {
  now = 5;
  said = [];
});

/** An hour of one try a second, each failing or not. */
function anHour(of: Outage, fails: (second: number) => boolean): void {
  for (let second = 0; second < 3_600; second += 1) {
    if (fails(second)) of.failed(new Error('connect ECONNREFUSED'));
    else of.succeeded();
    now += 1_000;
  }
}

describe('an outage', () => {
  it('of an hour is told when it begins, once a minute, and when it is over, with a stack only at first', () => {
    const of = outage();
    anHour(of, () => true);
    of.succeeded();
    of.succeeded();
    expect(messages()).toEqual(['it fails', ...Array<string>(59).fill('it still fails'), 'it works again']);
    expect(said[0]![1]).toEqual({ group: 'posts', err: expect.any(Error) });
    expect(said[1]![1]).toEqual({
      group: 'posts',
      reason: 'Error: connect ECONNREFUSED',
      failures: 61,
      forMs: 60_000,
    });
    expect(said.at(-1)![1]).toEqual({ group: 'posts', failures: 3_600, forMs: 3_600_000 });
  });

  it('that comes and goes every second is told as seldom', () => {
    anHour(outage(), (second) => second % 2 === 0);
    expect(messages()).toHaveLength(120);
  });

  it('control: told at every failure it is a line a second', () => {
    anHour(outage(0), () => true);
    expect(messages()).toHaveLength(3_600);
  });

  it('that turns out to be something else is told at once what it is, and each minute; over is over', () => {
    const of = outage(undefined, (error) => (String(error).includes('WRONGPASS') ? 'it refuses us' : undefined));
    anHour(of, (second) => {
      if (second >= 130) return false;
      if (second >= 10) {
        of.failed(new Error('WRONGPASS'));
        return second % 2 === 0;
      }
      return true;
    });
    expect(messages().slice(0, 2)).toEqual(['it fails', 'it refuses us']);
    expect(new Set(messages())).toEqual(new Set(['it fails', 'it refuses us', 'it works again']));
    // However it changes: of each kind one a minute, and what ends it.
    expect(messages().length).toBeLessThanOrEqual(4 * 3);
  });

  it('is over when nothing has failed for so long, each time; control: else only who knows says so', async () => {
    const of = outage(0, undefined, 20);
    for (const ended of [1, 2]) {
      of.failed(new Error('ECONNREFUSED'));
      of.failed(new Error('ECONNREFUSED'));
      for (
        const end = Date.now() + 10_000;
        messages().filter((one) => one === 'it works again').length < ended && Date.now() < end;
      )
        await new Promise((go) => setTimeout(go, 5));
    }
    const once = ['it fails', 'it still fails', 'it works again'];
    expect(messages()).toEqual([...once, ...once]);
    outage(0).failed(new Error('ECONNREFUSED'));
    await new Promise((go) => setTimeout(go, 60));
    expect(messages()).toEqual([...once, ...once, 'it fails']);
  });

  it('that never was is not told', () => {
    anHour(outage(), () => false);
    expect(messages()).toEqual([]);
  });
});
