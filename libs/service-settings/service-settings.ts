import { KEEP_HOURS } from '#libs/idempotency';
import { KEEP_DAYS, LEASE_MS } from '#libs/outbox';
import {
  address,
  addresses,
  choice,
  port,
  secret,
  text,
  whole,
  type Environment,
  type Heeded,
  type Settings,
  type Values,
} from '#libs/settings';
import { logSettings, tracingSettings } from '#libs/telemetry';

/** The settings that every subgraph has; each adds its own. */
export function serviceSettings(standardPort: number) {
  return {
    HOST: text({ default: '127.0.0.1', why: 'The address it listens on; only the gateway needs to reach it.' }),
    PORT: port({ default: standardPort, why: 'The port it listens on.' }),
    DATA_DIR: text({ default: './data', why: 'The folder of the embedded database and of generated keys.' }),
    DATABASE_URL: address({
      protocols: ['postgres:', 'postgresql:'],
      why: 'Its PostgreSQL database; absent: an embedded one under DATA_DIR.',
    }),
    DATABASE_POOL_MAX: whole({
      min: 1,
      max: 100,
      default: 10,
      why: 'The most connections to that database, and as many to each replica; with replicas one more to each, and to it.',
    }),
    DATABASE_REPLICA_URLS: addresses({
      protocols: ['postgres:', 'postgresql:'],
      default: [],
      why: 'Replicas of DATABASE_URL, each one server: reads of who has written nothing lately go to them, unless they fill a cache. None need be there (docs/running.md).',
    }),
    DATABASE_REPLICA_LAG_MS: whole({
      min: 100,
      max: 60_000,
      unit: 'ms',
      default: 2_000,
      why: 'A replica that may lack what is older is not read. Far less than CONSISTENCY_TOKEN_S of the gateways, for whose time who has written reads from the primary.',
    }),
    REDIS_URL: address({
      protocols: ['redis:', 'rediss:'],
      why: 'Redis for the cache and the event stream, of this graph alone; absent: both live in this process.',
    }),
    CACHE: choice(['on', 'off'], { default: 'on', why: 'off reads everything from the database.' }),
    ENTITY_CACHE: choice(['off', 'on'], {
      default: 'off',
      why: "on: what a commit makes stale is dropped from the gateways' entity cache in REDIS_URL before the write is acknowledged.",
    }),
    ASSERTION_SECRET: secret({
      why: 'Proves that a request comes from the gateway; required with DATABASE_URL, else made once and kept under DATA_DIR.',
    }),
    NODE_ENV: text({
      default: 'development',
      why: 'production refuses secrets that anybody would try first; else they are told of at the start, and taken.',
    }),
    TIMED_ASSERTIONS: choice(['refuse', 'take'], {
      default: 'refuse',
      why: 'take: also what gateways of before sign, which is good for whatever they ask for half a minute; only while services are updated before their gateways.',
    }),
    METRICS_PORT: port({ why: 'Where GET /metrics answers Prometheus, on HOST; absent: nothing is measured.' }),
    METRICS_TOKEN: secret({
      why: 'What Prometheus has to send (Authorization: Bearer …); absent: whoever reaches the port may look.',
    }),
    ...logSettings,
    ...tracingSettings,
    RELAY_POLL_MS: whole({
      min: 10,
      max: 60_000,
      unit: 'ms',
      default: 200,
      why: 'How often the outbox is looked at without being woken: finds what another process wrote before it died.',
    }),
    RELAY_RANGES: whole({
      min: 1,
      max: 64,
      default: 1,
      why: 'How many ranges the aggregates are divided into, each told by one process of the service at a time; more only when one process cannot tell them all. The same for all of them; after a change what OUTBOX_KEEP_DAYS retains is told once more, which the inboxes sort out.',
    }),
    RELAY_LEASE_MS: whole({
      min: 500,
      max: 60_000,
      unit: 'ms',
      default: LEASE_MS,
      why: 'How long a range waits for a process that was killed before another one tells its events.',
    }),
    DRAIN_MS: whole({
      min: 0,
      max: 300_000,
      unit: 'ms',
      default: 5_000,
      why: 'At SIGTERM it answers for that long while /health/ready says 503 and each answer ends its connection: longer than a gateway keeps an idle one (4 s), and than a load balancer takes to notice. Not in npm start, where nobody else could be asked.',
    }),
    DOCUMENT_CACHE_BYTES: whole({
      min: 65_536,
      max: 1_073_741_824,
      unit: 'bytes',
      default: 30 * 1024 * 1024,
      why: 'Parsed and validated documents are kept up to this size.',
    }),
    CONSISTENCY_WAIT_MS: whole({
      min: 0,
      max: 60_000,
      unit: 'ms',
      default: 2_000,
      why: 'How long a read that carries a consistency token waits for what the reader has written elsewhere, before the gateway brings it from there; shorter than the gateway waits (SUBGRAPH_TIMEOUT_MS).',
    }),
    CONSISTENCY_LATE: choice(['refuse', 'answer'], {
      default: 'refuse',
      why: 'What such a read is told after that, where nobody can bring it: NOT_CAUGHT_UP, or, at once after the wait, what there is.',
    }),
    OUTBOX_KEEP_DAYS: whole({
      min: 1,
      max: 365,
      unit: 'days',
      default: KEEP_DAYS,
      why: 'How long a published event is kept: what a Redis that loses its data is filled with again.',
    }),
    IDEMPOTENCY_KEEP_HOURS: whole({
      min: 1,
      max: 720,
      unit: 'hours',
      default: KEEP_HOURS,
      why: 'How long a mutation that came with an Idempotency-Key may be repeated; after that it would be done again.',
    }),
  };
}

export type ServiceConfig = Values<ReturnType<typeof serviceSettings>>;

/** Two processes on one database have to agree on a secret, so it cannot be made up by either; and what is embedded has no replica. */
export function missingBeside(
  name: string,
  { DATABASE_URL, ASSERTION_SECRET, DATABASE_REPLICA_URLS }: ServiceConfig,
): string[] {
  if (DATABASE_URL === undefined)
    return DATABASE_REPLICA_URLS.length === 0
      ? []
      : ['DATABASE_REPLICA_URLS takes a DATABASE_URL beside it: an embedded database has no replicas'];
  return ASSERTION_SECRET === undefined
    ? [`ASSERTION_SECRET is required with DATABASE_URL: the secret that the gateway has for ${name}`]
    : [];
}

/** What a service takes from its environment when it runs alone. */
export function serviceHeeds(name: string, settings: Settings, env: Environment) {
  const why = `${name} alone takes DATABASE_URL, and without it is on an embedded database under DATA_DIR`;
  return {
    program: name,
    names: Object.keys(settings),
    instead: env['DATABASE_URL'] ? {} : { [`${name.toUpperCase()}_DATABASE_URL`]: why },
  } satisfies Heeded;
}
