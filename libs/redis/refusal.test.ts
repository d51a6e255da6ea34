import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { setTimeout as sleep } from 'node:timers/promises';
import { openRecordCache } from '#libs/cache';
import { openStream } from '#libs/outbox';
import { openBudgets } from '#libs/rate-limit';
import { silent, type Logger } from '#libs/telemetry';
import { freePort } from '../../test/servers/free-port.js';
import { withServer } from '../../test/servers/needs.js';
import { startRedis, type RedisServer } from '../../test/servers/redis.js';
import { connectRedis, refusalOf } from './index.js';

const PATIENCE = { connectTimeout: 500, commandTimeout: 1_000, maxRetriesPerRequest: 1 };
const REFUSED =
  /^Redis refuses user and password of REDIS_URL \(WRONGPASS\): give this program those that Redis has now; meanwhile /;

describe('what a Redis refuses', () => {
  it.each([
    new Error('connect ECONNREFUSED 127.0.0.1:6379'),
    new Error('Command timed out'),
    // Of the Sentinels' own password.
    new Error(
      'All sentinels are unreachable. Retrying from scratch after 50ms. Last error: NOAUTH Authentication required.',
    ),
    'WRONGPASS',
    undefined,
  ])('is nothing where it is away: %p', (error) => {
    expect(refusalOf(error)).toBeUndefined();
  });
});

withServer('redis', 'a Redis with another password', () => {
  let server: RedisServer;
  let cluster: RedisServer;
  beforeAll(async () => {
    server = await startRedis({ settings: { requirepass: 'right' } });
    cluster = await startRedis({ settings: { requirepass: 'right', 'cluster-enabled': 'yes' } });
  });
  afterAll(() => Promise.all([server.stop(), cluster.stop()]));
  const at = ({ port }: RedisServer, password: string): string =>
    `redis://${password === '' ? '' : `:${password}@`}127.0.0.1:${port}`;

  it.each(['', '?cluster=true'])('is told from one that is away, and what to do (%s)', async (more) => {
    const first = async (password: string): Promise<unknown> => {
      const connection = connectRedis(at(more === '' ? server : cluster, password) + more, PATIENCE);
      try {
        return await new Promise((resolve) => void connection.once('error', resolve));
      } finally {
        connection.disconnect();
      }
    };
    expect(refusalOf(await first('wrong'))).toContain('(WRONGPASS)');
    expect(refusalOf(await first(''))).toContain('REDIS_URL has none (NOAUTH)');
  });

  it.each<[string, string, (url: string, logger: Logger) => Promise<{ close(): Promise<void> }>]>([
    ['events', 'Redis is not reachable', async (redisUrl, logger) => openStream({ redisUrl, logger })],
    ['budgets', 'Redis is not reachable', (redisUrl, logger) => openBudgets({ redisUrl, logger })],
    [
      'caches',
      'the cache fails',
      async (redisUrl, logger) => {
        const cache = openRecordCache({ redisUrl, logger, deadlineMs: 5_000 });
        await cache.ready();
        const ask = { entity: 'a', variant: '', epochs: [], fields: ['name'], lease: false };
        for (let read = 0; read < 5; read += 1) expect(await cache.look([ask])).toBeUndefined();
        return cache;
      },
    ],
  ])('says so in the log of %s, and not that %s; control: one that is away', async (_, away, open) => {
    const said = async (url: string): Promise<string[]> => {
      const lines: string[] = [];
      const logger: Logger = { ...silent, warn: (_fields, message) => void lines.push(message) };
      const opened = await open(url, logger);
      for (let tries = 0; lines.length === 0 && tries < 400; tries += 1) await sleep(50);
      await opened.close();
      return lines;
    };
    expect(await said(at(server, 'wrong'))).toEqual([expect.stringMatching(REFUSED)]);
    expect(await said(`redis://127.0.0.1:${await freePort()}`)).toEqual([expect.stringContaining(away)]);
  });
});

withServer('redis', 'a Redis without a password', () => {
  it('that is given one is told once, in the log, and nothing on the console; control: ioredis alone', async () => {
    const server = await startRedis({});
    const printed: string[] = [];
    const { warn } = console;
    console.warn = (text: string) => void printed.push(text);
    try {
      const redisUrl = `redis://:hunter2@127.0.0.1:${server.port}`;
      const lines: string[] = [];
      const logger: Logger = { ...silent, warn: (_fields, message) => void lines.push(message) };
      const opened = [openStream({ redisUrl, logger }), await openBudgets({ redisUrl, logger })];
      for (let tries = 0; lines.length === 0 && tries < 400; tries += 1) await sleep(50);
      for (const one of opened) await one.close();
      expect([lines, printed]).toEqual([[expect.stringMatching(/^REDIS_URL has a password, and this Redis /)], []]);
      expect(lines.join()).not.toContain('hunter2');
      const naive = new Redis(redisUrl);
      naive.on('error', () => {});
      for (let tries = 0; printed.length === 0 && tries < 400; tries += 1) await sleep(50);
      naive.disconnect();
      expect(printed).toEqual([expect.stringContaining('does not require a password')]);
    } finally {
      console.warn = warn;
      await server.stop();
    }
  });
});
