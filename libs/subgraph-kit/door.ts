import type { FastifyReply, FastifyRequest } from 'fastify';
import { asksPastCaches, parseWrites, UP_TO_HEADER, type Write } from '#libs/consistency';
import { asFailure, deadlineOf, Failure, TIMEOUT_HEADER } from '#libs/failure';
import {
  ASSERTION_HEADER,
  CLIENT_HEADER,
  IDEMPOTENCY_HEADER,
  newId,
  parseGlobalId,
  SESSION,
  SESSION_HEADER,
  type AssertionVerifier,
} from '#libs/identity';
import { keyOf } from '#libs/idempotency';
import type { Clock } from '#libs/telemetry';
import type { RequestContext } from './context.js';

/**
 * A subgraph answers nobody but its gateway. Everything is closed except the named paths: the route that was matched decides, not
 * the text of the address, so no spelling of a path gets around it. It runs before the body is read.
 */
export class Door {
  readonly #contexts = new WeakMap<FastifyRequest, RequestContext>();

  constructor(
    private readonly assertions: AssertionVerifier,
    private readonly open: readonly string[],
    private readonly clock: Clock,
  ) {}

  readonly onRequest = async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
    const route = request.routeOptions.url;
    if (route !== undefined && this.open.includes(route)) return;
    try {
      const viewer = this.#viewer(request);
      const upTo = upToOf(request);
      this.#contexts.set(request, {
        viewer,
        requestId: requestIdOf(request),
        traceId: traceIdOf(request),
        client: callerOf(request, CLIENT_HEADER),
        session: callerOf(request, SESSION_HEADER),
        deadline: deadlineOf(request.headers[TIMEOUT_HEADER], this.clock),
        key: this.#keyOf(request, viewer),
        upTo,
        fresh: asksPastCaches(request.headers['cache-control']),
        wrote: [],
      });
    } catch (error) {
      await refuse(reply, asFailure(error));
    }
  };

  contextOf(request: FastifyRequest): RequestContext {
    const context = this.#contexts.get(request);
    if (context === undefined) throw new Error('a request got past the door');
    return context;
  }

  #keyOf({ headers }: FastifyRequest, viewer: string | null): RequestContext['key'] {
    const came = headers[IDEMPOTENCY_HEADER];
    return came === undefined ? undefined : keyOf(came, viewer, (text) => this.assertions.seal(text));
  }

  #viewer(request: FastifyRequest): string | null {
    const header = request.headers[ASSERTION_HEADER];
    const { subject } = this.assertions.verify(typeof header === 'string' ? header : undefined);
    if (subject === null) return null;
    try {
      return parseGlobalId('user', subject);
    } catch (cause) {
      throw new Failure('UNAUTHENTICATED', undefined, { cause });
    }
  }
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
export function refuse(reply: FastifyReply, failure: Failure): FastifyReply {
  const error = { message: failure.clientMessage, extensions: { code: failure.code } };
  return reply
    .code(failure.status)
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
