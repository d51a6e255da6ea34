import { connectRedis, masterOf, refusalOf, type Connection } from '#libs/redis';
import { Outage, type Logger } from '#libs/telemetry';
import { Pauses } from './pauses.js';

/** Where all count together. */
export interface Shared {
  readonly redis: Connection;
  /** False: whoever keeps this key did not answer a moment ago. */
  mayAsk(key: string): boolean;
  /** Told by whoever was answered. */
  answered(key: string): void;
  /** Told by whoever has waited in vain, and for how long, ms. */
  unanswered(key: string, error: unknown, waitedMs: number): void;
}

const WAIT_MS = 100;
/** Who waited longer than this beyond it was kept by our own busy event loop, and the answer may lie in the socket; yet not often in a row. */
const LATE_MS = 20;
/** What ioredis waits until it has a cluster tried again that is down; four times in vain. */
const CLUSTER_WAIT_MS = 20;

/** What is no cluster has no names of nodes, and no pause. */
const ALONE = '';

/**
 * Whoever counts does not wait for a Redis that is away: there is a second counter in the process. Who has waited in vain ends the
 * connection, and until Redis has answered on a new one (ioredis asks for INFO, and waits as long) nobody else waits: else each
 * request would, for as long as Redis is slow or silent, and for a quarter of an hour (TCP) on a connection whose other end is gone.
 * Of a cluster the other nodes may well answer, and would be dropped with that connection: so there the node alone has a pause.
 */
export function connect(url: string, logger: Logger, waitMs = WAIT_MS): Shared {
  const redis = connectRedis(
    url,
    {
      connectTimeout: 500,
      disconnectTimeout: waitMs,
      commandTimeout: waitMs,
      maxRetriesPerRequest: 0,
    },
    (says) => logger.warn({}, says),
  );
  const outage = new Outage({
    logger,
    fields: {},
    began: 'Redis is not reachable; each process counts its clients for itself',
    lasts: 'Redis is still not reachable; each process counts its clients for itself',
    over: 'Redis is back; processes count their clients together',
    otherwise: (error) => {
      const refusal = refusalOf(error);
      return refusal && `${refusal}; meanwhile each process counts its clients for itself`;
    },
  });
  redis.on('error', (error: Error) => outage.failed(error));
  redis.on('ready', () => outage.succeeded());
  let isEnding = false;
  const pauses = new Pauses();
  redis.on('close', () => (isEnding = false));
  return {
    redis,
    mayAsk(key) {
      const node = masterOf(redis, key);
      return node === undefined || pauses.mayAsk(node);
    },
    answered(key) {
      pauses.end(masterOf(redis, key) ?? ALONE);
    },
    unanswered(key, error, waitedMs) {
      const node = masterOf(redis, key);
      const isLate = isTimeout(error) || (node !== undefined && waitedMs >= CLUSTER_WAIT_MS);
      if (isEnding || redis.status !== 'ready' || !isLate) return;
      if (!pauses.missed(node ?? ALONE, waitedMs < waitMs + LATE_MS)) return;
      if (node !== undefined) return pauses.pause(node);
      isEnding = true;
      redis.disconnect(true);
    },
  };
}

function isTimeout(error: unknown): boolean {
  return error instanceof Error && error.message === 'Command timed out';
}
