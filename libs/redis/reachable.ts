import type { Gauge } from '#libs/telemetry';

import { connectRedis } from './connect.js';

/** A figure is read within a second. */
const WAIT_MS = 800;

/**
 * Whether this program gets to Redis and is let in, as a figure. On a connection of its own: those that do the work are made anew, pause
 * and give up, each in its way, and of a program that asks nothing of Redis for a while they could say nothing.
 */
export function watchRedis(url: string, service: string): { readonly gauge: Gauge; close(): void } {
  const redis = connectRedis(url, { connectTimeout: 500, commandTimeout: WAIT_MS, maxRetriesPerRequest: 0 });
  // Whoever works with Redis logs what is wrong.
  redis.on('error', () => {});
  return {
    gauge: {
      name: 'tributary_redis_reachable',
      help: '1: Redis answers this program; 0: it does not, and its log says why. Only where it has a REDIS_URL that it uses.',
      labels: { service },
      read: async () => {
        try {
          await redis.ping();
          return 1;
        } catch {
          // A connection whose other end is gone without a word would stay for a quarter of an hour.
          if (redis.status === 'ready') redis.disconnect(true);
          return 0;
        }
      },
    },
    close: () => redis.disconnect(),
  };
}
