import { Cluster, Redis, type RedisOptions } from 'ioredis';
import type { Logger } from '#libs/telemetry';

/** A Redis, or a Redis Cluster. */
export type Connection = Redis | Cluster;

/** Whoever counts does not wait for a Redis that is away: there is a second counter in the process. */
const OPTIONS: RedisOptions = {
  connectTimeout: 500,
  commandTimeout: 100,
  maxRetriesPerRequest: 0,
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  reconnectOnError: (error) => error.message.startsWith('READONLY'),
  retryStrategy: (times) => Math.min(50 * times, 1_000),
};

/** A Redis Cluster when the address says `?cluster=true`; the node it names is only where to begin. */
export function connect(url: string, logger: Logger): Connection {
  const address = new URL(url);
  const clustered = address.searchParams.get('cluster') === 'true';
  address.searchParams.delete('cluster');
  const redis = clustered ? ofCluster(address) : new Redis(address.href, OPTIONS);
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

function ofCluster(address: URL): Cluster {
  return new Cluster([{ host: address.hostname, port: Number(address.port || 6379) }], {
    enableOfflineQueue: false,
    clusterRetryStrategy: (times) => Math.min(50 * times, 1_000),
    slotsRefreshTimeout: 500,
    redisOptions: {
      ...OPTIONS,
      username: decodeURIComponent(address.username),
      password: decodeURIComponent(address.password),
      ...(address.protocol === 'rediss:' ? { tls: {} } : {}),
    },
  });
}
