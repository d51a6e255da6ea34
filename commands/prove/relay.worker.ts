import { openDatabase } from '#libs/database';
import { openStream, outboxMigrations, Relay, type Stream } from '#libs/outbox';
import { createLogger } from '#libs/telemetry';
import type { Site } from './places.js';
import type { Boss } from './worker.js';

/** A relay, and nothing else. */
export interface RelayOrder {
  readonly site: Pick<Site, 'urls' | 'redisUrl' | 'dataDir'>;
  readonly leaseMs: number;
  readonly ranges: number;
  /** How wrong this process's clock is. */
  readonly clockMs: number;
  /** A control: the lease is the same, but the stream is not shown its token. */
  readonly withoutToken: boolean;
}

export async function work({ site, leaseMs, ranges, clockMs, withoutToken }: RelayOrder, boss: Boss): Promise<void> {
  setClock(clockMs);
  const logger = createLogger('relay', 'error');
  const { urls, dataDir, redisUrl } = site;
  const database = await openDatabase({
    service: 'users',
    url: urls?.['users'],
    dataDir,
    entities: [],
    migrations: outboxMigrations,
    logger,
  });
  // For a listener that never comes everything is kept, so that it can be counted afterwards.
  const stream = openStream({ redisUrl, logger, listeners: { users: ['nobody'] } });
  const over = withoutToken ? tokenless(stream) : stream;
  const relay = new Relay({ database, stream: over, pollMs: 20, leaseMs, ranges, logger });
  relay.start();
  const finished = new Promise<void>((resolve) => {
    boss.heard(({ finish }: { finish?: boolean }) => finish && resolve());
  });
  boss.tell({ ready: true });
  await finished;
  await relay.settled(100_000);
  await relay.close();
  await stream.close();
  await database.close();
}

function tokenless(stream: Stream): Stream {
  return {
    publish: (events) => stream.publish(events),
    subscribe: (...heard) => stream.subscribe(...heard),
    close: () => stream.close(),
  };
}

/** For everything in this process. */
function setClock(wrongByMs: number): void {
  const Real = Date;
  globalThis.Date = class extends Real {
    constructor(...values: [number?]) {
      if (values.length === 0) super(Real.now() + wrongByMs);
      else super(...(values as [number]));
    }

    static override now(): number {
      return Real.now() + wrongByMs;
    }
  } as DateConstructor;
}
