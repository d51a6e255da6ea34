import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';

import { silent, type Logger } from '#libs/telemetry';

import { withServer } from '../../test/servers/needs.js';
import { startRedis, type RedisServer } from '../../test/servers/redis.js';
import { consume, ownStream, Relay, StreamOfAnother } from './index.js';
import { RedisStream } from './redis-stream.js';
import { enter, openScene, tell, type Scene } from './scene.contract.js';

withServer('redis', 'two graphs that were given one Redis', () => {
  let server: RedisServer;
  let redis: Redis;
  let one: Scene;
  let other: Scene;
  let opened: { close(): Promise<unknown> }[];

  beforeAll(async () => {
    [one, other] = await Promise.all([openScene(), openScene()]);
    server = await startRedis();
    redis = new Redis(server.url);
  }, 180_000);
  afterAll(async () => {
    redis.disconnect();
    await server.stop();
    await one.close();
    await other.close();
  });
  beforeEach(async () => {
    await redis.flushall();
    opened = [];
  });
  afterEach(async () => {
    for (const it of opened.reverse()) await it.close();
  });

  function streamOf(url = server.url): RedisStream {
    const stream = new RedisStream({ url, logger: silent, listeners: { users: ['posts'] } });
    opened.push(stream);
    return stream;
  }

  /** As a service starts. */
  async function own({ users }: Scene, url?: string, logger: Logger = silent): Promise<void> {
    const stream = streamOf(url);
    // What a busy machine has not connected yet says nothing.
    await expect(eventuallyAsked(stream)).resolves.toBeUndefined();
    opened.push(await ownStream({ database: users, stream, logger, everyMs: 10 }));
  }

  const eventuallyAsked = async (stream: RedisStream): Promise<void> => {
    for (;;) {
      const asked = await stream.kept('users').catch(() => undefined);
      if (asked !== undefined) return;
    }
  };

  it('the second one is refused, in words that say what to do and no password; the first may come again, and once more', async () => {
    await own(one);
    await own(one);
    const refused = own(other, server.url.replace('redis://', 'redis://default:geheim@'));
    await expect(refused).rejects.toThrow(StreamOfAnother);
    await expect(refused).rejects.toThrow(`REDIS_URL: the Redis at 127.0.0.1:${server.port}`);
    await expect(refused).rejects.toThrow('redis-cli FLUSHDB');
    await expect(refused).rejects.not.toThrow('geheim');
  });

  it('a database that has lost its id is refused, in words that bring it back', async () => {
    const IDENTITY = 'tributary:{events}:users:database';
    await own(one);
    await one.users.query('DELETE FROM database_identity');
    const refused = own(one).then(
      () => 'started',
      (error: Error) => error.message,
    );
    const says = await refused;
    // As it says.
    await one.users.query('INSERT INTO database_identity (id) VALUES ($1)', [await redis.get(IDENTITY)]);
    expect(says).toContain('the table database_identity of users is empty');
    expect(says).toContain(`redis-cli GET '${IDENTITY}'`);
    expect(says).toContain("INSERT INTO database_identity (id) VALUES ('…')");
    await own(one);
    // The control: another id is another graph's.
    await one.users.query('UPDATE database_identity SET id = gen_random_uuid()');
    await expect(own(one)).rejects.toThrow(StreamOfAnother);
    await one.users.query('UPDATE database_identity SET id = $1', [await redis.get(IDENTITY)]);
  });

  it('another number of a database is enough, and so is one that was emptied', async () => {
    await own(one);
    await own(other, `${server.url}/1`);
    await expect(own(other)).rejects.toThrow(StreamOfAnother);
    for (const it of opened.splice(0).reverse()) await it.close();
    await redis.flushall();
    await own(other);
  });

  it('is told each minute where only a Redis that came late can tell; what lost everything is marked again', async () => {
    const said: string[] = [];
    const logger = { ...silent, warn: (_: object, text: string) => void said.push(text) } as Logger;
    const away = await startRedis();
    const url = away.url;
    await away.stop();
    const stream = streamOf(url);
    opened.push(await ownStream({ database: other.users, stream, logger, everyMs: 10 }));
    const back = await startRedis({ port: away.port });
    opened.push({ close: () => back.stop() });
    const there = new Redis(back.url);
    opened.push({ close: async () => there.disconnect() });
    const KEY = 'tributary:{events}:users:database';
    await eventually(async () => (await there.get(KEY)) !== null);
    expect(said).toEqual([]);
    await there.flushall();
    await eventually(async () => (await there.get(KEY)) !== null);
    await there.set(KEY, 'another');
    await eventually(async () => said.length > 0);
    expect(said[0]).toMatch(/^REDIS_URL: the Redis at .* carries the events of another database of users/);
  });

  it('control: without it one hears what the other has told, and neither hears all of its own', async () => {
    const heard: string[] = [];
    const [first, second] = [streamOf(), streamOf()];
    for (const [scene, stream, name] of [
      [one, first, 'one'],
      [other, second, 'other'],
    ] as const) {
      opened.push(
        consume({
          database: scene.posts,
          stream,
          group: 'posts',
          hear: {
            'profile-edited': async (tx, event) => {
              heard.push(name);
              await enter(tx, event);
            },
          },
          logger: silent,
        }),
      );
    }
    const relay = new Relay({ database: one.users, stream: first, pollMs: 60_000, logger: silent });
    opened.push(relay);
    await tell(one.users, [[1, 1]]);
    await relay.settled();
    await eventually(async () => heard.length > 0);
    // Who reads for the group goes, and the other graph has its turn.
    const [reader] = heard;
    const closing = opened.splice(reader === 'one' ? 2 : 3, 1);
    for (const it of closing) await it.close();
    await tell(one.users, [[2, 1]]);
    await relay.settled();
    await eventually(async () => heard.some((name) => name !== reader));
  });
});

async function eventually(isSo: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 1_000; tries++) {
    if (await isSo()) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error('it did not come about');
}
