import { Cluster, Redis, type RedisOptions } from 'ioredis';

import type { Logger } from '#libs/telemetry';

import { within } from './within.js';

/** A Redis, or a Redis Cluster. */
export type Connection = Redis | Cluster;

const PATIENCE: RedisOptions = {
  connectTimeout: 500,
  maxRetriesPerRequest: 1,
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  reconnectOnError: (error) => error.message.startsWith('READONLY'),
  retryStrategy: (times) => Math.min(50 * times, 1_000),
};

/** Commands fail within a second and are not kept for later: the outbox keeps the events, the relay tries again. */
export const COMMANDS: RedisOptions = { ...PATIENCE, commandTimeout: 1_000 };

/** Waiting for an event may take as long as the command says. */
export const WAITS: RedisOptions = { ...PATIENCE, blockingTimeout: 2_000 };

/** A Redis Cluster when the address says `?cluster=true`; the node it names is only where to begin. */
export function connect(url: string, options: RedisOptions, logger: Logger): Connection {
  const address = new URL(url);
  const clustered = address.searchParams.get('cluster') === 'true';
  address.searchParams.delete('cluster');
  const connection = clustered ? ofCluster(address, options) : new Redis(address.href, options);
  // Everybody who waits for a connection listens for it.
  connection.setMaxListeners(1_000);
  let told = false;
  connection.on('error', (error: Error) => {
    if (!told) logger.warn({ err: error }, 'Redis is not reachable; events wait in the outbox');
    told = true;
  });
  connection.on('ready', () => {
    told = false;
  });
  giveUpWhatAnswersNothing(connection);
  return connection;
}

/** So many commands in a row without an answer, and the connection is made anew. */
const UNANSWERED_MAX = 2;

/**
 * A connection whose other end is gone without a word would stay for a quarter of an hour, as TCP has it: every command on it
 * would time out, while Redis answers everybody else.
 */
function giveUpWhatAnswersNothing(connection: Connection): void {
  // Of a cluster as of one Redis the first argument is the command.
  const redis = connection as Redis;
  const send = redis.sendCommand.bind(redis);
  let unanswered = 0;
  redis.sendCommand = (...sent: Parameters<typeof send>) => {
    sent[0].promise.then(
      () => (unanswered = 0),
      (error: Error) => {
        unanswered = error.message === 'Command timed out' ? unanswered + 1 : 0;
        if (unanswered < UNANSWERED_MAX) return;
        unanswered = 0;
        if (redis.status === 'ready') redis.disconnect(true);
      },
    );
    return send(...sent);
  };
}

function ofCluster(address: URL, options: RedisOptions): Cluster {
  const { commandTimeout, blockingTimeout, connectTimeout, maxRetriesPerRequest } = options;
  const redisOptions = {
    ...(commandTimeout === undefined ? {} : { commandTimeout }),
    ...(blockingTimeout === undefined ? {} : { blockingTimeout }),
    ...(connectTimeout === undefined ? {} : { connectTimeout }),
    ...(maxRetriesPerRequest === undefined ? {} : { maxRetriesPerRequest }),
    ...(address.username === '' ? {} : { username: decodeURIComponent(address.username) }),
    ...(address.password === '' ? {} : { password: decodeURIComponent(address.password) }),
    ...(address.protocol === 'rediss:' ? { tls: {} } : {}),
  };
  return new Cluster([{ host: address.hostname, port: Number(address.port || 6379) }], {
    redisOptions,
    enableOfflineQueue: false,
    clusterRetryStrategy: (times) => Math.min(50 * times, 1_000),
    maxRedirections: 4,
    retryDelayOnFailover: 50,
    retryDelayOnClusterDown: 50,
    retryDelayOnTryAgain: 50,
    slotsRefreshTimeout: 500,
  });
}

/** Waits a moment for a connection that is being made, so that the first command after a start is not refused. */
export async function ready(redis: Connection): Promise<void> {
  if (redis.status === 'ready') return;
  const ended = new Error('the connection to Redis is closed');
  if (redis.status === 'end') throw ended;
  let onReady = (): void => undefined;
  let onEnd = onReady;
  const waiting = new Promise<void>((resolve, reject) => {
    onReady = resolve;
    onEnd = () => reject(ended);
    redis.once('ready', onReady).once('end', onEnd);
  });
  try {
    await within(500, waiting, 'Redis');
  } finally {
    redis.off('ready', onReady).off('end', onEnd);
  }
}
