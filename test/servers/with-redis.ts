import { Redis } from 'ioredis';

export type { Redis };

/** A connection to a Redis for as long as `work` takes. */
export async function withRedis<T>(port: number, work: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = new Redis(port, '127.0.0.1');
  try {
    return await work(redis);
  } finally {
    redis.disconnect();
  }
}
