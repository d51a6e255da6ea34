import type { DynamicModule } from '@nestjs/common';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  allStale,
  entityNames,
  LIFETIME_MAX_MS,
  openCache,
  openRecordCache,
  type Cache,
  type RecordCache,
  type Stale,
} from '#libs/cache';
import { databaseGauges, openDatabase, type Database, type OpenDatabaseOptions } from '#libs/database';
import { LISTENERS, type DomainEvent, type Envelope, type EventSource } from '#libs/events';
import { KeyRetention } from '#libs/idempotency';
import { openFilesMax, reserveOf, type HeapWatch } from '#libs/lifecycle';
import { AssertionVerifier, loadOrCreateSecret, REFUSALS, type Refusal } from '#libs/identity';
import {
  CaughtUp,
  consume,
  outboxGauges,
  ownStream,
  recordedEvents,
  Relay,
  sourcesOf,
  streamGauges,
  type Handlers,
  type Stream,
} from '#libs/outbox';
import { watchRedis } from '#libs/redis';
import { DriftWatch, type Counted } from '#libs/read-model';
import type { ServiceConfig } from '#libs/service-settings';
import {
  createLogger,
  Metrics,
  openFigures,
  openTracing,
  readyGauge,
  steadyClock,
  systemClock,
  type Clock,
  type Gauge,
  type Logger,
  type Tracing,
} from '#libs/telemetry';
import { keepingDocuments } from './documents.js';
import { haveAll, type Needs } from './health.js';
import { listen } from './listen.js';
import type { ReadYourWrites } from './read-your-writes.js';
import type { RunningSubgraph } from './running.js';
import { serve } from './serve.js';

/** What a service is given by whoever starts it: its own program, all in one, or a test. */
export interface ServiceParts {
  readonly stream: Stream;
  /** The entity cache of a gateway in this process. */
  readonly records?: RecordCache | undefined;
  readonly logger?: Logger;
  /** While this process's heap is nearly full, it is not ready. */
  readonly heap?: HeapWatch;
  readonly clock?: Clock;
  /** Where it counts, when others in this process do too; without it METRICS_PORT says whether and where. */
  readonly metrics?: Metrics | undefined;
  /** Where its traces go, likewise; without it OTEL_EXPORTER_OTLP_ENDPOINT says whether and where. */
  readonly tracing?: Tracing | undefined;
}

export interface EntityDrops {
  /** Because of these events, which this service has recorded or heard. */
  drop(stale: readonly Stale[], events: readonly DomainEvent[]): Promise<void>;
}

/** What its module is built from. */
export interface ModuleParts {
  readonly database: Database;
  readonly cache: Cache;
  /** False with CACHE=off. */
  readonly cached: boolean;
  /** Ends what gateways keep of entities: after COMMIT and after our own cache, before the answer. */
  readonly entities: EntityDrops;
  readonly assertions: AssertionVerifier;
  readonly logger: Logger;
  readonly clock: Clock;
  /** For how long something takes. */
  readonly steady: Clock;
  readonly consistency: Omit<ReadYourWrites, 'service' | 'copies'>;
  /** Without what it is not ready. */
  readonly needs: Needs;
}

export interface Service {
  readonly name: string;
  readonly tables: Pick<OpenDatabaseOptions, 'entities' | 'migrations'>;
  /** What it hears. */
  readonly hear: Handlers;
  /** Before anything is made of it: rejects where this service cannot go on with what is in it. */
  readonly opened?: (database: Database) => Promise<void>;
  readonly module: (parts: ModuleParts) => DynamicModule;
  /** What else tells how it is, besides the outbox. */
  readonly gauges?: (database: Database) => Gauge[];
  /** What it counts beside the rows, which is compared with them a little at a time. */
  readonly counted?: readonly Counted[];
  /** Work that goes on in the background beside the relay. */
  readonly background?: (parts: ModuleParts) => { settled(): Promise<void>; close(): Promise<void> };
}

/** Listens, tells its figures, opens the store and the cache, hears events, tells its own, and answers the gateway. */
export async function startService(
  service: Service,
  config: ServiceConfig,
  parts: ServiceParts,
): Promise<RunningSubgraph> {
  const { name } = service;
  const { stream, logger = createLogger(name), clock = systemClock } = parts;
  const steady = parts.clock ?? steadyClock;
  const secret = config.ASSERTION_SECRET ?? (await loadOrCreateSecret(config.DATA_DIR, `assertion-${name}`));
  const closers: (() => Promise<void>)[] = [];
  const close = async (): Promise<void> => {
    for (const end of closers.splice(0).reverse()) await end();
  };
  try {
    const tracing = parts.tracing ?? (await openTracing(config, logger));
    if (tracing && !parts.tracing) closers.push(() => tracing.close());
    const tracer = tracing?.tracer(name);
    const files = openFilesMax();
    const room = files === undefined ? undefined : Math.max(2, files - OWN_FILES - connectionsOf(config));
    const listening = await listen({
      host: config.HOST,
      port: config.PORT,
      waitingFor: MIGRATIONS,
      // Of what it has open besides, its database, Redis and its log are to go on.
      connectionsMax: room === undefined ? undefined : room - reserveOf(room),
      heapFull: () => parts.heap?.full === true,
    });
    closers.push(() => listening.close());
    const metrics = parts.metrics ?? (config.METRICS_PORT === undefined ? undefined : await Metrics.open());
    // Before the database is opened, as above: a program that is not there for minutes is down, one that migrates is not ready.
    metrics?.gauges([readyGauge(name, async () => listening.ready && (await haveAll(built.needs)))]);
    if (metrics && !parts.metrics) {
      const { HOST: host, METRICS_PORT: port = 0, METRICS_TOKEN: token } = config;
      const scraped = await metrics.listen({ host, port, token });
      closers.push(() => scraped.close());
      logger.info({ url: scraped.url }, 'Metrics');
      const says = openFigures(config);
      if (says !== undefined) logger.warn({}, says);
    }
    if (metrics && config.REDIS_URL !== undefined) {
      const watched = watchRedis(config.REDIS_URL, name);
      closers.push(async () => watched.close());
      metrics.gauges([watched.gauge]);
    }
    const database = await openDatabase({
      service: name,
      url: config.DATABASE_URL,
      dataDir: config.DATA_DIR,
      poolMax: config.DATABASE_POOL_MAX,
      replicas: { urls: config.DATABASE_REPLICA_URLS, lagMaxMs: config.DATABASE_REPLICA_LAG_MS },
      logger,
      ...service.tables,
    });
    closers.push(() => database.close());
    await service.opened?.(database);
    const keys = new KeyRetention({ database, keepMs: config.IDEMPOTENCY_KEEP_HOURS * 3_600_000, logger });
    closers.push(() => keys.close());
    const cache = openCache({ redisUrl: config.REDIS_URL, mode: config.CACHE, logger, clock: steady });
    closers.push(() => cache.close());
    await cache.ready();
    // Before anything is heard or told.
    const owned = await ownStream({ database, stream, logger });
    closers.push(() => owned.close());
    if (config.CACHE === 'on') {
      logger.info({ boundMs: LIFETIME_MAX_MS }, 'what is kept is never older than this, even where a drop is lost');
    }

    const records =
      parts.records ??
      (config.ENTITY_CACHE === 'on' && config.REDIS_URL !== undefined
        ? openRecordCache({ redisUrl: config.REDIS_URL, logger, clock: steady })
        : undefined);
    if (records && !parts.records) closers.push(() => records.close());
    const tellsFor = [name, ...strangersOf(name)];
    /** Whoever never hears of it keeps nothing that it could make stale. */
    const toldOf = (events: readonly Envelope[]) =>
      events.flatMap(({ source, aggregate, aggregateVersion: version }) =>
        (source === name ? tellsFor : [name]).map((service) => ({
          name: entityNames.write(service, aggregate),
          version,
        })),
      );
    const entities: EntityDrops = {
      async drop(stale, events) {
        await records?.drop({ ...allStale(stale), told: toldOf(events) });
      },
    };

    const timed = config.TIMED_ASSERTIONS === 'take';
    if (timed) logger.warn({}, 'TIMED_ASSERTIONS=take: who reads what a gateway of before sends may send it again');
    const refusals = metrics?.counter({
      name: 'tributary_refused_calls_total',
      help: 'Calls that were not what a gateway signs for this service now, by why: only gateways should be able to call it.',
      labels: ['service', 'why'],
    });
    for (const why of REFUSALS) refusals?.labels(name, why).inc(0);
    const refused = refusals && ((why: Refusal) => refusals.labels(name, why).inc());
    const assertions = new AssertionVerifier({ subgraph: name, secret, clock, steady, timed, refused });
    const caughtUp = new CaughtUp({ database, group: name, sources: sourcesOf(service.hear), logger });
    closers.push(() => caughtUp.close());
    const built: ModuleParts = {
      database,
      cache,
      cached: config.CACHE === 'on',
      entities,
      assertions,
      logger,
      clock,
      steady,
      consistency: {
        caughtUp,
        hearNow: (events) => subscription.hearNow(events),
        recorded: (wanted) => recordedEvents(database, wanted),
        waitMs: config.CONSISTENCY_WAIT_MS,
        late: config.CONSISTENCY_LATE,
        replicas: database.replicas.length > 0,
        logger,
      },
      needs: { database: () => database.query('SELECT 1') },
    };
    const module = keepingDocuments(service.module(built), config.DOCUMENT_CACHE_BYTES);
    const background = service.background?.(built);
    if (background) closers.push(() => background.close());

    const duplicates = metrics?.counter({
      name: 'tributary_inbox_duplicates_total',
      help: 'Events that came again after they had taken effect; the inbox let each pass without one.',
      labels: ['service'],
    });
    duplicates?.labels(name).inc(0);
    const subscription = consume({
      database,
      stream,
      group: name,
      hear: service.hear,
      logger,
      heard: (events) => {
        caughtUp.heard(events);
        const passedOver = events.filter(({ type }) => !Object.hasOwn(service.hear, type));
        // Nothing goes stale by it, and gateways are to know that: else they would use nothing that is kept for who wrote it.
        if (passedOver.length > 0) void records?.drop({ told: toldOf(passedOver) });
      },
      heardAgain: (events) => duplicates?.labels(name).inc(events),
      tracer,
    });
    closers.push(() => subscription.close());
    // Closed before the subscription: told to a group that has left, an event would wait for it.
    const relay = new Relay({
      database,
      stream,
      pollMs: config.RELAY_POLL_MS,
      keepMs: config.OUTBOX_KEEP_DAYS * 86_400_000,
      ranges: config.RELAY_RANGES,
      leaseMs: config.RELAY_LEASE_MS,
      logger,
      clock: steady,
      tracer,
    });
    closers.push(() => relay.close());
    relay.start();

    metrics?.gauges([
      ...outboxGauges(database),
      ...streamGauges(stream, name as EventSource),
      ...databaseGauges(database),
      ...(service.gauges?.(database) ?? []),
    ]);
    if (metrics && service.counted) {
      const drift = new DriftWatch({ database, counted: service.counted, logger });
      closers.push(() => drift.close());
      metrics.gauges([drift.gauge]);
      drift.start();
    }
    const serving = await serve(module, listening, {
      logger,
      answered: metrics && ((method, status, ms, route) => metrics.request(name, method, status, ms, route)),
      tracer,
    });
    closers.push(() => serving.close());

    const settle = async (): Promise<void> => {
      await subscription.settled();
      await background?.settled();
      await relay.settled();
    };
    const drain = async (): Promise<void> => {
      listening.drain();
      await sleep(config.DRAIN_MS);
    };
    return { name, url: listening.url, database, cache, settle, drain, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** To databases, at most: beside those that read, one looks at each replica, and one at the primary for them. */
function connectionsOf({
  DATABASE_POOL_MAX: most,
  DATABASE_REPLICA_URLS: { length: replicas },
}: ServiceConfig): number {
  return most + (replicas === 0 ? 0 : replicas * (most + 1) + 1);
}

/** Services that hear nothing of what this one tells. */
function strangersOf(name: string): string[] {
  const listeners = Object.hasOwn(LISTENERS, name) ? LISTENERS[name as EventSource] : undefined;
  return listeners === undefined ? [] : Object.keys(LISTENERS).filter((service) => !listeners.includes(service));
}

const OWN_FILES = 64;
const MIGRATIONS = ['database: it is being opened, and migrations run'];
