import type { IncomingMessage, ServerResponse } from 'node:http';
import { inspect } from 'node:util';
import { CODES } from '#libs/failure';
import type { Span, Tracer } from '#libs/telemetry';
import type { Answer } from '../engine.js';
import { preflightHeaders } from './cross-site.js';
import { observed } from './elsewhere.js';
import { CLIENT_GONE } from './ending.js';
import { executeAsked } from './execute-asked.js';
import type { GraphqlOverHttpParts } from './graphql-over-http-parts.js';
import { requestIdOf } from './headers.js';
import { keptHeaders } from './kept.js';
import { responseTypeFor, wantsPage, type ResponseType } from './media-type.js';
import { notForNothing } from './paying.js';
import { readAsked } from './read-asked.js';
import { NOT_SERVED, NOT_TAKEN, refusalBody, refusalOf, TOO_MANY, type Refusal } from './refusal.js';
import { whoAsks } from './who-asks.js';
import { writeAnswer } from './write-answer.js';

/**
 * One HTTP request → one answer. Everything that costs nothing is asked first; what is refused before `execute` has called no
 * subgraph. The answer is always the same JSON shape, whatever went wrong.
 */
export async function answerGraphql(
  request: IncomingMessage,
  response: ServerResponse,
  parts: GraphqlOverHttpParts,
): Promise<void> {
  const requestId = requestIdOf(request.headers, parts);
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
  const trace = parts.tracer && requestSpan(parts.tracer, request, requestId, parts.proxies);
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
    const { answer, consistency, pastCaches, responseHeaders } = await executeAsked(
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
    const kept = keptHeaders(response, parts);
    const outcome = outcomeOf(answer);
    observe?.answered(outcome, parts.clock() - (deadline - parts.timeoutMs));
    trace?.set({ 'tributary.outcome': outcome });
    writeAnswer(request, response, 200, type, answer.body, requestId, parts, kept);
  } catch (error) {
    if (error === NOT_TAKEN) place?.turnedAway();
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

function requestSpan(tracer: Tracer, request: IncomingMessage, requestId: string, proxies = 0): Span {
  const method = request.method === 'GET' ? 'GET' : request.method === 'POST' ? 'POST' : '_OTHER';
  const { traceparent } = request.headers;
  // What a stranger writes beside it would stand in each span.
  const headers = proxies > 0 ? request.headers : { traceparent };
  return tracer.request(headers, `${method === '_OTHER' ? 'HTTP' : method} /graphql`, {
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
  writeAnswer(
    request,
    response,
    503,
    'application/json',
    `${BUSY[0]}${requestId}${BUSY[1]}`,
    requestId,
    parts,
    BUSY_HEADERS,
  );
}

/** An id is of letters, digits and hyphens (headers.ts): nothing in it has to be escaped. */
const BUSY = refusalBody(TOO_MANY, '|').split('|');
const BUSY_HEADERS = ['retry-after', '1', 'cache-control', 'no-store'];

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
  const { status, code, message, more } = refusal;
  if (status >= 500 && more.cause !== NOT_TAKEN && more.cause !== NOT_SERVED) {
    parts.logger.error(
      { requestId, ...traceIdOf(trace), status, code, detail: inspect(more.cause ?? message) },
      'A request failed',
    );
  }
  parts.observe?.answered(refusal.code);
  for (const [name, value] of Object.entries(refusal.more.headers ?? {})) response.setHeader(name, value);
  if (CODES[code].retry && !more.mayBeDone && !response.hasHeader('retry-after'))
    response.setHeader('retry-after', '1');
  response.setHeader('cache-control', 'no-store');
  const body = refusalBody(refusal, requestId);
  writeAnswer(request, response, refusal.status, type, body, requestId, parts, [], refusal.more.rest);
}

/** Free, and never refused: it is less work than a refusal, and a page whose browser is refused is not told why. */
function preflight(request: IncomingMessage, response: ServerResponse, parts: GraphqlOverHttpParts): void {
  parts.observe?.request('OPTIONS', 204, 0, ROUTE);
  response
    .writeHead(204, { allow: 'GET, POST, OPTIONS', ...preflightHeaders(request.headers.origin, parts.cors) })
    .end();
  if (response.writableLength > 0) parts.untaken?.add(response);
}
