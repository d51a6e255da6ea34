import { describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { setTimeout as sleep } from 'node:timers/promises';
import { withServer } from '../../test/servers/needs.js';
import { startRedisCluster, startWatchedRedis, tell } from '../../test/servers/redis.js';
import { connectRedis, type Connection } from './connect.js';

const PATIENCE = { connectTimeout: 500, commandTimeout: 1_000, maxRetriesPerRequest: 1 };

function open(url: string): Connection {
  const connection = connectRedis(url, PATIENCE);
  connection.on('error', () => {});
  return connection;
}

/** Again until it is taken: nothing is kept for later while there is no connection. */
async function taken(connection: Connection, key: string, value: string, tries = 400): Promise<boolean> {
  for (let nth = 0; nth < tries; nth++) {
    const answer = await connection.set(key, value).catch(() => undefined);
    if (answer === 'OK') return true;
    await sleep(50);
  }
  return false;
}

/** Not `once` of node:events, which an error ends. */
function endOf(connection: Connection): Promise<void> {
  return new Promise((resolve) => void connection.once('end', resolve));
}

describe('an address', () => {
  it('says what is wrong with the Sentinels in it', () => {
    expect(() => connectRedis('redis://127.0.0.1:1?sentinel=a&sentinels=b:c:d', PATIENCE)).toThrow(
      'A Sentinel in REDIS_URL is host:port; came "b:c:d"',
    );
  });
});

withServer('redis', 'a connection', (url) => {
  // At once: each has servers of its own, and waits for what Sentinels take their time for.
  it.concurrent('is to one Redis, or to a cluster by any of its nodes', async () => {
    const cluster = await startRedisCluster();
    const connections = [open(url), open(cluster.url)];
    try {
      for (const connection of connections) expect(await taken(connection, 'tributary:key', 'value')).toBe(true);
    } finally {
      for (const connection of connections) connection.disconnect();
      await cluster.stop();
    }
  });

  it.concurrent('follows the primary that Sentinels name when the one before is killed', async () => {
    const watched = await startWatchedRedis();
    const [sentinels, direct] = [open(watched.url), open(watched.primary.url)];
    try {
      for (const connection of [sentinels, direct]) expect(await taken(connection, 'before', '1')).toBe(true);
      process.kill(watched.primary.pid, 'SIGKILL');
      expect(await taken(sentinels, 'after', '2')).toBe(true);
      expect(await tell(watched.replica.port, 'GET after')).toContain('2');
      // The control: who was told an address stays with it.
      expect(await taken(direct, 'after', '3', 20)).toBe(false);
    } finally {
      for (const connection of [sentinels, direct]) connection.disconnect();
      await watched.stop();
    }
  });

  it.concurrent(
    'that is told of a new primary while it looks for the old one goes on (control: ioredis ends, and stays ended)',
    async () => {
      const watched = await startWatchedRedis();
      const [port] = watched.sentinels as [number];
      const naive = new Redis({
        sentinels: [{ host: '127.0.0.1', port }],
        name: 'watched',
        enableOfflineQueue: false,
        maxRetriesPerRequest: 1,
      });
      naive.on('error', () => {});
      const own = open(watched.url) as Redis;
      const told = async (redis: Redis, tries?: number): Promise<boolean> => {
        expect(await taken(redis, 'before', '1')).toBe(true);
        // As its FailoverDetector does when it hears +switch-master.
        const { connector } = redis as unknown as { connector: { disconnect(): void } };
        redis.once('connecting', () => connector.disconnect());
        const ended = endOf(redis);
        redis.disconnect(true);
        await ended;
        return taken(redis, 'after', '2', tries);
      };
      try {
        expect(await told(own)).toBe(true);
        expect(await told(naive, 20)).toBe(false);
      } finally {
        for (const redis of [own, naive]) redis.disconnect();
        await watched.stop();
      }
    },
  );

  it.concurrent(
    'that ends leaves nobody with the Sentinels (control: after QUIT ioredis stays with them, and its program does not end)',
    async () => {
      const watched = await startWatchedRedis();
      const [port] = watched.sentinels as [number];
      const listeners = async (): Promise<number> =>
        (await tell(port, 'CLIENT LIST')).split('\n').filter((line) => line.includes(' sub=1 ')).length;
      const own = await listeners();
      const quit = async (connection: Connection): Promise<void> => {
        expect(await taken(connection, 'key', 'value')).toBe(true);
        while ((await listeners()) === own) await sleep(20);
        const ended = endOf(connection);
        await connection.quit();
        await ended;
      };
      let naive: Redis | undefined;
      try {
        await quit(open(watched.url));
        while ((await listeners()) > own) await sleep(20);
        naive = new Redis({ sentinels: [{ host: '127.0.0.1', port }], name: 'watched', failoverDetector: true });
        await quit(naive);
        await sleep(500);
        expect(await listeners()).toBe(own + 1);
      } finally {
        naive?.disconnect();
        await watched.stop();
      }
    },
  );
});
