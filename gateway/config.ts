import { availableParallelism } from 'node:os';
import {
  address,
  choice,
  choices,
  flag,
  isLoopback,
  names,
  port,
  readSettings,
  secret,
  text,
  whole,
  type Environment,
  type Setting,
  type Values,
} from '#libs/settings';
import { TOKEN_ALGORITHMS } from '#libs/identity';
import { logSettings, tracingSettings } from '#libs/telemetry';
import { ANSWERS_BYTES } from './cache/whole-answers.js';
import { servicesOf } from './config-addresses.js';
import { mistakesIn } from './config-mistakes.js';
import type { ExplainRules } from './explain/permission.js';
import { ANSWER_BYTES_MAX } from './http/answer-bytes.js';
import { CLIENT_ERRORS_MAX } from './http/client-errors.js';
import type { CorsRules } from './http/cross-site.js';
import { DOCUMENT_LIMITS, type Limits } from './http/limits.js';
import { NODE_LIMITS } from './http/node-limits.js';
import { VARIABLE_LIMITS } from './http/variables.js';
import { ERRORS_KEPT } from './run/outcome.js';
import type { Service } from './supergraph/source.js';
import { hostRule, type HostRule } from './supergraph/hosts.js';
import { variableOf, type AddressOf } from './supergraph/supergraph.js';

const WORKERS_MAX = 256;

/** Every setting of the gateway. Two families of names are open: `SUBGRAPH_URL_<NAME>` and `ASSERTION_SECRET_<NAME>`. */
export const gatewaySettings = {
  HOST: text({
    takes: 'an address of this machine',
    default: '127.0.0.1',
    why: 'Where it listens; 0.0.0.0 for every interface.',
  }),
  PORT: port({ default: 4000, why: 'Where it listens.' }),
  SUPERGRAPH: text({
    takes: 'a file, or an address that begins with http: or https:',
    why: 'The composed graph; watched, and switched when it changes.',
  }),
  SUBGRAPHS: text({
    takes: 'name=address pairs separated by commas',
    why: 'Instead of SUPERGRAPH: compose what these running services say of themselves.',
  }),
  COMPOSER: choice(['auto', 'apollo', 'guild'], {
    default: 'auto',
    why: 'Who composes SUBGRAPHS: @apollo/composition (Elastic-2.0) or @theguild/federation-composition (MIT); auto takes the first that is installed.',
  }),
  SUPERGRAPH_POLL_MS: whole({
    min: 100,
    max: 600_000,
    unit: 'ms',
    default: 2_000,
    why: 'How often the supergraph is looked at again.',
  }),
  WORKERS: workers({
    why: 'Processes that share the port in npm run gateway (npm start is one, whatever this says); auto: one for each core. All serve the same supergraph at any time, and CONNECTIONS_MAX is theirs together.',
  }),
  ENGINE: choice(['tributary', 'apollo'], {
    default: 'tributary',
    why: 'What runs operations: our engine, or the stock ApolloGateway.',
  }),
  PLANNER: choice(['auto', 'native', 'apollo'], {
    default: 'auto',
    why: 'Which planner our engine asks; auto takes the native one where it fits.',
  }),
  MERGE: choice(['flow', 'plan'], {
    default: 'flow',
    why: 'Do fetches that become ready together travel together, or as the plan has them?',
  }),
  WARM_UP_OPERATIONS: whole({
    min: 0,
    max: 10_000,
    default: 200,
    why: 'So many of the most used operations are planned on a new supergraph before it is switched in.',
  }),
  ENTITY_CACHE: choice(['off', 'on'], {
    default: 'off',
    why: 'on: what the schema (@cacheControl) or a subgraph (Cache-Control) says may be kept of an entity is kept, and answered without asking again; with ENGINE=tributary.',
  }),
  ENTITY_CACHE_BYTES: whole({
    min: 1_048_576,
    max: 68_719_476_736,
    unit: 'bytes',
    default: 64 * 1024 * 1024,
    why: 'Entities are kept in this process up to this size, where there is no REDIS_URL.',
  }),
  ENTITY_CACHE_ANSWERS_BYTES: whole({
    min: 0,
    max: 68_719_476_736,
    unit: 'bytes',
    default: ANSWERS_BYTES,
    why: 'Answers that were put together from kept values alone are remembered whole in each process, up to this size, and shown while the store says that nothing of them was dropped. 0: none is.',
  }),
  ENTITY_CACHE_PORT: port({
    why: 'Where an operator drops entities from the cache, on HOST; absent: nowhere. Needs ENTITY_CACHE_SECRET. It tells counts with WORKERS=1 only.',
  }),
  ENTITY_CACHE_SECRET: secret({ why: 'What an operator has to say (Authorization: Bearer …) on ENTITY_CACHE_PORT.' }),
  REDIS_URL: address({
    protocols: ['redis:', 'rediss:'],
    why: 'Where entities are kept with ENTITY_CACHE=on (absent: in this process, which then has to be the only gateway), and where gateways count together what RATE_LIMIT_PERSON and RATE_LIMIT_ADDRESS limit (absent, or while it is away: each process counts for itself).',
  }),
  JOIN: choice(['on', 'off'], { default: 'on', why: 'Do equal reads in flight share one subgraph call?' }),
  IDENTITY: choice(['off', 'jwt'], {
    default: 'off',
    why: 'jwt: tokens are verified, and subgraphs are told who asks by a signed assertion.',
  }),
  JWKS_URL: address({
    protocols: ['http:', 'https:'],
    why: 'Where the issuer of tokens publishes its keys; needed with IDENTITY=jwt.',
  }),
  TOKEN_ISSUER: text({ default: 'tributary', why: 'The iss that a token has to have.' }),
  TOKEN_AUDIENCE: text({ default: 'tributary', why: 'The aud that a token has to have, alone or among others.' }),
  TOKEN_ALGORITHMS: choices(TOKEN_ALGORITHMS, {
    default: ['EdDSA'],
    why: 'By what a token may be signed: what its issuer signs by, and no more. Most others than our users sign by RS256 or ES256.',
  }),
  TOKEN_TYPE: text({
    default: 'at+jwt',
    why: 'The typ that a token has to have. JWT takes those that have none, too; then TOKEN_AUDIENCE alone tells an access token from any other of that issuer.',
  }),
  UNAUTHORIZED: choice(['filter', 'reject'], {
    default: 'filter',
    why: 'What becomes of an operation that asks for something its client may not have (@authenticated, @requiresScopes, @policy): filter answers null with an error there, reject runs nothing.',
  }),
  POLICY_MODULE: text({
    takes: 'a file with a JavaScript module',
    why: 'Its default export says which of the policies that @policy names hold for a request. Without it the token says so, by its claim policies.',
  }),
  OVERRIDE_LABELS: names({
    default: [],
    why: 'Labels of @override(label:) that are on; percent(n) is thrown for by itself.',
  }),
  CONSISTENCY_SECRET: secret({
    why: 'The same for all gateways: a mutation then answers a consistency token, and whoever sends it along is shown what they wrote. Absent: no tokens.',
  }),
  CONSISTENCY_TOKEN_S: whole({
    min: 10,
    max: 86_400,
    unit: 's',
    default: 300,
    why: 'How long a write is remembered by such a token. Longer than events take on the worst day: after it the writer is shown an old copy like everybody else, and is not told.',
  }),
  MONOTONIC_READS: choice(['nobody', 'people', 'everybody'], {
    default: 'people',
    why: 'Whose queries may say tributary-consistency: monotonic, and are then answered by the owners of the data, past every cache here and in the services: each costs what it costs without caches, and homeTimeline more with each followee. people: who is logged in.',
  }),
  FORWARD_HEADERS: names({ default: [], why: 'Client headers that subgraphs get.' }),
  FORWARD_RESPONSE_HEADERS: names({
    default: [],
    why: 'Subgraph headers that clients get. A set-cookie reaches the one whose read it was, and nobody who joined it (JOIN).',
  }),
  CORS_ORIGINS: names({
    default: [],
    why: 'Origins whose pages may ask, as browsers say them: scheme and host, in lower case, no path (https://app.example); * for all.',
  }),
  CORS_CREDENTIALS: flag({ default: false, why: 'May those pages send cookies?' }),
  CORS_HEADERS: names({
    default: [],
    why: 'Headers that those pages may send besides what the gateway itself reads, FORWARD_HEADERS, who an Apollo client says it is (apollographql-client-name, -version) and traces (traceparent, tracestate, baggage). One that is not named fails the whole request, in the browser. They may read FORWARD_RESPONSE_HEADERS.',
  }),
  NODE_ENV: text({
    default: 'development',
    why: 'production turns introspection, suggestions, EXPLAIN and the playground off, and refuses secrets that anybody would try first; else they are told of at the start, and taken. Of any value but production, development and test it warns, and takes it for development.',
  }),
  INTROSPECTION: choice(['on', 'off'], {
    why: 'May clients ask for the schema, and are they told what they may have meant? Default: on where only this machine reaches the gateway: HOST is its own, TRUSTED_PROXIES is 0, NODE_ENV is not production.',
  }),
  PLAYGROUND: choice(['on', 'off'], {
    why: 'Is GraphiQL shown to browsers at /graphql? Default: on where only this machine reaches the gateway: HOST is its own, TRUSTED_PROXIES is 0, NODE_ENV is not production.',
  }),
  EXPLAIN: choice(['off', 'token', 'on'], {
    why: 'Who is told in extensions.explain how a request was answered (header tributary-explain): nobody, who knows EXPLAIN_TOKEN, anybody. Default: on where only this machine reaches the gateway: HOST is its own, TRUSTED_PROXIES is 0, NODE_ENV is not production.',
  }),
  EXPLAIN_TOKEN: secret({ why: 'What the header tributary-explain has to say with EXPLAIN=token.' }),
  REQUEST_TIMEOUT_MS: whole({
    min: 10,
    max: 300_000,
    unit: 'ms',
    default: 10_000,
    why: 'A request that takes longer, from when it has come whole, is answered 504; one that is still waiting to be read then, 503.',
  }),
  SUBGRAPH_HOSTS: names({
    why: 'Hosts that a supergraph may name as addresses of subgraphs: posts.internal, *.internal, 10.0.0.7:4001. Absent: every one but link-local addresses (169.254.0.0/16, fe80::/10). What SUBGRAPH_URL_<NAME> says is not looked at.',
  }),
  SUBGRAPH_TIMEOUT_MS: whole({
    min: 10,
    max: 300_000,
    unit: 'ms',
    default: 3_000,
    why: 'A subgraph call that takes longer is a hole in the answer; counted from when a connection is free for it.',
  }),
  SUBGRAPH_BODY_BYTES: whole({
    min: 1_024,
    max: 1_073_741_824,
    unit: 'bytes',
    default: 8 * 1024 * 1024,
    why: 'A longer subgraph answer is refused, decompressed: ANSWER_TOO_LONG where a client asked for as much, else SUBGRAPH_BAD_RESPONSE.',
  }),
  SUBGRAPH_CONNECTIONS: whole({
    min: 1,
    max: 10_000,
    default: 64,
    why: 'Connections kept to one subgraph address; further calls wait, those first whose request has to be answered first. Mutations hold half of them at most. Fewer are used of an address that times out or answers 503 or 429.',
  }),
  SUBGRAPH_BREAKER_FAILURES: whole({
    min: 0,
    max: 10_000,
    default: 10,
    why: 'After so many failures in a row an address is not asked for a moment (0.25 s, at most 2 s); 0: it always is.',
  }),
  SUBGRAPH_HEDGE_MS: whole({
    min: 0,
    max: 60_000,
    unit: 'ms',
    default: 0,
    why: 'A read that a subgraph has not answered by then is asked a second time, as far as the tenth of all calls that may be repeated allows; 0: never.',
  }),
  SUBGRAPH_DNS_MS: whole({
    min: 0,
    max: 3_600_000,
    unit: 'ms',
    default: 30_000,
    why: 'How often the names of subgraphs are looked up; of a name with several addresses each is asked, and passed over while it fails. 0: the system looks up, for each connection.',
  }),
  SUBGRAPH_TLS_CA: text({
    takes: 'a file of PEM certificates',
    why: 'Who may vouch for subgraphs at https: addresses, instead of whom Node trusts.',
  }),
  SUBGRAPH_TLS_CERT: text({
    takes: 'a file with a PEM certificate',
    why: 'Who the gateway is to subgraphs that ask (mutual TLS); needs SUBGRAPH_TLS_KEY.',
  }),
  SUBGRAPH_TLS_KEY: text({ takes: 'a file with a PEM key', why: 'The key of SUBGRAPH_TLS_CERT.' }),
  METRICS_PORT: port({
    why: 'Where GET /metrics answers Prometheus, on HOST; absent: nothing is measured. With WORKERS=1.',
  }),
  METRICS_TOKEN: secret({
    why: 'What Prometheus has to send (Authorization: Bearer …); absent: whoever reaches the port may look.',
  }),
  ...logSettings,
  ...tracingSettings,
  OVERLOAD_MS: whole({
    min: 0,
    max: 300_000,
    unit: 'ms',
    default: 1_000,
    why: 'While the event loop never sleeps, no more requests are taken at once than get done in a quarter of it (in half of it, until it has been busy for ten seconds), and the others are answered 503; what waits that long for a long body or a new text to be read is answered 503 too; while calls wait for a subgraph and more come than it answers (a twentieth of this is how long they should wait), those beyond it are told OVERLOADED: with 503 where they have been given nothing else, else in its fields alone; and while calls wait that long for it, its fields are OVERLOADED for all but what mutations show. 0: nothing is refused for being late; each request waits as long as REQUEST_TIMEOUT_MS lets it, and 503 are only those for whom there is no room: of connections, of bytes that wait, of heap.',
  }),
  CONNECTIONS_MAX: whole({
    min: 1,
    max: 1_000_000,
    default: 10_000,
    why: 'Client connections at one time; of more a few at a time are told 503, the others are closed at once.',
  }),
  DRAIN_MS: whole({
    min: 0,
    max: 300_000,
    unit: 'ms',
    default: 0,
    why: 'At SIGTERM it answers for that long while /health/ready says 503: time for a load balancer to notice before it stops listening.',
  }),
  HEADER_BYTES: whole({
    min: 1_024,
    max: 1_048_576,
    unit: 'bytes',
    default: NODE_LIMITS.headerBytes,
    why: 'The address of a request with the names and values of its headers has to be shorter; others are 431.',
  }),
  HEADERS_MAX: whole({
    min: 10,
    max: 10_000,
    default: NODE_LIMITS.headersMax,
    why: 'How many headers a request may have; more are 431.',
  }),
  HEADERS_TIMEOUT_MS: whole({
    min: 1_000,
    max: 300_000,
    unit: 'ms',
    default: NODE_LIMITS.headersTimeoutMs,
    why: 'A request whose headers are not whole by then is answered 408; looked at once a second, here and below.',
  }),
  ARRIVAL_TIMEOUT_MS: whole({
    min: 1_000,
    max: 600_000,
    unit: 'ms',
    default: NODE_LIMITS.arrivalTimeoutMs,
    why: 'A request that has not come whole by then is answered 408; at least HEADERS_TIMEOUT_MS.',
  }),
  VARIABLES_BYTES: whole({
    min: 1_024,
    max: 67_108_864,
    unit: 'bytes',
    default: VARIABLE_LIMITS.bytes,
    why: 'Longer variables are refused; written as JSON, a number that is kept to the digit (1.50) about thirty bytes longer. No more than BODY_BYTES has room for.',
  }),
  BODY_BYTES: whole({
    min: 1_024,
    max: 67_108_864,
    unit: 'bytes',
    default: 256 * 1024,
    why: 'A longer request body is refused, inflated.',
  }),
  BODIES_BYTES: whole({
    min: 1_048_576,
    max: 17_179_869_184,
    unit: 'bytes',
    default: 64 * 1024 * 1024,
    why: 'What has come of all request bodies that are not whole yet; beyond it the longest is given up, with 503. Never less than four times BODY_BYTES. As much may long bodies and new texts hold that wait to be read, or four of the longest variables, and never more than a quarter of the heap.',
  }),
  PERSISTED_DOCUMENTS: text({
    takes: 'a file',
    why: 'Documents that may be asked for by id: what npm run documents writes, or { id: text }. Looked at again every 2 s.',
  }),
  SAFELIST: choice(['on', 'off'], {
    default: 'off',
    why: 'on: nothing runs but the documents of PERSISTED_DOCUMENTS, by id or word for word; white space before and behind the text is forgiven.',
  }),
  ANSWER_BYTES: whole({
    min: 1_024,
    max: 268_435_456,
    unit: 'bytes',
    default: ANSWER_BYTES_MAX,
    why: 'The data of a longer answer is not written; the client is told ANSWER_TOO_LONG instead.',
  }),
  UNTAKEN_BYTES: whole({
    min: 1_048_576,
    max: 17_179_869_184,
    unit: 'bytes',
    default: 128 * 1024 * 1024,
    why: 'What clients have not taken yet of all answers; beyond it who has taken nothing for longest is cut, and of those who has most. Never less than four times ANSWER_BYTES.',
  }),
  UNTAKEN_MS: whole({
    min: 100,
    max: 3_600_000,
    unit: 'ms',
    default: 180_000,
    why: 'A client that takes nothing of its answer for so long is cut, and so is one that takes ten times as long for all of it.',
  }),
  LIMIT_TOKENS: whole({
    min: 10,
    max: 100_000,
    default: DOCUMENT_LIMITS.tokens,
    why: 'Lexical tokens of a document; it may have twenty times as many characters (UTF-16 code units), blanks and comments among them.',
  }),
  LIMIT_DEPTH: whole({
    min: 1,
    max: 100,
    default: DOCUMENT_LIMITS.depth,
    why: 'Fields between a field and its root field.',
  }),
  LIMIT_ALIASES: whole({
    min: 0,
    max: 10_000,
    default: DOCUMENT_LIMITS.aliases,
    why: 'Aliases of an operation, fragments expanded.',
  }),
  LIMIT_ALIAS_LENGTH: whole({
    min: 1,
    max: 10_000,
    default: DOCUMENT_LIMITS.aliasLength,
    why: 'Characters of an alias: it is written wherever its field comes in the answer.',
  }),
  LIMIT_ROOT_FIELDS: whole({
    min: 1,
    max: 10_000,
    default: DOCUMENT_LIMITS.rootFields,
    why: 'Different root fields of an operation.',
  }),
  LIMIT_DIRECTIVES: whole({
    min: 0,
    max: 10_000,
    default: DOCUMENT_LIMITS.directives,
    why: 'Directives of an operation, fragments expanded.',
  }),
  LIMIT_SELECTIONS: whole({
    min: 1,
    max: 1_000_000,
    default: DOCUMENT_LIMITS.selections,
    why: 'Fields of an operation, fragments expanded.',
  }),
  LIMIT_ITEMS: whole({
    min: 1,
    max: 1_000_000_000,
    default: DOCUMENT_LIMITS.items,
    why: 'Items that the pages of an operation multiply to, by first, last, limit or @listSize: pages of 100 within pages of 100 are 10,100.',
  }),
  LIMIT_VALUE_DEPTH: whole({
    min: 1,
    max: 100,
    default: DOCUMENT_LIMITS.valueDepth,
    why: 'Levels of lists and objects of a value, in a document and in variables.',
  }),
  LIMIT_ERRORS: whole({
    min: 1,
    max: ERRORS_KEPT,
    default: CLIENT_ERRORS_MAX,
    why: 'Errors of fields that an answer tells; of more the fields are null, and nothing is said.',
  }),
  COST_LIMIT: whole({
    min: 0,
    max: 1_000_000_000,
    default: 50_000,
    why: 'What one operation may cost, by @cost and @listSize: an object is 1, a leaf 0, a mutation 10 more and each of its fields 50, a list as many as its page. 0: anything.',
  }),
  COST_LIST_SIZE: whole({
    min: 0,
    max: 10_000,
    default: 10,
    why: 'How long a list is taken to be of which neither an argument nor @listSize says it.',
  }),
  RATE_LIMIT_PERSON: whole({
    min: 0,
    max: 1_000_000_000,
    default: 0,
    why: 'What the operations of one logged-in person may cost in RATE_LIMIT_WINDOW_S, each at least 5, beyond that a unit for each 10 kB read of services or answered, a unit for each kB of a body beyond 4 kB, and what had to be read and planned because nobody had asked for it; more is answered 429 with Retry-After. 0: anything.',
  }),
  RATE_LIMIT_ADDRESS: whole({
    min: 0,
    max: 1_000_000_000,
    default: 0,
    why: 'The same for everybody without a log-in at one address (IPv6: one /56).',
  }),
  RATE_LIMIT_ADDRESS_PEOPLE: whole({
    min: 0,
    max: 1_000_000,
    default: 10,
    why: 'How many times as much the people who are logged in at one address may spend together. 0: anything, as where a server asks for everybody.',
  }),
  RATE_LIMIT_WINDOW_S: whole({ min: 1, max: 86_400, unit: 's', default: 60, why: 'When the three above begin anew.' }),
  TRUSTED_PROXIES: whole({
    min: 0,
    max: 16,
    default: 0,
    why: 'Proxies between clients and the gateway that each add to X-Forwarded-For: the client’s address is so many from its end. 0: the header is not looked at. With 1 or more x-request-id and tracestate are theirs to say as well, and theirs to drop where a client sends them.',
  }),
  ENDED_SESSIONS_URL: address({
    protocols: ['http:', 'https:'],
    why: 'Where users tells which log-ins have ended; absent: a token is good until it runs out.',
  }),
  ENDED_SESSIONS_POLL_MS: whole({
    min: 100,
    max: 600_000,
    unit: 'ms',
    default: 2_000,
    why: 'How often it is asked: for so long after a log-out its token may still be taken.',
  }),
  DOCUMENT_CACHE_BYTES: whole({
    min: 65_536,
    max: 1_073_741_824,
    unit: 'bytes',
    default: 32 * 1024 * 1024,
    why: 'Parsed and validated documents are kept up to this size.',
  }),
  PLAN_CACHE_BYTES: whole({
    min: 65_536,
    max: 4_294_967_296,
    unit: 'bytes',
    default: 64 * 1024 * 1024,
    why: 'Plans, and what is compiled of them, are kept up to this size; with ENGINE=tributary.',
  }),
};

export type GatewaySettings = Values<typeof gatewaySettings>;

export interface GatewayConfig extends GatewaySettings {
  readonly limits: Limits;
  readonly cors: CorsRules;
  readonly introspection: boolean;
  readonly playground: boolean;
  /** From WORKERS. */
  readonly workers: number;
  readonly explain: ExplainRules;
  /** From SUBGRAPHS. */
  readonly services: readonly Service[];
  /** From SUBGRAPH_URL_<NAME>. */
  readonly addressOf: AddressOf;
  /** The SUBGRAPH_URL_<NAME> that were given. */
  readonly addressVariables: readonly string[];
  /** The ASSERTION_SECRET_<NAME> that were given. */
  readonly secretVariables: readonly string[];
  /** From SUBGRAPH_HOSTS. What SUBGRAPHS says is said by an operator, as SUBGRAPH_URL_<NAME> is. */
  readonly mayAsk: HostRule;
  /** From ASSERTION_SECRET_<NAME>; undefined when there is none. */
  readonly secretOf: (subgraph: string) => string | undefined;
}

/** `more`: finds other mistakes, as those in files (`mistakesInFiles`), which are told with the settings' own. */
export function readGatewayConfig(
  env: Environment,
  more: (values: GatewaySettings, env: Environment) => readonly string[] = () => [],
): GatewayConfig {
  const values = readSettings(gatewaySettings, env, (read) => [...mistakesIn(read, env), ...more(read, env)]);
  const lower = (list: readonly string[]) => Object.freeze(list.map((name) => name.toLowerCase()));
  const given = (family: string) => Object.keys(env).filter((name) => name.startsWith(family) && env[name]);
  const own = isOwn(values);
  const forward = lower(values.FORWARD_HEADERS);
  const forwardBack = lower(values.FORWARD_RESPONSE_HEADERS);
  return Object.freeze({
    ...values,
    FORWARD_HEADERS: forward,
    FORWARD_RESPONSE_HEADERS: forwardBack,
    limits: {
      tokens: values.LIMIT_TOKENS,
      depth: values.LIMIT_DEPTH,
      aliases: values.LIMIT_ALIASES,
      aliasLength: values.LIMIT_ALIAS_LENGTH,
      rootFields: values.LIMIT_ROOT_FIELDS,
      directives: values.LIMIT_DIRECTIVES,
      selections: values.LIMIT_SELECTIONS,
      items: values.LIMIT_ITEMS,
      valueDepth: values.LIMIT_VALUE_DEPTH,
    },
    cors: {
      origins: values.CORS_ORIGINS,
      credentials: values.CORS_CREDENTIALS,
      headers: [...forward, ...lower(values.CORS_HEADERS)],
      exposed: forwardBack,
    },
    introspection: values.INTROSPECTION === undefined ? own : values.INTROSPECTION === 'on',
    playground: values.PLAYGROUND === undefined ? own : values.PLAYGROUND === 'on',
    workers: values.WORKERS === 'auto' ? Math.min(availableParallelism(), WORKERS_MAX) : Number(values.WORKERS),
    explain: {
      who: WHO_MAY[values.EXPLAIN ?? (own ? 'on' : 'off')],
      token: values.EXPLAIN_TOKEN,
    },
    services: servicesOf(values.SUBGRAPHS ?? ''),
    addressOf: (subgraph: string) => env[variableOf(subgraph)] || undefined,
    addressVariables: given('SUBGRAPH_URL_'),
    secretVariables: given('ASSERTION_SECRET_'),
    mayAsk:
      values.SUBGRAPHS !== undefined && values.SUBGRAPH_HOSTS === undefined
        ? () => true
        : hostRule(values.SUBGRAPH_HOSTS),
    secretOf: (subgraph: string) => env[secretVariableOf(subgraph)] || undefined,
  });
}

/** Only whoever works on this machine reaches it: not where it listens for others, nor behind a proxy, nor where somebody says that it is in production. */
export function isOwn({
  HOST,
  NODE_ENV,
  TRUSTED_PROXIES,
}: Pick<GatewaySettings, 'HOST' | 'NODE_ENV' | 'TRUSTED_PROXIES'>): boolean {
  return isLoopback(HOST) && TRUSTED_PROXIES === 0 && NODE_ENV !== 'production';
}

const WHO_MAY = { off: 'nobody', token: 'token', on: 'anybody' } as const;

/** `posts` → `ASSERTION_SECRET_POSTS`: what that service knows as its ASSERTION_SECRET. */
export function secretVariableOf(subgraph: string): string {
  return variableOf(subgraph).replace('SUBGRAPH_URL_', 'ASSERTION_SECRET_');
}

function workers({ why }: { why: string }): Setting<string> & { default: string } {
  const fits = (text: string) =>
    text === 'auto' || (/^\d+$/.test(text) && Number(text) >= 1 && Number(text) <= WORKERS_MAX);
  return {
    takes: `auto, or a whole number, 1 to ${WORKERS_MAX}`,
    default: '1',
    why,
    parse: (text) => (fits(text) ? text : undefined),
  };
}
