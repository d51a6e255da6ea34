import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { LISTENERS } from '#libs/events';
import { openStream } from '#libs/outbox';
import { silent } from '#libs/telemetry';
import { isPast, keyOf, missing } from '../../commands/faults/stream.js';
import { startRedis, type RedisServer } from '../servers/redis.js';
import { withServer } from '../servers/needs.js';

withServer('redis', 'what the rows of faults look at on a stream', () => {
  let server: RedisServer;
  let redis: Redis;
  const key = keyOf('posts');
  beforeAll(async () => {
    server = await startRedis();
    redis = new Redis(server.port, '127.0.0.1');
  });
  afterAll(async () => {
    redis.disconnect();
    await server.stop();
  });

  /** Ten entries, of which users was given five and has acknowledged two; posts has acknowledged all. */
  async function stream(): Promise<string[]> {
    await redis.del(key);
    for (const group of LISTENERS.posts) await redis.xgroup('CREATE', key, group, '0', 'MKSTREAM');
    const ids: string[] = [];
    for (let nth = 0; nth < 10; nth += 1) ids.push((await redis.xadd(key, '*', 'event', String(nth)))!);
    await redis.xreadgroup('GROUP', 'users', 'one', 'COUNT', 5, 'STREAMS', key, '>');
    await redis.xack(key, 'users', ids[0]!, ids[1]!);
    await redis.xreadgroup('GROUP', 'posts', 'one', 'COUNT', 10, 'STREAMS', key, '>');
    await redis.xack(key, 'posts', ...ids);
    return ids;
  }

  it('a group is past what it has acknowledged with all before it, and past nothing else', async () => {
    const ids = await stream();
    const past = (group: string): Promise<boolean[]> => Promise.all(ids.map((id) => isPast(redis, key, group, id)));
    expect((await past('posts')).every(Boolean)).toBe(true);
    expect(await past('users')).toEqual(ids.map((_, nth) => nth < 2));
    expect(await past('nobody')).toEqual(ids.map(() => false));
  });

  it('nothing that a slow group needs is missing where all is trimmed that everybody has heard', async () => {
    const ids = await stream();
    const real = openStream({ redisUrl: server.url, logger: silent, listeners: LISTENERS });
    await real.kept?.('posts');
    await real.trim?.('posts');
    await real.close();
    expect(await redis.xlen(key)).toBe(8);
    expect(await missing(redis, 'posts', 'users')).toEqual([]);
    // The control: by length, which knows of no group.
    await redis.xtrim(key, 'MAXLEN', 6);
    expect(await missing(redis, 'posts', 'users')).toEqual([`posts ${ids[2]}`, `posts ${ids[3]}`]);
  });
});
