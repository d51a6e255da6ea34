import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { LIFETIME_MAX_MS, openRecordCache, type RecordCache } from '#libs/cache';
import { HeapWatch, openFilesMax } from '#libs/lifecycle';
import { openBudgets, type Budgets } from '#libs/rate-limit';
import { watchRedis } from '#libs/redis';
import {
  steadyClock,
  systemClock,
  createLogger,
  Metrics,
  openTracing,
  type Clock,
  type Logger,
  type MetricsServer,
  type Tracing,
} from '#libs/telemetry';
import { loadPolicies } from './authorization/policy-module.js';
import { servingBuilder } from './build-serving.js';
import { EntityCache } from './cache/entity-cache.js';
import { openOperator } from './cache/operator.js';
import { CacheRules } from './cache/rules.js';
import type { GatewayConfig } from './config.js';
import { carryingClient } from './fetch/carrying.js';
import { Crowds } from './fetch/crowds.js';
import { ShortTurns } from './fetch/short-turns.js';
import { openSubgraphClient } from './fetch/subgraph-client.js';
import { renewedDispatcher } from './fetch/tls-files.js';
import { tracedClient } from './fetch/traced.js';
import { FirstKnown } from './first-known.js';
import { graphqlPartsOf } from './graphql-parts.js';
import { Admission } from './http/admission.js';
import type { Readiness } from './http/health.controller.js';
import { PersistedDocuments } from './http/persisted-documents.js';
import { Playground } from './http/playground.js';
import { serve } from './http/serve.js';
import { UnfitDocuments } from './http/unfit-documents.js';
import { endedOf, identityOf, neededOf, signerOf, tlsOf } from './identities.js';
import { gatewayMetrics } from './metrics.js';
import { tellNoteworthy } from './noteworthy.js';
import { connectionsWithin } from './open-files.js';
import { GatewayReadiness } from './readiness.js';
import { Refusals } from './refusals.js';
import { Reachable } from './supergraph/reachable.js';
import { ServedSupergraph, type Serving } from './supergraph/served.js';
import type { SupergraphSource } from './supergraph/source.js';
import { sourceOf } from './supergraph-source.js';
import { tellingStrangers } from './unheeded.js';

/** Everything but the port. */
export interface OpenedGateway {
  /** Takes requests and watches its supergraph from now on; answers where, for example http://127.0.0.1:4000/graphql */
  listen(): Promise<string>;
  /** Of ENTITY_CACHE_PORT. */
  readonly operatorUrl?: string;
  /** Resolves when a supergraph is served, each of its subgraphs has answered once, and what tokens are judged by has come once. */
  ready(): Promise<void>;
  /** What /health/ready says. */
  readiness(): Readiness;
  /** The same of this process alone. */
  ownReadiness(): Readiness;
  /** Where metrics are, while it listens and METRICS_PORT says so. */
  metricsUrl(): string | undefined;
  /** Looks at the supergraph now. */
  refresh(): Promise<void>;
  /** Is not ready for DRAIN_MS; then takes no new requests, ends those under way (at most REQUEST_TIMEOUT_MS), lets go of everything. */
  close(): Promise<void>;
}

export interface RunningGateway extends Omit<OpenedGateway, 'listen'> {
  readonly url: string;
}

export interface GatewayParts {
  readonly logger?: Logger;
  readonly clock?: Clock;
  readonly newId?: () => string;
  /** Where entities are kept with ENTITY_CACHE=on, if somebody in this process drops from it too. Closed by whoever opened it. */
  readonly records?: RecordCache | undefined;
  /** Where it counts, when others in this process do too; METRICS_PORT alone says whether it is shown. */
  readonly metrics?: Metrics | undefined;
  /** Where its traces go, when others in this process have some too; closed by whoever opened it. */
  readonly tracing?: Tracing | undefined;
  /** How often the files of SUBGRAPH_TLS_* are looked at, ms. */
  readonly tlsLookMs?: number;
  /** Instead of what SUPERGRAPH and SUBGRAPHS say, with `agree` and `everybody`: for one of several processes (workers/). */
  readonly source?: SupergraphSource;
  /** Has the last word on whether what was built is served; rejects when it is not. */
  readonly agree?: (build: () => Promise<Serving>) => Promise<Serving>;
  /** Own readiness → what /health/ready says. */
  readonly everybody?: (own: Readiness) => Readiness;
}

/** Listens at once; the supergraph and its subgraphs may come later, and /health/ready says what is still missing. */
export async function startGateway(config: GatewayConfig, parts: GatewayParts = {}): Promise<RunningGateway> {
  const { listen, ...gateway } = await openGateway(config, parts);
  return { ...gateway, url: await listen() };
}

/** The same before it listens: whoever has a supergraph to give it first calls `refresh`, then `listen`. */
export async function openGateway(config: GatewayConfig, parts: GatewayParts = {}): Promise<OpenedGateway> {
  const { logger = createLogger('gateway'), clock = systemClock, newId = randomUUID } = parts;
  const steady = parts.clock ?? steadyClock;
  const clocks = { clock, steady };
  const signer = signerOf(config, clocks);
  const tls = tlsOf(config, logger, parts.tlsLookMs);
  const dispatcher = renewedDispatcher(tls);
  const ended = endedOf(config, signer, { clock: steady, logger, dispatcher });
  const identity = identityOf(config, clocks, signer, { ended, dispatcher, logger });
  const known = new FirstKnown(neededOf(identity, ended), logger);
  const budgets = await budgetsOf(config, logger);
  // Of several processes the one that starts them has said so.
  if (!parts.source) tellNoteworthy(config, logger);
  const policies = config.POLICY_MODULE === undefined ? undefined : await loadPolicies(config.POLICY_MODULE);
  const metrics = parts.metrics ?? (config.METRICS_PORT === undefined ? undefined : await Metrics.open());
  const observe = metrics && gatewayMetrics(metrics);
  const tracing = parts.tracing ?? (await openTracing(config, logger));
  const tracer = tracing?.tracer('gateway');
  const wanted = { clients: config.CONNECTIONS_MAX, calls: config.SUBGRAPH_CONNECTIONS };
  const files = openFilesMax();
  const connections = connectionsWithin(files, wanted);
  if (connections.clients < wanted.clients || connections.calls < wanted.calls)
    logger.warn(
      { files, ...connections },
      'It may have fewer open files than CONNECTIONS_MAX and SUBGRAPH_CONNECTIONS say: so many clients are let in, and so many calls made to each address',
    );
  const heap = new HeapWatch(logger);
  const admission =
    config.OVERLOAD_MS === 0
      ? undefined
      : new Admission({
          lateMs: config.OVERLOAD_MS,
          max: connections.clients,
          tells: config.workers === 1 && config.TRUSTED_PROXIES > 0,
        });
  admission?.watch(heap);
  const refusals = admission && new Refusals(admission, logger).watch();
  const turns = new ShortTurns();
  const pools = openSubgraphClient({
    turns,
    timeoutMs: config.SUBGRAPH_TIMEOUT_MS,
    requestTimeoutMs: config.REQUEST_TIMEOUT_MS,
    bodyBytesMax: config.SUBGRAPH_BODY_BYTES,
    connections: connections.calls,
    assertion: (...what) => identity.assertion(...what),
    forwardResponse: config.FORWARD_RESPONSE_HEADERS,
    cacheHeaders: config.ENTITY_CACHE === 'on',
    breakerFailures: config.SUBGRAPH_BREAKER_FAILURES,
    hedgeMs: config.SUBGRAPH_HEDGE_MS,
    dnsMs: config.SUBGRAPH_DNS_MS,
    tls: tls.now,
    ...(observe ? { observe } : {}),
    lateInLineMs: config.OVERLOAD_MS,
    turnsAway: new Crowds(logger).turnedAway,
    clock: steady,
  });
  tls.onRenewed((now) => pools.upstreams.renew(now));
  const client = carryingClient(tracer ? tracedClient(pools) : pools, {
    urlOf: (subgraph) => served.current?.supergraph.subgraphs.get(subgraph)?.url,
    observe: observe?.carried,
  });
  const persisted =
    config.PERSISTED_DOCUMENTS === undefined
      ? undefined
      : new PersistedDocuments(config.PERSISTED_DOCUMENTS, {
          safelist: config.SAFELIST === 'on',
          logger,
          changed: () => void unfit?.look(served.current?.documents),
        });
  const unfit = persisted && new UnfitDocuments(persisted, logger);
  const records =
    config.ENTITY_CACHE === 'off'
      ? undefined
      : (parts.records ??
        openRecordCache({
          redisUrl: config.REDIS_URL,
          memoryBytesMax: config.ENTITY_CACHE_BYTES,
          logger,
          clock: steady,
        }));
  const entities = records && new EntityCache({ records, answersBytes: config.ENTITY_CACHE_ANSWERS_BYTES });
  await records?.ready();
  if (entities)
    logger.info(
      { boundMs: LIFETIME_MAX_MS, shared: config.REDIS_URL !== undefined },
      'Entities are kept, none for longer than this after its service was asked, even where a drop is lost',
    );
  const redis =
    metrics && config.REDIS_URL !== undefined && (budgets || records)
      ? watchRedis(config.REDIS_URL, 'gateway')
      : undefined;
  if (redis) metrics?.gauges([redis.gauge]);
  const reachable = new Reachable({ client, logger, clock: steady });
  const tellStrangers = tellingStrangers(config, logger);
  const build = servingBuilder(config, {
    client,
    logger,
    clock: steady,
    entities,
    reachable,
    current: () => served.current,
    // Of several processes the one that reads it says so.
    built: parts.source ? undefined : ({ subgraphs }) => tellStrangers(subgraphs.keys()),
  });
  const served = new ServedSupergraph({
    source: parts.source ?? sourceOf(config, identity, logger, dispatcher),
    build: parts.agree ? (sdl) => parts.agree!(() => build(sdl)) : build,
    pollMs: config.SUPERGRAPH_POLL_MS,
    logger,
    // Of several processes the one that reads it says so.
    ...(parts.source ? { waitsSaidMs: Infinity } : {}),
    used(supergraphs) {
      void unfit?.look(served.current?.documents);
      reachable.keep(supergraphs);
      client.upstreams.keep(
        new Set(supergraphs.flatMap(({ subgraphs }) => [...subgraphs.values()].map(({ url }) => url))),
      );
    },
  });
  const state = new GatewayReadiness({
    served,
    reachable,
    known,
    admission,
    heap,
    persisted,
    everybody: parts.everybody,
  });
  const readiness = (): Readiness => state.said();
  const playground = config.playground ? new Playground() : undefined;
  const server = await serve({
    connected: () => turns.connected(),
    host: config.HOST,
    port: config.PORT,
    connectionsMax: connections.clients,
    limits: {
      headerBytes: config.HEADER_BYTES,
      headersMax: config.HEADERS_MAX,
      headersTimeoutMs: config.HEADERS_TIMEOUT_MS,
      arrivalTimeoutMs: config.ARRIVAL_TIMEOUT_MS,
    },
    rejected: observe?.rejected,
    closeMs: config.REQUEST_TIMEOUT_MS,
    logger,
    playground,
    readiness,
    graphql: graphqlPartsOf(config, {
      served,
      admission,
      observe,
      tracer,
      identity,
      budgets,
      persisted,
      policies,
      playground,
      heap,
      logger,
      clocks,
      newId,
    }),
  });
  observe?.watch({
    upstreams: client.upstreams,
    tls,
    admission,
    served,
    server,
    ended,
    persisted,
    isReady: () => readiness().ready,
  });
  let first: Promise<void> | undefined;
  const operator =
    entities && config.ENTITY_CACHE_PORT !== undefined
      ? await openOperator({
          cache: entities,
          rules: () => {
            const current = served.current;
            return current && new CacheRules(current.supergraph);
          },
          host: config.HOST,
          port: config.ENTITY_CACHE_PORT,
          secret: config.ENTITY_CACHE_SECRET!,
          several: config.workers > 1,
        })
      : undefined;
  let scraped: MetricsServer | undefined;
  return {
    async listen() {
      if (metrics && config.METRICS_PORT !== undefined) {
        const { HOST: host, METRICS_PORT: port, METRICS_TOKEN: token } = config;
        scraped = await metrics.listen({ host, port, token });
        logger.info({ url: scraped.url }, 'Metrics');
      }
      const { port } = await server.listen();
      first = served.start();
      ended?.start();
      void known.all();
      const host = config.HOST.includes(':') ? `[${config.HOST}]` : config.HOST;
      return `http://${host}:${port}/graphql`;
    },
    async ready() {
      await first;
      await served.served();
      let current: Serving | undefined;
      // One that was switched out meanwhile is waited for no longer.
      while (current !== served.current) {
        current = served.current;
        if (current) await reachable.all(current.supergraph);
      }
      await known.all();
    },
    readiness,
    ownReadiness: () => state.own(),
    ...(operator ? { operatorUrl: operator.url } : {}),
    metricsUrl: () => scraped?.url,
    refresh: () => served.refresh(),
    async close() {
      state.ending = true;
      if (config.DRAIN_MS > 0) {
        server.drain();
        await sleep(config.DRAIN_MS);
      }
      reachable.close();
      known.close();
      tls.close();
      heap.close();
      persisted?.close();
      unfit?.close();
      await operator?.close();
      await ended?.close();
      await server.close();
      admission?.close();
      refusals?.close();
      await served.close();
      await client.close();
      await dispatcher?.close();
      await budgets?.close();
      redis?.close();
      if (!parts.records) await records?.close();
      await scraped?.close();
      if (!parts.tracing) await tracing?.close();
    },
  };
}

/** Undefined: nobody's use is limited. */
function budgetsOf(config: GatewayConfig, logger: Logger): Promise<Budgets> | undefined {
  const { RATE_LIMIT_PERSON: person, RATE_LIMIT_ADDRESS: address, REDIS_URL: redisUrl } = config;
  return person + address === 0 ? undefined : openBudgets({ redisUrl, logger });
}
