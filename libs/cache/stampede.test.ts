import { describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { silent } from '#libs/telemetry';
import { withServer } from '../../test/servers/needs.js';
import { LEASE_MS } from './aside.js';
import { Cache, openCache } from './cache.js';
import { MemoryStore } from './memory-store.js';
import { RedisStore } from './redis-store.js';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A slow load of one row, which counts. */
function slowRow(turnsPerLoad = 20) {
  const row = {
    loads: 0,
    load: async (ids: readonly string[]): Promise<Map<string, number>> => {
      row.loads++;
      for (let turns = 0; turns < turnsPerLoad; turns++) await turn();
      return new Map(ids.map((id) => [id, 7]));
    },
  };
  return row;
}

describe('a stampede', () => {
  it.each([100, 1_000, 10_000])('of %i callers at the same moment is one load', async (callers) => {
    const cache = openCache({ mode: 'on' });
    const hot = cache.aside<number>({ prefix: 'hot.row', ttlMs: 60_000 });
    const row = slowRow();
    const answers = await Promise.all(Array.from({ length: callers }, () => hot.getMany(['1'], row.load)));
    expect(answers.every((found) => found.get('1') === 7)).toBe(true);
    expect([row.loads, cache.roundTrips]).toEqual([1, 2]);
  });

  it('of callers that come while the load is under way, and right after it, is one load', async () => {
    const cache = openCache({ mode: 'on' });
    const hot = cache.aside<number>({ prefix: 'hot.row', ttlMs: 60_000 });
    const row = slowRow();
    const answers: Promise<unknown>[] = [];
    for (let turns = 0; turns < 100; turns++) {
      answers.push(hot.getMany(['1'], row.load));
      await turn();
    }
    await Promise.all(answers);
    expect(row.loads).toBe(1);
  });

  it('on a value that nobody has is one load, too', async () => {
    const cache = openCache({ mode: 'on' });
    const hot = cache.aside<number>({ prefix: 'hot.row', ttlMs: 60_000 });
    let loads = 0;
    const none = async (): Promise<Map<string, number>> => {
      loads++;
      await turn();
      return new Map();
    };
    await Promise.all(Array.from({ length: 1_000 }, () => hot.getMany(['1'], none)));
    await hot.getMany(['1'], none);
    expect(loads).toBe(1);
  });

  it('of pages that overlap loads every row once', async () => {
    const cache = openCache({ mode: 'on' });
    const hot = cache.aside<number>({ prefix: 'hot.row', ttlMs: 60_000 });
    const loaded: string[] = [];
    const load = async (ids: readonly string[]): Promise<Map<string, number>> => {
      loaded.push(...ids);
      await turn();
      return new Map(ids.map((id) => [id, Number(id)]));
    };
    const pages = Array.from({ length: 50 }, (_, from) =>
      Array.from({ length: 20 }, (_unused, at) => String(from + at)),
    );
    const answers = await Promise.all(pages.map((page) => hot.getMany(page, load)));
    expect(answers.map((found) => [...found.keys()].sort())).toEqual(pages.map((page) => page.sort()));
    expect(loaded.length).toBe(new Set(loaded).size);
  });

  it('on a failing load fails all who joined it, and the next caller loads again', async () => {
    const cache = openCache({ mode: 'on' });
    const hot = cache.aside<number>({ prefix: 'hot.row', ttlMs: 60_000 });
    let loads = 0;
    const broken = async (): Promise<Map<string, number>> => {
      loads++;
      await turn();
      throw new Error('no');
    };
    const answers = await Promise.allSettled(Array.from({ length: 100 }, () => hot.getMany(['1'], broken)));
    expect(answers.every((answer) => answer.status === 'rejected')).toBe(true);
    expect(loads).toBe(1);
    expect((await hot.getMany(['1'], slowRow().load)).get('1')).toBe(7);
  });

  it('while there is no store to ask is one load at a time, joined only by those who come before it begins', async () => {
    const store = new MemoryStore({ bytesMax: 1_000_000, clock: Date.now });
    store.getOrLease = () => Promise.reject(new Error('down'));
    const cache = new Cache({ store });
    const hot = cache.aside<number>({ prefix: 'hot.row', ttlMs: 60_000 });
    let underWay = 0;
    let most = 0;
    let version = 0;
    const load = async (ids: readonly string[]): Promise<Map<string, number>> => {
      most = Math.max(most, ++underWay);
      const read = version;
      for (let turns = 0; turns < 10; turns++) await turn();
      underWay--;
      return new Map(ids.map((id) => [id, read]));
    };
    const answers: Promise<void>[] = [];
    for (let turns = 0; turns < 100; turns++) {
      const floor = ++version; // committed before the caller asks
      answers.push(hot.getMany(['1'], load).then((found) => expect(found.get('1')).toBeGreaterThanOrEqual(floor)));
      await turn();
    }
    await Promise.all(answers);
    expect(most).toBe(1);
  });

  it('control: without single-flight every caller loads', async () => {
    const row = slowRow();
    const kept = new Map<string, number>();
    const naive = async (): Promise<void> => {
      if (!kept.has('1')) kept.set('1', (await row.load(['1'])).get('1')!);
    };
    await Promise.all(Array.from({ length: 100 }, naive));
    expect(row.loads).toBe(100);
  });
});

withServer('redis', 'a stampede on Redis', (url) => {
  it.each([100, 1_000, 10_000])('of %i callers in two processes is one load', async (callers) => {
    // Both processes share one busy thread here, and that is no reason to lose patience: the clock stands, and a pause
    // is ten times as long.
    const caches = [1, 2].map(
      () =>
        new Cache({
          store: new RedisStore({ url, logger: silent, deadlineMs: 10_000 }),
          clock: () => 1_000_000,
          sleep: (ms) => sleep(10 * ms),
        }),
    );
    await Promise.all(caches.map((cache) => cache.ready()));
    const hot = caches.map((cache) => cache.aside<number>({ prefix: `hot.${callers}`, ttlMs: 60_000 }));
    const row = slowRow(3);
    const id = randomUUID();
    const began = performance.now();
    const answers = await Promise.all(Array.from({ length: callers }, (_, at) => hot[at % 2]!.getMany([id], row.load)));
    expect(answers.every((found) => found.get(id) === 7)).toBe(true);
    // One for each lease, whose time is Redis': on a busy machine the first may run out before its load comes to an end.
    expect(row.loads).toBeLessThanOrEqual(1 + Math.floor((performance.now() - began) / LEASE_MS));
    await Promise.all(caches.map((cache) => cache.close()));
  });
});
