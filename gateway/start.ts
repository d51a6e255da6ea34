import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Dispatcher } from 'undici';
import { ConsistencyTokens } from '#libs/consistency';
import { ASSERTION_HEADER, AssertionSigner, TokenVerifier, type Call, type EndedSessions } from '#libs/identity';
import { HeapWatch, openFilesMax } from '#libs/lifecycle';
import { openBudgets, type Budgets } from '#libs/rate-limit';
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
import { grantsByModule, loadPolicies } from './authorization/policy-module.js';
import { LIFETIME_MAX_MS, openRecordCache, type RecordCache } from '#libs/cache';
import { EntityCache } from './cache/entity-cache.js';
import { openOperator } from './cache/operator.js';
import { CacheRules } from './cache/rules.js';
import { isOwn, secretVariableOf, type GatewayConfig } from './config.js';
import type { Engine, EngineFactory } from './engine.js';
import { explainPermission } from './explain/permission.js';
import { splitAddresses } from './fetch/addresses.js';
import { carryingClient } from './fetch/carrying.js';
import { openSubgraphClient } from './fetch/subgraph-client.js';
import { dispatcherWith, fetchWith, readTls, type SubgraphTls } from './fetch/tls.js';
import { tracedClient } from './fetch/traced.js';
import { Admission } from './http/admission.js';
import { Bodies } from './http/bodies.js';
import { Consistency } from './http/consistency.js';
import { Documents } from './http/documents.js';
import { noIdentity, tokenIdentity, type Identity } from './http/identity.js';
import { endedSessionsAt } from './http/ended-sessions.js';
import type { Readiness } from './http/health.controller.js';
import { PersistedDocuments } from './http/persisted-documents.js';
import { Playground } from './http/playground.js';
import { clientOf, Rates } from './http/rates.js';
import { variablesHeapBytes } from './http/read-request.js';
import { serve } from './http/serve.js';
import { Turns, waitingBytesMax } from './http/turns.js';
import { Untaken } from './http/untaken.js';
import { gatewayMetrics } from './metrics.js';
import { connectionsWithin } from './open-files.js';
import { listSizesOf, weightsOf } from './supergraph/cost-directives.js';
import { Reachable } from './supergraph/reachable.js';
import { ServedSupergraph, type Serving } from './supergraph/served.js';
import { fileSource, servicesSource, urlSource, type SupergraphSource } from './supergraph/source.js';
import { readSupergraph, SupergraphError, variableOf } from './supergraph/supergraph.js';

/** Everything but the port. */
export interface OpenedGateway {
  /** Takes requests and watches its supergraph from now on; answers where, for example http://127.0.0.1:4000/graphql */
  listen(): Promise<string>;
  /** Of ENTITY_CACHE_PORT. */
  readonly operatorUrl?: string;
  /** Resolves when a supergraph is served and each of its subgraphs has answered once. */
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
  /** Instead of what SUPERGRAPH and SUBGRAPHS say, with `agree` and `everybody`: for one of several processes (workers/). */
  readonly source?: SupergraphSource;
  /** Has the last word on whether what was built is served; rejects when it is not. */
  readonly agree?: (build: () => Promise<Serving>) => Promise<Serving>;
  /** Own readiness → what /health/ready says. */
  readonly everybody?: (own: Readiness) => Readiness;
}

/** A supergraph that plans slowly is switched in cold rather than late. */
const WARM_UP_MS = 10_000;

/** A gateway whose event loop has been late for so long answers nobody in time: others are to be asked meanwhile. */
const PRESSED_MS = 1_000;

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
  const tls = tlsOf(config);
  const dispatcher = dispatcherWith(tls);
  const ended =
    config.ENDED_SESSIONS_URL === undefined
      ? undefined
      : endedSessionsAt(config.ENDED_SESSIONS_URL, {
          assertion: (call) => signer.sign(USERS, null, call),
          pollMs: config.ENDED_SESSIONS_POLL_MS,
          clock: steady,
          logger,
          dispatcher,
        });
  const identity = identityOf(config, clocks, signer, { ended, dispatcher });
  const budgets = await budgetsOf(config, logger);
  if (budgets === undefined && !isOwn(config))
    logger.warn({}, 'Anybody may ask for as much as they like: RATE_LIMIT_PERSON and RATE_LIMIT_ADDRESS are not set');
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
  const variables = { bytes: config.VARIABLES_BYTES, depth: config.LIMIT_VALUE_DEPTH };
  const bodiesBytes = Math.max(config.BODIES_BYTES, 4 * config.BODY_BYTES);
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
  const pools = openSubgraphClient({
    timeoutMs: config.SUBGRAPH_TIMEOUT_MS,
    bodyBytesMax: config.SUBGRAPH_BODY_BYTES,
    connections: connections.calls,
    assertion: (...what) => identity.assertion(...what),
    forwardResponse: config.FORWARD_RESPONSE_HEADERS,
    cacheHeaders: config.ENTITY_CACHE === 'on',
    breakerFailures: config.SUBGRAPH_BREAKER_FAILURES,
    hedgeMs: config.SUBGRAPH_HEDGE_MS,
    dnsMs: config.SUBGRAPH_DNS_MS,
    tls,
    ...(observe ? { observe } : {}),
    lateInLineMs: config.OVERLOAD_MS,
    clock: steady,
  });
  const client = carryingClient(tracer ? tracedClient(pools) : pools, {
    urlOf: (subgraph) => served.current?.supergraph.subgraphs.get(subgraph)?.url,
    observe: observe?.carried,
  });
  const persisted =
    config.PERSISTED_DOCUMENTS === undefined
      ? undefined
      : new PersistedDocuments(config.PERSISTED_DOCUMENTS, { safelist: config.SAFELIST === 'on', logger });
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
  const reachable = new Reachable({ client, logger, clock: steady });

  async function build(sdl: string): Promise<Serving> {
    const supergraph = readSupergraph(sdl, config.addressOf, config.mayAsk);
    requireSecrets(config, [...supergraph.subgraphs.keys()]);
    const createEngine = await engineFactory(config.ENGINE);
    const engine = await createEngine(supergraph, {
      subgraphs: client,
      logger,
      clock: steady,
      planner: config.PLANNER,
      merge: config.MERGE,
      join: config.JOIN === 'on',
      overrideLabels: config.OVERRIDE_LABELS,
      unauthorized: config.UNAUTHORIZED,
      entities,
      planCacheBytes: config.PLAN_CACHE_BYTES,
      answerBytesMax: config.ANSWER_BYTES,
    });
    const listSizes = listSizesOf(supergraph);
    const documents = new Documents(supergraph.schema, {
      limits: config.limits,
      introspection: config.introspection,
      suggestions: config.introspection,
      cacheBytes: config.DOCUMENT_CACHE_BYTES,
      listSizes,
      cost: {
        limit: config.COST_LIMIT,
        listSize: config.COST_LIST_SIZE,
        listSizes,
        weights: weightsOf(supergraph),
      },
    });
    await warmUp(engine, documents);
    warnOfStrangers(config, [...supergraph.subgraphs.keys()], logger);
    void reachable.all(supergraph);
    return { supergraph, engine, documents };
  }

  /** Whoever asks first on the new supergraph does not wait for plans that everybody needs. */
  async function warmUp(engine: Engine, documents: Documents): Promise<void> {
    const used = served.current?.engine.mostUsed?.(config.WARM_UP_OPERATIONS) ?? [];
    if (used.length === 0 || !engine.warm) return;
    const began = steady();
    const ready = await engine.warm(
      used,
      (query, name) => documents.operation(query, name),
      AbortSignal.timeout(WARM_UP_MS),
    );
    logger.info({ operations: used.length, ready, ms: steady() - began }, 'Planned what is asked most');
  }

  const served = new ServedSupergraph({
    source: parts.source ?? sourceOf(config, identity, logger, dispatcher),
    build: parts.agree ? (sdl) => parts.agree!(() => build(sdl)) : build,
    pollMs: config.SUPERGRAPH_POLL_MS,
    logger,
    used(supergraphs) {
      reachable.keep(supergraphs);
      client.upstreams.keep(
        new Set(supergraphs.flatMap(({ subgraphs }) => [...subgraphs.values()].map(({ url }) => url))),
      );
    },
  });

  let ending = false;
  function ownReadiness(): Readiness {
    const current = served.current;
    const missing = current
      ? reachable.missing(current.supergraph)
      : [`supergraph: ${withoutAddresses(served.trouble ?? 'it is being read')}`];
    const waitingFor = ending ? ['nothing: it is ending', ...missing] : missing;
    return {
      ready: waitingFor.length === 0,
      started: current !== undefined,
      waitingFor,
      ...(current ? { supergraph: current.supergraph.id.slice(0, 12), ...current.engine.about } : {}),
      ...(current && served.trouble ? { newest: `not served: ${withoutAddresses(served.trouble)}` } : {}),
    };
  }

  function readiness(): Readiness {
    const said = parts.everybody?.(ownReadiness()) ?? ownReadiness();
    // Of this process alone: its fellows (workers/) go on.
    const own = [
      ...(admission && admission.pressedMs >= PRESSED_MS ? ['event loop: its steps take too long'] : []),
      ...(heap.full ? ['heap: it is nearly full'] : []),
    ];
    return own.length === 0 ? said : { ...said, ready: false, waitingFor: [...said.waitingFor, ...own] };
  }

  const playground = config.playground ? new Playground() : undefined;
  const server = await serve({
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
    graphql: {
      served,
      admission,
      observe,
      tracer,
      identity,
      consistency: consistencyOf(config, clock),
      monotonicReadsOf: MONOTONIC_READS_OF[config.MONOTONIC_READS],
      cors: config.cors,
      forward: config.FORWARD_HEADERS,
      ...(persisted ? { documentText: persisted.textOf, registered: persisted.has } : {}),
      rates: budgets && ratesOf(config, budgets),
      proxies: config.TRUSTED_PROXIES,
      client: config.IDENTITY === 'jwt' ? (request) => clientOf(request, config.TRUSTED_PROXIES) : undefined,
      bodyBytesMax: config.BODY_BYTES,
      variables,
      errorsMax: config.LIMIT_ERRORS,
      bodies: new Bodies(bodiesBytes),
      turns: new Turns(
        waitingBytesMax(bodiesBytes, variablesHeapBytes(variables), heap.maxBytes),
        config.OVERLOAD_MS === 0 ? Infinity : config.OVERLOAD_MS,
        admission && (() => admission.refusedAt),
      ),
      heap,
      untaken: new Untaken({
        bytesMax: Math.max(config.UNTAKEN_BYTES, 4 * config.ANSWER_BYTES),
        ms: config.UNTAKEN_MS,
        told: (bytes) => logger.info({ bytes }, 'A client that did not take its answers was cut'),
      }),
      timeoutMs: config.REQUEST_TIMEOUT_MS,
      suggestions: config.introspection,
      grants:
        policies &&
        (({ headers }, bearer) =>
          grantsByModule(
            policies,
            bearer?.grants,
            { subject: bearer?.subject ?? null, claims: bearer?.claims ?? null, headers },
            logger,
          )),
      explain: explainPermission(config.explain),
      page: playground && ((request, response) => playground.page(request, response)),
      logger,
      clock: steady,
      newId,
    },
  });
  observe?.watch({
    upstreams: client.upstreams,
    admission,
    served,
    server,
    ended,
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
    },
    readiness,
    ownReadiness,
    ...(operator ? { operatorUrl: operator.url } : {}),
    metricsUrl: () => scraped?.url,
    refresh: () => served.refresh(),
    async close() {
      ending = true;
      if (config.DRAIN_MS > 0) {
        server.drain();
        await sleep(config.DRAIN_MS);
      }
      reachable.close();
      heap.close();
      persisted?.close();
      await operator?.close();
      await ended?.close();
      await server.close();
      admission?.close();
      await served.close();
      await client.close();
      await dispatcher?.close();
      await budgets?.close();
      if (!parts.records) await records?.close();
      await scraped?.close();
      if (!parts.tracing) await tracing?.close();
    },
  };
}

/** Where the supergraph comes from, for whoever reads it on behalf of several gateways. */
export function openSource(config: GatewayConfig, logger: Logger): SupergraphSource {
  const identity = identityOf(config, CLOCKS, signerOf(config, CLOCKS), {});
  return sourceOf(config, identity, logger, dispatcherWith(tlsOf(config)));
}

function tlsOf(config: GatewayConfig): SubgraphTls {
  return readTls({ ca: config.SUBGRAPH_TLS_CA, cert: config.SUBGRAPH_TLS_CERT, key: config.SUBGRAPH_TLS_KEY });
}

function sourceOf(
  config: GatewayConfig,
  identity: Identity,
  logger: Logger,
  dispatcher: Dispatcher | undefined,
): SupergraphSource {
  if (config.SUPERGRAPH === undefined) {
    const headers = (service: string, call: Call): Record<string, string> => {
      const assertion = identity.assertion(service, null, call);
      return assertion === undefined ? {} : { [ASSERTION_HEADER]: assertion };
    };
    const services = config.services.map(({ name, url }) => ({ name, url: webAddress(config.addressOf(name)) ?? url }));
    requireSecrets(
      config,
      services.map(({ name }) => name),
    );
    return servicesSource(services, headers, logger, config.COMPOSER, dispatcher);
  }
  return /^https?:/i.test(config.SUPERGRAPH) ? urlSource(config.SUPERGRAPH, dispatcher) : fileSource(config.SUPERGRAPH);
}

/** Of the addresses of a subgraph the first that can be asked for its SDL. */
function webAddress(addresses: string | undefined): string | undefined {
  return splitAddresses(addresses ?? '').find((address) => /^https?:/i.test(address));
}

/** The subgraph that knows who is logged in. */
const USERS = 'users';

/** What time it is, and what time it would be had nobody set the clock since this process began. */
interface Clocks {
  readonly clock: Clock;
  readonly steady: Clock;
}

const CLOCKS: Clocks = { clock: systemClock, steady: steadyClock };

function signerOf(config: GatewayConfig, clocks: Clocks): AssertionSigner {
  return new AssertionSigner({ secrets: (subgraph) => config.secretOf(subgraph)!, ...clocks });
}

function identityOf(
  config: GatewayConfig,
  clocks: Clocks,
  signer: AssertionSigner,
  { ended, dispatcher }: { ended?: EndedSessions | undefined; dispatcher?: Dispatcher | undefined },
): Identity {
  if (config.IDENTITY === 'off') return noIdentity;
  return tokenIdentity({
    verifier: new TokenVerifier({
      keys: new URL(config.JWKS_URL!),
      issuer: config.TOKEN_ISSUER,
      audience: config.TOKEN_AUDIENCE,
      algorithms: config.TOKEN_ALGORITHMS,
      type: config.TOKEN_TYPE,
      revocable: config.ENDED_SESSIONS_URL !== undefined,
      ...clocks,
      fetch: fetchWith(dispatcher),
    }),
    signer,
    clock: clocks.clock,
    ended,
  });
}

/** Undefined: nobody's use is limited. */
function budgetsOf(config: GatewayConfig, logger: Logger): Promise<Budgets> | undefined {
  const { RATE_LIMIT_PERSON: person, RATE_LIMIT_ADDRESS: address, REDIS_URL: redisUrl } = config;
  return person + address === 0 ? undefined : openBudgets({ redisUrl, logger });
}

function ratesOf(config: GatewayConfig, budgets: Budgets): Rates {
  const of = (name: string, points: number) =>
    points === 0 ? undefined : budgets.of({ name, points, windowS: config.RATE_LIMIT_WINDOW_S });
  return new Rates({
    person: of('person', config.RATE_LIMIT_PERSON),
    address: of('address', config.RATE_LIMIT_ADDRESS),
    people: of('people', config.RATE_LIMIT_ADDRESS * config.RATE_LIMIT_ADDRESS_PEOPLE),
    proxies: config.TRUSTED_PROXIES,
  });
}

/** Who may ask for reads past every cache. */
const MONOTONIC_READS_OF = {
  nobody: undefined,
  people: (subject: string | null) => subject !== null,
  everybody: () => true,
};

function consistencyOf(config: GatewayConfig, clock: Clock): Consistency | undefined {
  const { CONSISTENCY_SECRET: secret, CONSISTENCY_TOKEN_S: lifetimeS } = config;
  return secret === undefined ? undefined : new Consistency(new ConsistencyTokens({ secret, lifetimeS, clock }));
}

function requireSecrets(config: GatewayConfig, subgraphs: readonly string[]): void {
  if (config.IDENTITY === 'off') return;
  const missing = subgraphs.filter((subgraph) => config.secretOf(subgraph) === undefined).map(secretVariableOf);
  if (missing.length > 0)
    throw new SupergraphError(
      `With IDENTITY=jwt each subgraph shares a secret with the gateway; set ${missing.join(', ')}.`,
    );
}

/** An address for a subgraph that is not there is a misspelt name, and the subgraph that was meant is asked elsewhere. */
function warnOfStrangers(config: GatewayConfig, subgraphs: readonly string[], logger: Logger): void {
  const known = subgraphs.map(variableOf);
  const unknown = config.addressVariables.filter((name) => !known.includes(name));
  if (unknown.length > 0)
    logger.warn({ unknown, known }, 'The supergraph has no subgraph by this name, so its address is not used');
}

/** Loaded by name, so that an engine that is not used costs neither memory nor its licence. */
async function engineFactory(name: GatewayConfig['ENGINE']): Promise<EngineFactory> {
  const file = { apollo: './stock/engine.js', tributary: './run/engine.js' }[name];
  const { createEngine } = (await import(file)) as { createEngine: EngineFactory };
  return createEngine;
}

/** Anybody may ask for our health; where things are is not for anybody. */
function withoutAddresses(text: string): string {
  return (
    text
      .split('\n')[0]!
      .replaceAll(/https?:\/\/\S+|(?:\/[\w.-]+){2,}|\("[^"]*"\)/g, '…')
      // `posts.internal:4002` has no other sign of being one.
      .replaceAll(/ at \S+,/g, ' at …,')
      .slice(0, 300)
  );
}
