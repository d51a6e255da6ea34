import { expect, it } from '@jest/globals';

import { startFaultProxy } from '../../test/servers/fault-proxy.js';
import { withServer } from '../../test/servers/needs.js';
import { startRedis } from '../../test/servers/redis.js';
import { connectRedis, watchRedis } from './index.js';

withServer('redis', 'whether a program gets to Redis', () => {
  it('is 0 while it is away, says nothing or lets nobody in, and 1 again after it', async () => {
    const server = await startRedis();
    const proxy = await startFaultProxy({ port: server.port });
    const watched = watchRedis(`redis://127.0.0.1:${proxy.port}`, 'posts');
    const until = async (value: number): Promise<void> => {
      while ((await watched.gauge.read()) !== value) await new Promise((resolve) => setTimeout(resolve, 20));
    };
    const admin = connectRedis(server.url, { maxRetriesPerRequest: 1 });
    admin.on('error', () => {});
    try {
      expect(watched.gauge.labels).toEqual({ service: 'posts' });
      await until(1);
      for (const toxics of [{ down: true }, { timeout: true }]) {
        proxy.set(toxics);
        await until(0);
        proxy.set({});
        await until(1);
      }
      // The other end is gone, and nobody was told.
      proxy.forgetOpen();
      await until(0);
      await until(1);
      await admin.config('SET', 'requirepass', 'another');
      proxy.moveTo(server.port);
      await until(0);
    } finally {
      watched.close();
      admin.disconnect();
      await proxy.close();
      await server.stop();
    }
  });

  it('takes from nobody the word of a password that Redis does not ask for; control: it is said once', async () => {
    const server = await startRedis();
    const url = server.url.replace('redis://', 'redis://:unasked@');
    const said: string[] = [];
    const watched = watchRedis(url, 'posts');
    const opened = [watched.close];
    try {
      while ((await watched.gauge.read()) !== 1) await new Promise((resolve) => setTimeout(resolve, 20));
      for (let nth = 0; nth < 2; nth++) {
        const redis = connectRedis(url, { maxRetriesPerRequest: 1 }, (says) => void said.push(says));
        redis.on('error', () => {});
        opened.push(() => redis.disconnect());
        while (redis.status !== 'ready') await new Promise((resolve) => setTimeout(resolve, 20));
      }
      expect(said).toEqual([expect.stringMatching(/^REDIS_URL has a password, and this Redis asks for none/)]);
    } finally {
      for (const close of opened) close();
      await server.stop();
    }
  });
});
