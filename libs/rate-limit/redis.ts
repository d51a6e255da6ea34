import { connectRedis, type Connection } from '#libs/redis';
import type { Logger } from '#libs/telemetry';

export type { Connection };

/** Whoever counts does not wait for a Redis that is away: there is a second counter in the process. */
export function connect(url: string, logger: Logger): Connection {
  const redis = connectRedis(url, { connectTimeout: 500, commandTimeout: 100, maxRetriesPerRequest: 0 });
  let told = false;
  redis.on('error', (error: Error) => {
    if (!told)
      logger.warn({ error: String(error) }, 'Redis is not reachable; each process counts its clients for itself');
    told = true;
  });
  redis.on('ready', () => {
    if (told) logger.info({}, 'Redis is back; processes count their clients together');
    told = false;
  });
  return redis;
}
