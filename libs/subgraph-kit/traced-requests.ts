import type { FastifyInstance, FastifyRequest } from 'fastify';
import { inSpan, type Span, type Tracer } from '#libs/telemetry';

/**
 * What the gateway asks is part of the gateway's trace. Who is asked by nobody who traces begins none: a trace begins where a person
 * clicks. What the request does meanwhile finds its span as `currentSpan()`.
 */
export function traceRequests(fastify: FastifyInstance, tracer: Tracer): void {
  const spans = new WeakMap<FastifyRequest, Span>();
  fastify.addHook('onRequest', (request, reply, done) => {
    const span =
      request.routeOptions.url === '/graphql'
        ? tracer.follow(request.headers['traceparent'], 'server', 'POST /graphql', ATTRIBUTES)
        : undefined;
    if (span) {
      spans.set(request, span);
      // Also where the client has gone, and nothing was answered.
      reply.raw.once('close', () => {
        spans.delete(request);
        const { statusCode } = reply.raw;
        span.set({ 'http.response.status_code': statusCode });
        span.end(statusCode >= 500 ? String(statusCode) : undefined);
      });
    }
    done();
  });
  // Not before the body is there: it comes by the socket, which knows of no request.
  fastify.addHook('preHandler', (request, _reply, done) => {
    const span = spans.get(request);
    if (span) inSpan(span, done);
    else done();
  });
}

const ATTRIBUTES = { 'http.request.method': 'POST', 'http.route': '/graphql', 'url.path': '/graphql' };
