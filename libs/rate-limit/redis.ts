import { connectRedis, type Connection } from '#libs/redis';
import { Outage, type Logger } from '#libs/telemetry';

export type { Connection };

/** Whoever counts does not wait for a Redis that is away: there is a second counter in the process. */
export function connect(url: string, logger: Logger): Connection {
  const redis = connectRedis(url, { connectTimeout: 500, commandTimeout: 100, maxRetriesPerRequest: 0 });
  const outage = new Outage({
    logger,
    fields: {},
    began: 'Redis is not reachable; each process counts its clients for itself',
    lasts: 'Redis is still not reachable; each process counts its clients for itself',
    over: 'Redis is back; processes count their clients together',
  });
  redis.on('error', (error: Error) => outage.failed(error));
  redis.on('ready', () => outage.succeeded());
  return redis;
}
