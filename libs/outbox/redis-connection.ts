import type { Redis } from 'ioredis';
import { connectRedis, type Connection, type Patience } from '#libs/redis';
import type { Logger, Outage } from '#libs/telemetry';

import { within } from './within.js';

export type { Connection };

const PATIENCE: Patience = { connectTimeout: 500, maxRetriesPerRequest: 1 };

/** Commands fail within a second and are not kept for later: the outbox keeps the events, the relay tries again. */
export const COMMANDS: Patience = { ...PATIENCE, commandTimeout: 1_000 };

/** Waiting for an event may take as long as the command says. */
export const WAITS: Patience = { ...PATIENCE, blockingTimeout: 2_000 };

/** `outage`: of all connections of a stream together. One Redis is gone, or comes and goes, for all of them. */
export function connect(url: string, patience: Patience, outage: Outage, logger: Logger): Connection {
  const connection = connectRedis(url, patience, (says) => logger.warn({}, says));
  // Everybody who waits for a connection listens for it.
  connection.setMaxListeners(1_000);
  connection.on('error', (error: Error) => outage.failed(error));
  connection.on('ready', () => outage.succeeded());
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
