import { describe, expect, it } from '@jest/globals';
import { Cache, LIFETIME_MAX_MS, openCache } from './cache.js';
import { MemoryStore } from './memory-store.js';
import type { CacheStore } from './store.js';

interface Post {
  readonly body: string;
}

/** A cache in memory whose clock stands still, and a database that counts how often it is asked, and for what. */
function setUp(
  options: { ttlMs?: number; negativeTtlMs?: number; is?: (value: unknown) => boolean; random?: () => number } = {},
) {
  const time = { now: 1_000_000 };
  const store = new MemoryStore({ bytesMax: 10_000_000, clock: () => time.now });
  const cache = new Cache({
    store,
    clock: () => time.now,
    random: options.random ?? (() => 0),
    sleep: async (ms) => {
      time.now += ms;
    },
  });
  const posts = cache.aside<Post>({ prefix: 'posts.by-id', ttlMs: 60_000, ...options });
  const rows = new Map<string, Post>([
    ['1', { body: 'one' }],
    ['2', { body: 'two' }],
  ]);
  const loads: string[][] = [];
  const load = async (ids: readonly string[]): Promise<Map<string, Post>> => {
    loads.push([...ids]);
    return new Map(ids.flatMap((id) => (rows.has(id) ? [[id, rows.get(id)!] as const] : [])));
  };
  return { time, store, cache, posts, rows, loads, load };
}

/** Puts a text where a value belongs, as an older release or another hand would. */
async function plant(store: CacheStore, key: string, text: string): Promise<void> {
  await store.drop([key]);
  const [slot] = await store.getOrLease([key], 1_000);
  if (slot?.kind === 'leased') await store.fill([{ key, token: slot.token, value: text, ttlMs: 60_000 }]);
}

describe('reading through the cache', () => {
  it('loads what is missing once, and answers from then on without a load', async () => {
    const { posts, loads, load } = setUp();
    expect(await posts.getMany(['1', '2', '1'], load)).toEqual(new Map([['1', { body: 'one' }], ['2', { body: 'two' }]])); // prettier-ignore
    expect((await posts.getMany(['2', '1'], load)).get('2')).toEqual({ body: 'two' });
    expect(loads).toEqual([['1', '2']]);
  });

  it('asks nobody for nothing', async () => {
    const { cache, posts, loads, load } = setUp();
    expect(await posts.getMany([], load)).toEqual(new Map());
    expect([loads.length, cache.roundTrips]).toEqual([0, 0]);
  });

  it('loads only the ids that are not kept', async () => {
    const { posts, loads, load } = setUp();
    await posts.getMany(['1'], load);
    await posts.getMany(['1', '2'], load);
    expect(loads).toEqual([['1'], ['2']]);
  });

  it('knows what does not exist, for a shorter while', async () => {
    const { time, posts, rows, loads, load } = setUp({ negativeTtlMs: 5_000 });
    expect((await posts.getMany(['3'], load)).has('3')).toBe(false);
    time.now += 4_999;
    expect((await posts.getMany(['3'], load)).has('3')).toBe(false);
    expect(loads).toHaveLength(1);
    rows.set('3', { body: 'three' });
    time.now += 1;
    expect((await posts.getMany(['3'], load)).get('3')).toEqual({ body: 'three' });
  });

  it('shows what was created as soon as the key is dropped', async () => {
    const { cache, posts, rows, load } = setUp();
    await posts.getMany(['3'], load);
    rows.set('3', { body: 'three' });
    await cache.drop([posts.keyOf('3')]);
    expect((await posts.getMany(['3'], load)).get('3')).toEqual({ body: 'three' });
  });

  it('asks the store once for all that is asked in one turn of the event loop, under every prefix', async () => {
    const { cache, posts, load } = setUp();
    const users = cache.aside<Post>({ prefix: 'users.by-id', ttlMs: 60_000 });
    const readAll = (): Promise<unknown> =>
      Promise.all([
        posts.getMany(['1'], load),
        Promise.resolve().then(() => posts.getMany(['2'], load)),
        new Promise((resolve) => process.nextTick(resolve)).then(() => users.getMany(['1', '9'], load)),
      ]);
    await readAll();
    const before = cache.roundTrips;
    await readAll();
    expect(cache.roundTrips - before).toBe(1);
  });

  it('gives each caller a copy of its own, and the same shape on the first read as on the second', async () => {
    const { cache, posts, load } = setUp();
    const [first, second] = await Promise.all([posts.getMany(['1'], load), posts.getMany(['1'], load)]);
    Object.assign(first.get('1')!, { body: 'changed by a caller' });
    expect(second.get('1')).toEqual({ body: 'one' });
    expect((await posts.getMany(['1'], load)).get('1')).toEqual({ body: 'one' });

    const dates = cache.aside<{ at: unknown }>({ prefix: 'dates', ttlMs: 1_000 });
    const loadDate = async (): Promise<Map<string, { at: unknown }>> => new Map([['1', { at: new Date(0) }]]);
    const twice = [await dates.getMany(['1'], loadDate), await dates.getMany(['1'], loadDate)];
    expect(twice.map((found) => found.get('1'))).toEqual([{ at: '1970-01-01T00:00:00.000Z' }, { at: '1970-01-01T00:00:00.000Z' }]); // prettier-ignore
  });

  it('fails when the load fails, and loads again the next time', async () => {
    const { posts, loads, load } = setUp();
    const broken = async (): Promise<Map<string, Post>> => {
      throw new Error('the database is gone');
    };
    await expect(posts.getMany(['1'], broken)).rejects.toThrow('the database is gone');
    expect((await posts.getMany(['1'], load)).get('1')).toEqual({ body: 'one' });
    expect(loads).toEqual([['1']]);
  });

  it('counts a lifetime from the beginning of the load, and ends it early by up to a tenth', async () => {
    for (const [random, lifetimeMs] of [
      [() => 0, 60_000],
      [() => 0.999_999, 54_000],
    ] as const) {
      // prettier-ignore
      const { time, posts, loads, load } = setUp({ random });
      await posts.getMany(['1'], async (ids) => {
        time.now += 1_500; // slow, but within the lease
        return load(ids);
      });
      time.now += lifetimeMs - 1_501;
      await posts.getMany(['1'], load);
      expect(loads).toHaveLength(1);
      time.now += 1;
      await posts.getMany(['1'], load);
      expect(loads).toHaveLength(2);
    }
  });

  it('keeps nothing of a load that outlived its lease, and answers it all the same', async () => {
    const { time, posts, loads, load } = setUp();
    const found = await posts.getMany(['1'], async (ids) => {
      time.now += 2_000;
      return load(ids);
    });
    expect(found.get('1')).toEqual({ body: 'one' });
    await posts.getMany(['1'], load);
    expect(loads).toHaveLength(2);
  });

  it.each([
    ['no JSON', '{"body":'],
    ['an empty text', ''],
    ['another shape', '{"title":"one"}'],
    ['another type', '42'],
    ['a list', '[]'],
    ['__proto__ as a key', '{"body":"x","__proto__":{"admin":true}}'],
    ['__proto__ deep inside', '{"body":"x","more":[{"__proto__":{"admin":true}}]}'],
    ['__proto__ in disguise', '{"body":"x","\\u005f_proto_\\u005f":{"admin":true}}'],
  ])('takes a kept value that is %s for none: it is loaded, thrown away, and pollutes nothing', async (_, text) => {
    const is = (value: unknown): boolean => typeof (value as { body?: unknown }).body === 'string';
    const { store, posts, loads, load } = setUp({ is });
    await plant(store, posts.keyOf('1'), text);
    expect((await posts.getMany(['1'], load)).get('1')).toEqual({ body: 'one' });
    expect(({} as { admin?: boolean }).admin).toBeUndefined();
    await posts.getMany(['1'], load);
    await posts.getMany(['1'], load);
    expect(loads).toHaveLength(2);
  });

  it('keeps a text that only speaks of __proto__', async () => {
    const { posts, rows, loads, load } = setUp();
    rows.set('p', { body: '__proto__' });
    rows.set('q', { body: '"__proto__": {} \u0001' });
    await posts.getMany(['p', 'q'], load);
    const found = await posts.getMany(['p', 'q'], load);
    expect([...found.values()].map((post) => post.body)).toEqual(['__proto__', '"__proto__": {} \u0001']);
    expect(loads).toHaveLength(1);
  });

  it('keeps ids apart that every object has', async () => {
    const { posts, rows, load } = setUp();
    rows.set('__proto__', { body: 'proto' });
    for (let times = 0; times < 2; times++) {
      const found = await posts.getMany(['__proto__', 'constructor', 'toString'], load);
      expect([...found]).toEqual([['__proto__', { body: 'proto' }]]);
    }
  });

  it('waits a bounded time for a load that another process has begun, then loads by itself and fills nothing', async () => {
    const { store, time, posts, loads, load } = setUp();
    const [lease] = await store.getOrLease([posts.keyOf('1')], 2_000);
    const begun = time.now;
    expect((await posts.getMany(['1'], load)).get('1')).toEqual({ body: 'one' });
    expect(time.now - begun).toBe(100);
    expect(await store.getOrLease([posts.keyOf('1')], 2_000)).toMatchObject([{ kind: 'awaited', token: lease?.kind === 'leased' ? lease.token : '' }]); // prettier-ignore
    expect(loads).toEqual([['1']]);
  });

  it('refuses a lifetime beyond the bound, a prefix that is no prefix, and one that is taken', () => {
    const { cache } = setUp();
    expect(() => cache.aside({ prefix: 'a', ttlMs: LIFETIME_MAX_MS + 1 })).toThrow('1 to 60000 ms');
    expect(() => cache.aside({ prefix: 'a', ttlMs: 0 })).toThrow('1 to 60000 ms');
    expect(() => cache.aside({ prefix: 'a', ttlMs: 1, negativeTtlMs: LIFETIME_MAX_MS + 1 })).toThrow('1 to 60000 ms');
    expect(() => cache.aside({ prefix: 'a:{b}', ttlMs: 1 })).toThrow('A cache prefix takes');
    expect(() => cache.aside({ prefix: 'posts.by-id', ttlMs: 1 })).toThrow('taken');
  });
});

describe('a cache that is off', () => {
  it('passes every read to its load and every drop to nobody', async () => {
    const cache = openCache({ mode: 'off' });
    const { loads, load } = setUp();
    const posts = cache.aside<Post>({ prefix: 'posts.by-id', ttlMs: 60_000 });
    for (let times = 0; times < 2; times++) {
      expect(await posts.getMany(['1', '3', '1'], load)).toEqual(new Map([['1', { body: 'one' }]]));
      await cache.drop([posts.keyOf('1')]);
    }
    expect(loads).toEqual([['1', '3'], ['1', '3']]); // prettier-ignore
    expect(cache.roundTrips).toBe(0);
    await cache.close();
  });
});
