import { ConsistencyTokens } from '#libs/consistency';
import type { HeapWatch } from '#libs/lifecycle';
import type { Budgets } from '#libs/rate-limit';
import type { Clock } from '#libs/telemetry';
import { grantsByModule, type Policies } from './authorization/policy-module.js';
import type { GatewayConfig } from './config.js';
import { explainPermission } from './explain/permission.js';
import { Bodies } from './http/bodies.js';
import { Consistency } from './http/consistency.js';
import type { GraphqlOverHttpParts } from './http/graphql-over-http-parts.js';
import type { PersistedDocuments } from './http/persisted-documents.js';
import type { Playground } from './http/playground.js';
import { clientOf, Rates } from './http/rates.js';
import { variablesHeapBytes } from './http/read-request.js';
import { Turns, waitingBytesMax } from './http/turns.js';
import { Untaken } from './http/untaken.js';
import type { Clocks } from './identities.js';

/** What has been opened already, as it is handed on. */
type Opened = Pick<
  GraphqlOverHttpParts,
  'served' | 'admission' | 'observe' | 'tracer' | 'identity' | 'logger' | 'newId'
>;

/** The settings, as far as they say how a request is answered. */
export function graphqlPartsOf(
  config: GatewayConfig,
  opened: Opened & {
    readonly clocks: Clocks;
    readonly budgets: Budgets | undefined;
    readonly persisted: PersistedDocuments | undefined;
    readonly policies: Policies | undefined;
    readonly playground: Playground | undefined;
    readonly heap: HeapWatch;
  },
): GraphqlOverHttpParts {
  const { served, admission, observe, tracer, identity, logger, newId } = opened;
  const { clocks, budgets, persisted, policies, playground, heap } = opened;
  const variables = { bytes: config.VARIABLES_BYTES, depth: config.LIMIT_VALUE_DEPTH };
  const bodiesBytes = Math.max(config.BODIES_BYTES, 4 * config.BODY_BYTES);
  return {
    served,
    admission,
    observe,
    tracer,
    identity,
    consistency: consistencyOf(config, clocks.clock),
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
    clock: clocks.steady,
    newId,
  };
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
  if (secret === undefined) return undefined;
  const mutationS = (config.ARRIVAL_TIMEOUT_MS + config.REQUEST_TIMEOUT_MS) / 1_000;
  return new Consistency(new ConsistencyTokens({ secret, lifetimeS, clock }), {
    overlapS: mutationS + CLOCKS_APART_S + LINES_S,
    proxies: config.TRUSTED_PROXIES,
    processes: config.workers,
  });
}

/** Of two gateways, as far as one takes what the other made. */
const CLOCKS_APART_S = 60;
/** To a browser and back, on a poor line. */
const LINES_S = 30;
