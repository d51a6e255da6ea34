import type { IncomingMessage, ServerResponse } from 'node:http';
import { Failure } from '#libs/failure';
import { CLIENT_HEADER, IDEMPOTENCY_HEADER, SESSION, SESSION_HEADER } from '#libs/identity';
import { traced, type Attributes, type Span } from '#libs/telemetry';
import type { Answer, Operation, RequestContext } from '../engine.js';
import { Begun } from '../fetch/begun.js';
import type { Serving } from '../supergraph/served.js';
import type { Place } from './admission.js';
import { asksMonotonicReads, type RequestConsistency } from './consistency.js';
import { CLIENT_GONE, withDeadline } from './ending.js';
import type { GraphqlOverHttpParts } from './graphql-over-http-parts.js';
import { forwardedHeaders } from './headers.js';
import { idempotencyOf, refuseKey } from './idempotency.js';
import type { Bearer } from './identity.js';
import { inTime, inTurn } from './in-turn.js';
import { affordable, notForNothing, payingForBytes } from './paying.js';
import { textOnly } from './persisted-documents.js';
import { methodNotAllowed } from './read-asked.js';
import type { GraphqlRequest } from './read-request.js';
import { NOT_SERVED, notTaken, Refusal } from './refusal.js';
import { coerceVariables } from './variables.js';
import type { Asking } from './who-asks.js';

/** What was read → its answer: found among documents, paid for, and run by the engine of the supergraph that is served. */
export async function executeAsked(
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
        deadline: deadline - Math.min(ANSWER_MS, parts.timeoutMs / 10),
        responseHeaders,
        consistency,
        pastCaches,
        explain,
        willPlan,
        fetched,
        begun: new Begun(operation.type === 'mutation', place?.begun),
        errorsMax: parts.errorsMax,
        trace,
      }),
    );
    const ended = operation.type === 'mutation' ? run.catch(mayBeDone) : run;
    const told = key === undefined ? ended : ended.then((ran) => refuseKey(ran, operation));
    if (!rates || !fetched) return told;
    return payingForBytes(told, fetched, (bytes) => rates.oweBytes(request, subject, cost, bytes));
  });
  if (answer === undefined) throw NOT_SERVED;
  return { answer, consistency, pastCaches, responseHeaders };
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

/** It was still under way. */
function mayBeDone(error: unknown): never {
  if (!(error instanceof Failure) || error.code !== 'GATEWAY_TIMEOUT') throw error;
  throw Refusal.of(error.code, error.clientMessage, { cause: error, mayBeDone: true });
}

/** Who has not said yet what it wants takes no place of those who have. */
function takePlace(place: Place | undefined): void {
  if (place?.enter() === false) throw notTaken();
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

/** What is left of a request's time when its calls have to end: an answer with holes is still made of what came. With none it was 504 or such an answer by chance. */
const ANSWER_MS = 50;

/** A client that sends it is told in the same header what its operation costs. */
const COST_HEADER = 'tributary-cost';

function once(told: () => void): () => void {
  let isTold = false;
  return () => {
    if (!isTold) told();
    isTold = true;
  };
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
