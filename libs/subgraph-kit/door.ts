import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { asksPastCaches, parseWrites, UP_TO_HEADER, type Write } from '#libs/consistency';
import { asFailure, cut, deadlineOf, TIMEOUT_HEADER, type Deadline, type Failure } from '#libs/failure';
import {
  ASSERTION_HEADER,
  CLIENT_HEADER,
  IDEMPOTENCY_HEADER,
  newId,
  parseGlobalId,
  RefusedCall,
  requireCall,
  SESSION,
  SESSION_HEADER,
  type Asserted,
  type AssertionVerifier,
  type Call,
} from '#libs/identity';
import { keyOf } from '#libs/idempotency';
import type { Clock, Logger } from '#libs/telemetry';
import type { RequestContext } from './context.js';

/**
 * A subgraph answers nobody but its gateway. Everything is closed except the named paths: the route that was matched decides, not
 * the text of the address, so no spelling of a path gets around it. Who asks is looked at before the body is read, and whether this is what
 * was signed before anything is made of the body.
 */
export class Door {
  readonly #contexts = new WeakMap<FastifyRequest, RequestContext>();
  /** Whose body has still to be the one that was signed. */
  readonly #unread = new WeakMap<FastifyRequest, Asserted>();
  #saidAt = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly assertions: AssertionVerifier,
    private readonly open: readonly string[],
    private readonly clock: Clock,
    private readonly logger: Logger,
  ) {}

  /** Everything of it at once, in front of whoever answers. */
  guard(fastify: FastifyInstance): void {
    fastify.addHook('onRequest', this.#onRequest);
    const parse = fastify.getDefaultJsonParser('error', 'error') as ParseJson;
    fastify.removeContentTypeParser(JSON_TYPE);
    fastify.addContentTypeParser<Buffer>(JSON_TYPE, { parseAs: 'buffer' }, (request, body, done) => {
      try {
        this.#read(request, body);
      } catch (error) {
        this.#count(error);
        return done(error as Error);
      }
      parse(request, body.toString(), done);
    });
    // Another type of body, or none, that nobody has held against what was signed.
    fastify.addHook('preValidation', (request, reply, done) => {
      if (!this.#unread.has(request)) return done();
      const error = new RefusedCall('altered');
      this.#count(error);
      refuse(reply, error);
    });
  }

  readonly #onRequest = async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
    const route = request.routeOptions.url;
    if (route !== undefined && this.open.includes(route)) return;
    try {
      const asserted = this.#asserted(request);
      const viewer = viewerOf(asserted);
      const upTo = upToOf(request);
      const monotonic = asksPastCaches(request.headers['cache-control']);
      this.#contexts.set(request, {
        viewer,
        requestId: requestIdOf(request),
        traceId: traceIdOf(request),
        client: callerOf(request, CLIENT_HEADER),
        session: callerOf(request, SESSION_HEADER),
        deadline: this.#deadlineOf(request),
        key: this.#keyOf(request, viewer),
        call: asserted.call?.write,
        upTo,
        fresh: monotonic,
        monotonic,
        wrote: [],
        found: [],
      });
    } catch (error) {
      this.#count(error);
      await refuse(reply, asFailure(error), isOfNobody(error) ? NOBODYS : undefined);
    }
  };

  #count(error: unknown): void {
    if (error instanceof RefusedCall) this.assertions.refused(error.why);
  }

  contextOf(request: FastifyRequest): RequestContext {
    const context = this.#contexts.get(request);
    if (context === undefined) throw new Error('a request got past the door');
    return context;
  }

  /** One that cannot be read bounds nothing, of which nobody would hear: the gateway gives up, and what it has given up goes on here. */
  #deadlineOf({ headers }: FastifyRequest): Deadline | undefined {
    const came = headers[TIMEOUT_HEADER];
    const deadline = deadlineOf(came, this.clock);
    if (came === undefined || deadline !== undefined || this.clock() - this.#saidAt < SAID_AGAIN_MS) return deadline;
    this.#saidAt = this.clock();
    this.logger.warn(
      { [TIMEOUT_HEADER]: cut(String(came), CAME_MAX) },
      'A gateway says how long it waits in a way that is not read, so its calls are worked on after it has given up',
    );
    return undefined;
  }

  #keyOf({ headers }: FastifyRequest, viewer: string | null): RequestContext['key'] {
    const came = headers[IDEMPOTENCY_HEADER];
    return came === undefined ? undefined : keyOf(came, viewer, (text) => this.assertions.seal(text));
  }

  #asserted(request: FastifyRequest): Asserted {
    const header = request.headers[ASSERTION_HEADER];
    const asserted = this.assertions.take(typeof header === 'string' ? header : undefined);
    if (BODILESS.has(request.method)) requireCall(asserted, callOf(request));
    else if (asserted.call !== undefined) this.#unread.set(request, asserted);
    return asserted;
  }

  #read(request: FastifyRequest, body: Buffer): void {
    const asserted = this.#unread.get(request);
    if (asserted !== undefined) requireCall(asserted, callOf(request, body));
    this.#unread.delete(request);
  }
}

type ParseJson = (request: FastifyRequest, body: string, done: (error: Error | null, body?: unknown) => void) => void;

const SAID_AGAIN_MS = 60_000;
/** Characters. */
const CAME_MAX = 60;
const JSON_TYPE = 'application/json';
/** What comes with them as a body is not read. */
const BODILESS: ReadonlySet<string> = new Set(['GET', 'HEAD']);

function callOf({ method, headers, raw }: FastifyRequest, body?: Buffer): Call {
  return { method, path: raw.url ?? '', headers, ...(body === undefined ? {} : { body }) };
}

function viewerOf({ subject }: Asserted): string | null {
  if (subject === null) return null;
  try {
    return parseGlobalId('user', subject);
  } catch (cause) {
    throw new RefusedCall('subject', 'The token is of nobody who is known here.', { cause });
  }
}

/**
 * Whose token is good and of another issuer's people: it is their doing and not that of the gateway, which hands on what it is told in an answer of
 * this status, as the error of a client. By 401 it would take the service for broken, ask another process, and log it.
 */
const NOBODYS = 422;

function isOfNobody(error: unknown): boolean {
  return error instanceof RefusedCall && error.why === 'subject';
}

/** The gateway has checked it; what it cannot have sent is nobody's. */
function upToOf(request: FastifyRequest): readonly Write[] {
  const came = request.headers[UP_TO_HEADER];
  return typeof came === 'string' ? (parseWrites(came) ?? NOTHING) : NOTHING;
}

function callerOf(request: FastifyRequest, header: string): string | undefined {
  const came = request.headers[header];
  return typeof came === 'string' && SESSION.test(came) ? came : undefined;
}

const NOTHING: readonly Write[] = [];

/** The HTTP answer of a request that is not executed, in GraphQL's own shape. */
export function refuse(reply: FastifyReply, failure: Failure, status = failure.status): FastifyReply {
  const error = { message: failure.clientMessage, extensions: { code: failure.code } };
  return reply
    .code(status)
    .type('application/json; charset=utf-8')
    .send(JSON.stringify({ errors: [error] }));
}

function traceIdOf({ headers }: FastifyRequest): string | undefined {
  const came = headers['traceparent'];
  return typeof came === 'string' ? /^00-([0-9a-f]{32})-/.exec(came)?.[1] : undefined;
}

/** The gateway's id of the request, when it looks like one: what is logged must not be able to forge a log line. */
function requestIdOf(request: FastifyRequest): string {
  const came = request.headers['x-request-id'];
  return typeof came === 'string' && /^[\w-]{1,64}$/.test(came) ? came : newId();
}
