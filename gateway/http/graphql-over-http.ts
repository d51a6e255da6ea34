import { isAscii } from 'node:buffer';
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { inspect } from 'node:util';
import { CODES, Failure } from '#libs/failure';
import { CLIENT_HEADER, IDEMPOTENCY_HEADER, SESSION, SESSION_HEADER } from '#libs/identity';
import { traced, type Attributes, type Clock, type Logger, type Span, type Tracer } from '#libs/telemetry';
import type { Grants } from '../authorization/grants.js';
import type { Answer, Operation, RequestContext } from '../engine.js';
import { exactNumbersWithin } from '../run/exact-numbers.js';
import type { ServedSupergraph, Serving } from '../supergraph/served.js';
import type { Admission, Place } from './admission.js';
import type { Bodies } from './bodies.js';
import { asksMonotonicReads, type Consistency, type RequestConsistency } from './consistency.js';
import { corsHeaders, preflightHeaders, refuseCrossSite, type CorsRules } from './cross-site.js';
import { CLIENT_GONE, withDeadline } from './ending.js';
import { forwardedHeaders, requestIdOf } from './headers.js';
import { idempotencyOf, refuseKey } from './idempotency.js';
import type { Bearer, Identity } from './identity.js';
import { observed } from './elsewhere.js';
import { notAcceptable, responseTypeFor, wantsPage, type ResponseType } from './media-type.js';
import { textOnly, type DocumentText } from './persisted-documents.js';
import { clientOf, type Rates } from './rates.js';
import { readRequest, type GraphqlRequest } from './read-request.js';
import { NOT_TAKEN, notTaken, OWN_LINE, Refusal, refusalBody, refusalOf, TOO_MANY } from './refusal.js';
import type { Turns } from './turns.js';
import type { Untaken } from './untaken.js';
import { coerceVariables, VARIABLE_LIMITS, type VariableLimits } from './variables.js';

export interface GraphqlOverHttpParts {
  readonly served: ServedSupergraph;
  /** Whether one more request is taken; undefined: each is. */
  readonly admission?: Admission | undefined;
  /** Told of each request and what became of it; undefined: nobody counts. No `route`: there is nothing at its address. */
  readonly observe?:
    | {
        request(method: string, status: number, ms: number, route: string | undefined): void;
        answered(outcome: string): void;
      }
    | undefined;
  /** Begins a trace, or goes on with the client's; undefined: nobody traces. */
  readonly tracer?: Tracer | undefined;
  readonly identity: Identity;
  /** How a client is shown what it wrote; undefined: there are no tokens. */
  readonly consistency?: Consistency | undefined;
  /** Whose reads may ask for nothing that is kept; absent: nobody's. */
  readonly monotonicReadsOf?: ((subject: string | null) => boolean) | undefined;
  readonly cors: CorsRules;
  /** Names of client headers that subgraphs get, lower case. */
  readonly forward: readonly string[];
  /** Which text a request means, when it may say so by an id. */
  readonly documentText?: DocumentText;
  /** Texts of which nobody pays for the reading. */
  readonly registered?: ((text: string) => boolean) | undefined;
  /** How much each client may ask for; absent: as much as they like. */
  readonly rates?: Rates | undefined;
  /** How many proxies stand before us, so that each client has turns of its own; absent: none. */
  readonly proxies?: number | undefined;
  /** Which client it is, for subgraphs that count what each does; absent: they are not told. */
  readonly client?: ((request: IncomingMessage) => string) | undefined;
  readonly bodyBytesMax: number;
  /** Absent: VARIABLE_LIMITS. */
  readonly variables?: VariableLimits | undefined;
  /** How many errors of an answer its client is told; absent: CLIENT_ERRORS_MAX. */
  readonly errorsMax?: number | undefined;
  /** How much of all bodies together may have come before they are whole; absent: any number of them. */
  readonly bodies?: Bodies | undefined;
  /** Whose turn it is to have a long body or an unknown text read; absent: it is read at once, however many there are. */
  readonly turns?: Turns | undefined;
  /** While it is `full` nothing is parsed that nobody has sent before; absent: never. */
  readonly heap?: { readonly full: boolean } | undefined;
  /** How much of all answers together may wait for their clients, and how long; absent: all of it, as long as they like. */
  readonly untaken?: Untaken | undefined;
  readonly timeoutMs: number;
  readonly suggestions: boolean;
  /** What a request may have, where that is not only its token's to say (POLICY_MODULE). */
  readonly grants?: ((request: IncomingMessage, bearer: Bearer | null) => Grants) | undefined;
  /** May this request be told how it was answered? */
  readonly explain?: ((headers: IncomingHttpHeaders) => boolean) | undefined;
  /** Answers a browser that came to look; undefined: there is no page. */
  readonly page: ((request: IncomingMessage, response: ServerResponse) => void) | undefined;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly newId: () => string;
}

/**
 * One HTTP request → one answer. Everything that costs nothing is asked first; what is refused before `execute` has called no
 * subgraph. The answer is always the same JSON shape, whatever went wrong.
 */
export async function answerGraphql(
  request: IncomingMessage,
  response: ServerResponse,
  parts: GraphqlOverHttpParts,
): Promise<void> {
  const requestId = requestIdOf(request.headers, parts.newId);
  if (request.method === 'OPTIONS') return preflight(request, response, parts);
  if (request.method === 'GET' && parts.page && wantsPage(request.headers.accept)) {
    parts.untaken?.add(response);
    observed(request, response, ROUTE, parts.observe);
    return parts.page(request, response);
  }
  let type: ResponseType = 'application/json';
  const { admission, observe } = parts;
  if (admission?.full()) return refuseUnread(request, response, requestId, parts);
  const began = observe ? performance.now() : 0;
  const trace = parts.tracer && requestSpan(parts.tracer, request, requestId);
  const place = admission?.place();
  try {
    const wished = responseTypeFor(request.headers.accept);
    if (wished) type = wished;
    const found = whoAsks(request, parts);
    const lookedAt = found instanceof Promise ? parts.clock() : undefined;
    const who = found instanceof Promise ? await found : found;
    // What we took to find out who asks is none of the client's slowness: it has so much less time for the rest.
    const timeoutMs = parts.timeoutMs - (lookedAt === undefined ? 0 : parts.clock() - lookedAt);
    // Meanwhile: nobody would tell who reads the body that it does not come.
    if (request.destroyed) throw CLIENT_GONE;
    const subject = who.bearer?.subject ?? null;
    parts.rates?.requireLeft(request, subject);
    const reading = readAsked(request, response, subject, wished, timeoutMs, parts);
    const { asked, deadline } = await notForNothing(request, subject, parts, reading);
    const { answer, consistency, pastCaches, responseHeaders } = await answered(
      request,
      response,
      { asked, who, requestId, deadline, trace, place },
      parts,
    );
    if (response.destroyed) return;
    for (const [name, value] of responseHeaders) response.appendHeader(name, value);
    if (parts.consistency && consistency?.hasWritten)
      for (const [name, value] of parts.consistency.headers(request, subject, consistency))
        response.appendHeader(name, value);
    // What was answered to who has written is nobody else's, and what is to be new is not to be kept.
    if (consistency || pastCaches) response.setHeader('cache-control', 'private, no-store');
    else if (answer.hasErrors || parts.explain?.(request.headers)) response.setHeader('cache-control', 'no-store');
    const outcome = outcomeOf(answer);
    observe?.answered(outcome);
    trace?.set({ 'tributary.outcome': outcome });
    write(request, response, 200, type, answer.body, requestId, parts);
  } catch (error) {
    if (response.destroyed || error === CLIENT_GONE) {
      // Nobody pays for it: were it a line of every log, strangers would fill the disk. How many there are is a figure (499).
      parts.logger.debug({ requestId, ...traceIdOf(trace), status: 499 }, 'The client went away');
      return void response.destroy();
    }
    refuse(request, response, type, refusalOf(error), requestId, trace, parts);
  } finally {
    place?.leave();
    const status = response.headersSent ? response.statusCode : 499;
    observe?.request(request.method ?? '', status, performance.now() - began, ROUTE);
    trace?.set({ 'http.response.status_code': status });
    trace?.end(status >= 500 ? String(status) : undefined);
  }
}

const ROUTE = '/graphql';

/** `incomplete`: our side failed; `partial`: only what the client asked for cannot be had, and that wakes nobody. */
function outcomeOf({ hasErrors, hasFailed }: Answer): string {
  if (!hasErrors) return 'whole';
  return hasFailed ? 'incomplete' : 'partial';
}

function requestSpan(tracer: Tracer, request: IncomingMessage, requestId: string): Span {
  const method = request.method === 'GET' ? 'GET' : request.method === 'POST' ? 'POST' : '_OTHER';
  return tracer.request(request.headers, `${method === '_OTHER' ? 'HTTP' : method} /graphql`, {
    'http.request.method': method,
    'http.route': ROUTE,
    'url.path': '/graphql',
    'tributary.request_id': requestId,
  });
}

/** For a line of the log, beside the request's id. */
function traceIdOf(trace: Span | undefined): { traceId?: string } {
  return trace ? { traceId: trace.traceId } : {};
}

/**
 * Its body stays unread (Node lets it go by), and nothing is logged: that would be work for each of ten times too many. For the same
 * reason its words are made once: with headers set one by one and an answer from JSON.stringify it took 43 µs of CPU, so 41, and
 * Node's HTTP alone 38 (six turns each, busy machine).
 */
function refuseUnread(
  request: IncomingMessage,
  response: ServerResponse,
  requestId: string,
  parts: GraphqlOverHttpParts,
): void {
  parts.observe?.answered('OVERLOADED');
  parts.observe?.request(request.method ?? '', 503, 0, ROUTE);
  write(request, response, 503, 'application/json', `${BUSY[0]}${requestId}${BUSY[1]}`, requestId, parts, BUSY_HEADERS);
}

/** An id is of letters, digits and hyphens (headers.ts): nothing in it has to be escaped. */
const BUSY = refusalBody(TOO_MANY, '|').split('|');
const BUSY_HEADERS = ['retry-after', '1', 'cache-control', 'no-store'];

/** Who has not said yet what it wants takes no place of those who have. */
function takePlace(place: Place | undefined): void {
  if (place?.enter() === false) throw notTaken();
}

/**
 * What is asked, where it may be asked so, and until when it is answered. That is counted from when it was whole: a client that sends slowly
 * would otherwise be counted as a service that answers late.
 */
async function readAsked(
  request: IncomingMessage,
  response: ServerResponse,
  subject: string | null,
  type: ResponseType | undefined,
  timeoutMs: number,
  parts: GraphqlOverHttpParts,
): Promise<{ readonly asked: GraphqlRequest; readonly deadline: number }> {
  requireMethod(request.method);
  refuseCrossSite(request.method!, request.headers, parts.cors);
  if (!type) throw notAcceptable();
  const { variables = VARIABLE_LIMITS } = parts;
  let deadline: number | undefined;
  const asked = await readRequest(request, {
    bytesMax: parts.bodyBytesMax,
    exactNumbersMax: exactNumbersWithin(variables.bytes),
    variables,
    bodies: parts.bodies,
    async dear(cost, bytes, parse) {
      requireHeap(parts);
      // It waits here as well.
      deadline = parts.clock() + timeoutMs;
      await parts.rates?.take(request, subject, cost);
      if (cost < DEAR) return parse();
      return inTurn(request, response, subject, bytes, deadline - parts.clock(), parts, parse);
    },
  });
  return { asked, deadline: deadline ?? parts.clock() + timeoutMs };
}

/** 1 ms. */
const DEAR = 10;

/** `work`, when it is this client's turn, if it is still there then and has something left. `bytes`: what waits. */
function inTurn<T>(
  request: IncomingMessage,
  response: ServerResponse,
  subject: string | null,
  bytes: number,
  waitMs: number,
  parts: GraphqlOverHttpParts,
  work: () => T | Promise<T>,
  isDear: () => boolean = () => true,
): T | Promise<T> {
  const { turns, rates } = parts;
  requireHeap(parts);
  if (!turns) return work();
  const who = subject ?? clientOf(request, parts.proxies ?? 0);
  return turns.take(
    who,
    PIECE_BYTES + bytes,
    waitMs - Math.min(PIECE_MS, parts.timeoutMs / 2),
    () => {
      if (response.destroyed) throw CLIENT_GONE;
      if (isDear()) requireHeap(parts);
      rates?.requireLeft(request, subject);
      return work();
    },
    isDear,
  );
}

function requireHeap({ heap }: GraphqlOverHttpParts): void {
  if (heap?.full === true) throw notTaken();
}

/** A request that waits is so much, beside what it brought. */
const PIECE_BYTES = 2_000;

/** As long as the dearest text takes (reading.ts): with less left it would be read for nobody. */
const PIECE_MS = 100;

/** What cannot even be asked (another method, no JSON, a token that is none, a document that may not run) costs its client something. */
function notForNothing<T>(
  request: IncomingMessage,
  subject: string | null,
  { rates }: GraphqlOverHttpParts,
  work: Promise<T>,
): Promise<T> {
  return rates ? orCounted(request, subject, rates, work) : work;
}

async function orCounted<T>(
  request: IncomingMessage,
  subject: string | null,
  rates: Rates,
  work: Promise<T>,
): Promise<T> {
  try {
    return await work;
  } catch (error) {
    const { status, code } = refusalOf(error);
    // Who has sent more than can be read in turn pays for what was not read too.
    if (error !== CLIENT_GONE && (status < 500 || error === OWN_LINE) && code !== 'RATE_LIMITED')
      await rates.refused(request, subject).catch((limit: unknown) => {
        // What was not read of a body is not read now either.
        throw request.complete ? limit : error;
      });
    throw error;
  }
}

/** Whose turn comes too late is told so: nothing of it was begun, so it may be sent again, a mutation too. */
async function inTime(
  turn: Promise<void>,
  response: ServerResponse,
  deadline: number,
  { clock, timeoutMs }: GraphqlOverHttpParts,
): Promise<void> {
  await withDeadline(response, deadline - clock(), () => turn).catch((error: unknown) => {
    throw error === CLIENT_GONE ? error : TOO_MANY;
  });
  // Its timer may be late itself.
  if (deadline - clock() < Math.min(PIECE_MS, timeoutMs / 2)) throw TOO_MANY;
}

interface Asking {
  /** Null: nobody, as far as we know. */
  readonly bearer: Bearer | null;
  /** Why the token is none. Told when nothing else is wrong with the request. */
  readonly wrong?: unknown;
}

/** Who asks, by the headers alone: before the body of somebody who has nothing left would be read. */
function whoAsks(
  request: IncomingMessage,
  { identity, rates, timeoutMs }: GraphqlOverHttpParts,
): Asking | Promise<Asking> {
  const counted =
    request.headers.authorization === undefined
      ? undefined
      : rates?.lookAtToken(request, () => identity.knows?.(request) === true, timeoutMs);
  return counted === undefined ? asking(request, identity) : countedAsking(request, identity, counted);
}

async function countedAsking(
  request: IncomingMessage,
  identity: Identity,
  counted: Promise<(isForged: boolean) => void>,
): Promise<Asking> {
  const looked = await counted;
  // Meanwhile: nobody is there whose token it would be.
  const found: Asking = request.destroyed ? { bearer: null, wrong: CLIENT_GONE } : await asking(request, identity);
  // Where its issuer cannot be asked it may be good.
  looked(found.wrong !== undefined && refusalOf(found.wrong).status < 500);
  return found;
}

function asking(request: IncomingMessage, identity: Identity): Asking | Promise<Asking> {
  const isNone = (wrong: unknown): Asking => ({ bearer: null, wrong });
  try {
    const bearer = identity.bearer(request);
    return bearer instanceof Promise ? bearer.then((good) => ({ bearer: good }), isNone) : { bearer };
  } catch (error) {
    return isNone(error);
  }
}

/** Which document is meant, where whoever asks for it may be answered. */
async function meant(
  asked: GraphqlRequest,
  { bearer, wrong }: Asking,
  { documentText = textOnly, identity }: GraphqlOverHttpParts,
): Promise<string> {
  const text = documentText(asked);
  if (wrong !== undefined) throw wrong;
  if (bearer) identity.requireStill?.(bearer);
  return text;
}

async function answered(
  request: IncomingMessage,
  response: ServerResponse,
  {
    asked,
    who,
    requestId,
    deadline,
    trace,
    place,
  }: {
    readonly asked: GraphqlRequest;
    readonly who: Asking;
    readonly requestId: string;
    readonly deadline: number;
    readonly trace: Span | undefined;
    readonly place: Place | undefined;
  },
  parts: GraphqlOverHttpParts,
): Promise<{
  answer: Answer;
  consistency: RequestConsistency | undefined;
  pastCaches: boolean;
  responseHeaders: RequestContext['responseHeaders'];
}> {
  const { bearer } = who;
  const subject = bearer?.subject ?? null;
  const text = await notForNothing(request, subject, parts, meant(asked, who, parts));
  parts.rates?.requireLeft(request, subject);
  const responseHeaders: RequestContext['responseHeaders'] = [];
  let pastCaches = false;
  let consistency: RequestConsistency | undefined;
  const answer = await parts.served.with(async ({ documents, supergraph, engine }: Serving) => {
    const { rates } = parts;
    const paying = rates && parts.registered?.(text) !== true ? rates : undefined;
    let reading = 0;
    const prepare = () => {
      const found = documents.operation(text, asked.operationName, paying && ((points) => (reading = points)));
      if (found.type === 'mutation' && request.method === 'GET')
        throw methodNotAllowed('A mutation has to be POSTed.', 'POST');
      if (found.type === 'query') pastCaches = asksMonotonicReads(request, subject, parts.monotonicReadsOf);
      const values = coerceVariables(supergraph.schema, found, asked.variables, parts.suggestions, parts.variables);
      documents.requireItems(found, values);
      return { operation: found, variables: values, cost: documents.cost(found, values) };
    };
    const found = () =>
      rates
        ? traced(trace, 'internal', 'budget', {}, () => affordable(request, subject, rates, prepare, () => reading))
        : prepare();
    const isKnown = documents.has(text);
    if (isKnown) takePlace(place);
    // It waits in no place of those who only want to be answered, and gives way to them (restMs).
    const preparing = isKnown
      ? found()
      : inTurn(
          request,
          response,
          subject,
          2 * text.length + asked.heapBytes,
          deadline - parts.clock(),
          parts,
          found,
          () => !documents.has(text),
        );
    const { operation, variables, cost } = preparing instanceof Promise ? await preparing : preparing;
    if (!isKnown) takePlace(place);
    if (response.destroyed) throw CLIENT_GONE;
    const turn = place?.begin(parts.clock());
    if (turn) await inTime(turn, response, deadline, parts);
    const fetched = rates && { bytes: 0 };
    const willPlan = paying && once(() => void paying.owe(request, subject, documents.planning(operation)));
    if (trace?.recorded) trace.set(asAttributes(operation));
    if (request.headers[COST_HEADER] !== undefined) responseHeaders.push([COST_HEADER, String(cost)]);
    consistency = parts.consistency?.of(request, response, subject, operation.type);
    const forwarded = forwardedHeaders(request.headers, parts.forward);
    const key = idempotencyOf(request, operation, asked.variables);
    const headers = operation.type === 'mutation' ? withCaller(forwarded, request, bearer, key, parts) : forwarded;
    const grants = parts.grants ? parts.grants(request, bearer) : bearer?.grants;
    const explain = parts.explain !== undefined && parts.explain(request.headers);
    const run = withDeadline(response, deadline - parts.clock(), (signal) =>
      engine.execute(operation, variables, {
        requestId,
        cost,
        subject,
        ...(grants && { grants }),
        headers,
        signal,
        deadline,
        responseHeaders,
        consistency,
        pastCaches,
        explain,
        willPlan,
        fetched,
        errorsMax: parts.errorsMax,
        trace,
      }),
    );
    const told = key === undefined ? run : run.then((ran) => refuseKey(ran, operation));
    if (!rates || !fetched) return told;
    return payingForBytes(told, fetched, (bytes) => rates.oweBytes(request, subject, cost, bytes));
  });
  if (answer === undefined) throw new Failure('OVERLOADED', 'There is no supergraph to serve yet.');
  return { answer, consistency, pastCaches, responseHeaders };
}

/** A name of the client's choosing, as far as a name goes; nothing else of what it asks. */
function asAttributes({ type, definition }: Operation): Attributes {
  const name = definition.name?.value;
  return {
    'graphql.operation.type': type,
    ...(name === undefined ? {} : { 'graphql.operation.name': name.slice(0, NAME_MAX) }),
  };
}

const NAME_MAX = 100;

/** A client that sends it is told in the same header what its operation costs. */
const COST_HEADER = 'tributary-cost';

function once(told: () => void): () => void {
  let isTold = false;
  return () => {
    if (!isTold) told();
    isTold = true;
  };
}

/**
 * What `prepare` finds, when this client may still ask for as much; what it refuses is counted as well. `reading`: what was read because
 * nobody had sent it before. That is counted afterwards: a client who is sent away for it would have it for nothing when it comes again.
 */
async function affordable<Asked extends { readonly cost: number }>(
  request: IncomingMessage,
  subject: string | null,
  rates: Rates,
  prepare: () => Asked,
  reading: () => number,
): Promise<Asked> {
  let asked: Asked;
  try {
    asked = prepare();
  } catch (error) {
    await rates.refused(request, subject, reading());
    throw error;
  }
  await rates.begin(request, subject, asked.cost);
  if (reading() > 0) await rates.owe(request, subject, reading());
  return asked;
}

/**
 * Also where no answer comes of it: what was read of services until a deadline, or until the client went away, has been read. Whoever
 * joined a read that was under way pays for what is written.
 */
async function payingForBytes(
  run: Promise<Answer>,
  fetched: { readonly bytes: number },
  owe: (bytes: number) => Promise<void>,
): Promise<Answer> {
  let written = 0;
  try {
    const answer = await run;
    written = Buffer.byteLength(answer.body);
    return answer;
  } finally {
    await owe(Math.max(fetched.bytes, written));
  }
}

/** What only who writes has to be known by: no read is told apart by it. */
function withCaller(
  headers: ReadonlyMap<string, string>,
  request: IncomingMessage,
  bearer: Bearer | null,
  key: string | undefined,
  { client }: GraphqlOverHttpParts,
): ReadonlyMap<string, string> {
  if (!client && key === undefined) return headers;
  const more = new Map(headers);
  if (key !== undefined) more.set(IDEMPOTENCY_HEADER, key);
  if (!client) return more;
  more.set(CLIENT_HEADER, client(request));
  const session = bearer?.claims['jti'];
  return typeof session === 'string' && SESSION.test(session) ? more.set(SESSION_HEADER, session) : more;
}

function requireMethod(method: string | undefined): void {
  if (method !== 'GET' && method !== 'POST') throw methodNotAllowed('GraphQL is asked by GET or POST.', 'GET, POST');
}

function methodNotAllowed(message: string, allow: string): Refusal {
  return new Refusal(405, 'BAD_REQUEST', message, { headers: { allow } });
}

function refuse(
  request: IncomingMessage,
  response: ServerResponse,
  type: ResponseType,
  refusal: Refusal,
  requestId: string,
  trace: Span | undefined,
  parts: GraphqlOverHttpParts,
): void {
  trace?.set({ 'tributary.outcome': refusal.code });
  if (refusal.status >= 500 && refusal.more.cause !== NOT_TAKEN) {
    const { status, code, message, more } = refusal;
    parts.logger.error(
      { requestId, ...traceIdOf(trace), status, code, detail: inspect(more.cause ?? message) },
      'A request failed',
    );
  }
  parts.observe?.answered(refusal.code);
  for (const [name, value] of Object.entries(refusal.more.headers ?? {})) response.setHeader(name, value);
  if (CODES[refusal.code].retry && !response.hasHeader('retry-after')) response.setHeader('retry-after', '1');
  response.setHeader('cache-control', 'no-store');
  write(request, response, refusal.status, type, refusalBody(refusal, requestId), requestId, parts);
}

function write(
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  type: ResponseType,
  body: string | Buffer,
  requestId: string,
  parts: GraphqlOverHttpParts,
  more: readonly string[] = [],
): void {
  if (parts.cors.origins.length > 0)
    for (const [name, value] of Object.entries(corsHeaders(request.headers.origin, parts.cors)))
      // What is kept of entities varies as well (authorization), and one must not take the other's place.
      if (name === 'vary') response.appendHeader(name, value);
      else response.setHeader(name, value);
  const headers = [
    'content-type',
    CONTENT_TYPES[type],
    'content-length',
    String(Buffer.byteLength(body)),
    'x-request-id',
    requestId,
    'x-content-type-options',
    'nosniff',
    ...more,
  ];
  const places = parts.admission?.places(parts.untaken?.many);
  if (places !== undefined) headers.push(PLACES_HEADER, String(places));
  response.writeHead(status, headers);
  if (request.method === 'HEAD') response.end();
  // Head and body in one piece are one write; a buffer would be a second one.
  else if (typeof body !== 'string' && body.length <= ONE_PIECE_BYTES && isAscii(body))
    response.end(body.toString('latin1'), 'latin1');
  else response.end(body);
  if (response.writableLength > 0) parts.untaken?.add(response);
}

const ONE_PIECE_BYTES = 16 * 1024;

/** What is brought beyond it would be refused: deploy/haproxy.cfg refuses it instead. */
const PLACES_HEADER = 'tributary-places';

const CONTENT_TYPES: Readonly<Record<ResponseType, string>> = {
  'application/json': 'application/json; charset=utf-8',
  'application/graphql-response+json': 'application/graphql-response+json; charset=utf-8',
};

/** Free, and never refused: it is less work than a refusal, and a page whose browser is refused is not told why. */
function preflight(request: IncomingMessage, response: ServerResponse, parts: GraphqlOverHttpParts): void {
  parts.observe?.request('OPTIONS', 204, 0, ROUTE);
  response
    .writeHead(204, { allow: 'GET, POST, OPTIONS', ...preflightHeaders(request.headers.origin, parts.cors) })
    .end();
  if (response.writableLength > 0) parts.untaken?.add(response);
}
