import { Cluster, Redis, type RedisOptions } from 'ioredis';
import { tellUnasked, type TellOnce } from './unasked-password.js';

/** A Redis, or a Redis Cluster. */
export type Connection = Redis | Cluster;

/** How a caller wants to be treated while Redis is slow or away. */
export type Patience = Pick<
  RedisOptions,
  'connectTimeout' | 'disconnectTimeout' | 'commandTimeout' | 'blockingTimeout' | 'maxRetriesPerRequest'
>;

/**
 * By what REDIS_URL says:
 *
 * - `redis://host:6379/0` one Redis; `rediss:` with TLS
 * - `redis://host:6379?cluster=true` a Redis Cluster; the node it names is only where to begin
 * - `redis://host:26379?sentinel=NAME` whichever Redis the Sentinels say is the primary called NAME; further Sentinels to begin with are
 *   `&sentinels=host:port,host:port`. User, password and database are those of Redis; `rediss:` is TLS to
 *   the Sentinels, too.
 *
 * Commands are refused while there is no connection, never kept for later, and sent once; a connection to what has become a replica is
 * made anew. Throws a sentence where `sentinels` cannot be read. `tell`: of a password that this Redis does not ask for.
 */
export function connectRedis(url: string, patience: Patience, tell?: TellOnce): Connection {
  const connection = open(url, patience);
  if (connection instanceof Redis) tellUnasked(connection, new URL(url).host, tell);
  return connection;
}

function open(url: string, patience: Patience): Connection {
  const address = new URL(url);
  const options: RedisOptions = {
    ...patience,
    autoResendUnfulfilledCommands: false,
    // Of a script's error it may stand in the middle.
    reconnectOnError: (error) => error.message.includes('READONLY'),
  };
  if (isClustered(url)) return ofCluster(address, options);
  const direct = { ...options, enableOfflineQueue: false, retryStrategy: again };
  const name = address.searchParams.get('sentinel');
  if (name === null) return new Redis(url, direct);
  const database = Number(address.pathname.slice(1) || 0);
  const redis = new Redis({
    ...direct,
    ...asWhom(address),
    ...(address.protocol === 'rediss:' ? { enableTLSForSentinelMode: true, sentinelTLS: {} } : {}),
    ...(database === 0 ? {} : { db: database }),
    sentinels: sentinelsOf(address),
    name,
    sentinelRetryStrategy: again,
    sentinelCommandTimeout: 500,
    // Told by the Sentinels, also where the one that was the primary says nothing any more.
    failoverDetector: true,
  });
  return untilClosed(redis);
}

/**
 * Where ioredis ends otherwise than it should. Told of a new primary while it looks for the old one, it ends for good, though nobody
 * has closed it. And closed by QUIT, or while it connected, it stays connected to the Sentinels, and a program that is never ends.
 */
function untilClosed(redis: Redis): Redis {
  let isClosed = false;
  const [disconnect, quit] = [redis.disconnect.bind(redis), redis.quit.bind(redis)];
  redis.disconnect = (reconnect = false) => {
    isClosed ||= !reconnect;
    disconnect(reconnect);
  };
  redis.quit = (...answer: Parameters<typeof quit>) => {
    isClosed = true;
    return quit(...answer);
  };
  redis.on('end', () => {
    if (isClosed) disconnect();
    else
      setTimeout(() => {
        if (!isClosed) redis.connect().catch(() => {});
      }, again(1));
  });
  return redis;
}

export function isClustered(url: string): boolean {
  return new URL(url).searchParams.get('cluster') === 'true';
}

const again = (times: number): number => Math.min(50 * times, 1_000);

function ofCluster(address: URL, redisOptions: RedisOptions): Cluster {
  return new Cluster([placeOf(address.host, 6_379)], {
    redisOptions: { ...redisOptions, ...asWhom(address) },
    enableOfflineQueue: false,
    clusterRetryStrategy: again,
    maxRedirections: 4,
    retryDelayOnFailover: 20,
    retryDelayOnClusterDown: 20,
    retryDelayOnTryAgain: 20,
    slotsRefreshTimeout: 500,
  });
}

function asWhom({ username, password, protocol }: URL): RedisOptions {
  return {
    ...(username === '' ? {} : { username: decodeURIComponent(username) }),
    ...(password === '' ? {} : { password: decodeURIComponent(password) }),
    ...(protocol === 'rediss:' ? { tls: {} } : {}),
  };
}

function sentinelsOf(address: URL): { host: string; port: number }[] {
  const others = (address.searchParams.get('sentinels') ?? '').split(',').filter((text) => text !== '');
  return [address.host, ...others].map((host) => placeOf(host, 26_379));
}

function placeOf(text: string, port: number): { host: string; port: number } {
  const parts = /^(?:\[(.+)\]|([^:]+))(?::(\d{1,5}))?$/.exec(text);
  if (parts === null) throw new Error(`A Sentinel in REDIS_URL is host:port; came ${JSON.stringify(text)}`);
  return { host: (parts[1] ?? parts[2])!, port: Number(parts[3] ?? port) };
}
