import { describe, expect, it } from '@jest/globals';
import { Cache, LIFETIME_MAX_MS } from './cache.js';
import { naiveReader, plainMemory, readerOf, seeded, staleReads, type PlainStore } from './freshness.contract.js';
import { MemoryStore } from './memory-store.js';
import { TroubledStore, type Trouble } from './troubled-store.contract.js';

function setUp() {
  const time = { now: 1_000_000 };
  const clock = (): number => time.now;
  const store = new TroubledStore(new MemoryStore({ bytesMax: 10_000_000, clock }));
  const cache = new Cache({ store, clock, retryMs: 1 });
  const posts = cache.aside<number>({ prefix: 'posts.by-id', ttlMs: 60_000 });
  const users = cache.aside<number>({ prefix: 'users.by-id', ttlMs: 60_000 });
  let row = 1;
  const loads = { posts: 0, users: 0 };
  return {
    time,
    store,
    cache,
    posts,
    loads,
    commit: () => void row++,
    post: async () => (await posts.getMany(['1'], async () => (loads.posts++, new Map([['1', row]])))).get('1'),
    user: async () => (await users.getMany(['1'], async () => (loads.users++, new Map([['1', row]])))).get('1'),
  };
}

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 1));
}

describe('while a drop cannot be delivered', () => {
  it('what it makes stale is neither read nor filled, and everything else is', async () => {
    const { store, cache, posts, loads, commit, post, user } = setUp();
    await post();
    await user();
    store.trouble = (call) => (call === 'drop' ? 'request lost' : 'none');
    commit();
    await cache.drop([posts.keyOf('1')]);
    expect(await post()).toBe(2);
    expect(await user()).toBe(1);
    expect(loads.users).toBe(1);
    await cache.close();
  });

  it('a load that began before it fills nothing', async () => {
    const { store, cache, posts } = setUp();
    const calls: string[] = [];
    store.trouble = (call) => {
      calls.push(call);
      return call === 'drop' ? 'request lost' : 'none';
    };
    await posts.getMany(['1'], async () => {
      await cache.drop([posts.keyOf('1')]);
      return new Map([['1', 1]]);
    });
    expect(calls).not.toContain('fill');
    await cache.close();
  });

  it('it still counts while it is on its way', async () => {
    const { store, cache, posts, commit, post } = setUp();
    await post();
    let arrive = (): void => {};
    let drops = 0;
    store.drop = async () => {
      if (++drops === 1) throw new Error('lost');
      await new Promise<void>((resolve) => (arrive = resolve));
    };
    commit();
    await cache.drop([posts.keyOf('1')]);
    await until(() => drops === 2);
    expect(await post()).toBe(2);
    arrive();
    await cache.close();
  });

  it('it is tried again until it is delivered, and then the cache is used again', async () => {
    const { time, store, cache, posts, loads, commit, post } = setUp();
    await post();
    store.trouble = () => 'request lost';
    commit();
    await cache.drop([posts.keyOf('1')]);
    expect([await post(), await post(), await post()]).toEqual([2, 2, 2]);
    expect(loads.posts).toBe(4);
    store.trouble = () => 'none';
    time.now += 1_000; // the short circuit asks again
    await until(() => store.dropped.length > 0);
    expect(store.dropped).toEqual([[posts.keyOf('1')]]);
    await until(async () => {
      const before = loads.posts;
      expect(await post()).toBe(2);
      return loads.posts === before;
    });
    await cache.close();
  });

  it('it ends by itself when everything that was kept before has run out', async () => {
    const { time, store, cache, posts, loads, post } = setUp();
    store.trouble = () => 'request lost';
    await cache.drop([posts.keyOf('1')]);
    time.now += LIFETIME_MAX_MS - 1;
    await post();
    const asked = store.roundTrips;
    await post();
    expect(store.roundTrips).toBe(asked);
    time.now += 1;
    store.trouble = () => 'none';
    await post();
    await post();
    expect(loads.posts).toBe(3);
    await cache.close();
  });

  it('more keys than are remembered become their prefix, until their lifetime is over', async () => {
    const { time, store, cache, posts, loads, post } = setUp();
    store.trouble = () => 'request lost';
    for (let at = 0; at < 11; at++) {
      await cache.drop(Array.from({ length: 1_000 }, (_, one) => posts.keyOf(`${at}-${one}`)));
    }
    store.trouble = () => 'none';
    await new Promise((resolve) => setTimeout(resolve, 10)); // a retry finds nothing to deliver
    expect(store.dropped).toEqual([]);
    const before = store.roundTrips;
    await post();
    expect(store.roundTrips).toBe(before);
    time.now += LIFETIME_MAX_MS;
    await post();
    await post();
    expect(loads.posts).toBe(2);
    await cache.close();
  });

  it('a cache that is closed tries a last time', async () => {
    const { store, cache, posts } = setUp();
    store.trouble = () => 'request lost';
    await cache.drop([posts.keyOf('1')]);
    store.trouble = () => 'none';
    await cache.close();
    expect(store.dropped).toEqual([[posts.keyOf('1')]]);
  });
});

describe('with requests and answers lost and late at random', () => {
  const outages = (random: () => number): (() => Trouble) => {
    let left = 0;
    let kind: Trouble = 'none';
    return () => {
      if (left-- <= 0) {
        kind = (['none', 'none', 'request lost', 'answer lost', 'late'] as const)[Math.floor(random() * 5)]!;
        left = Math.floor(random() * 12);
      }
      return kind;
    };
  };

  it('one process never reads older than its own acknowledged write, in thirty histories', async () => {
    let filled = 0;
    for (let seed = 1; seed <= 30; seed++) {
      let now = 1_000_000;
      const clock = (): number => (now += 5);
      const memory = new MemoryStore({ bytesMax: 10_000_000, clock });
      const store = new TroubledStore(memory);
      const cache = new Cache({ store, clock, retryMs: 2 });
      store.trouble = outages(seeded(seed));
      expect(await staleReads([readerOf(cache, 'fresh.row')], seeded(seed), 200, String(seed))).toEqual([]);
      filled += memory.bytes;
      await cache.close();
    }
    expect(filled).toBeGreaterThan(0);
  });

  it('control: cache-aside that shrugs at a lost drop reads older rows', async () => {
    let violations = 0;
    for (let seed = 1; seed <= 300 && violations === 0; seed++) {
      const trouble = outages(seeded(seed));
      const plain = plainMemory();
      const troubled = <Args extends unknown[], T>(call: (...args: Args) => Promise<T>) => {
        return async (...args: Args): Promise<T> => {
          if (trouble() !== 'none') throw new Error('lost');
          return call(...args);
        };
      };
      const store: PlainStore = { get: troubled(plain.get), set: troubled(plain.set), del: troubled(plain.del) };
      violations += (await staleReads([naiveReader(store)], seeded(seed), 200, String(seed))).length;
    }
    expect(violations).toBeGreaterThan(0);
  });
});
