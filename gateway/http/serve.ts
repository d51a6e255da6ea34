import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { nestLogger, type Logger } from '#libs/telemetry';
import { GatewayModule } from '../gateway.module.js';
import { answerNothing, observed, whyRefused } from './elsewhere.js';
import type { GraphqlOverHttpParts } from './graphql-over-http-parts.js';
import { answerGraphql } from './graphql-over-http.js';
import type { Readiness } from './health.controller.js';
import {
  answerBrokenRequest,
  limitServer,
  NODE_LIMITS,
  serverOptions,
  whyNotTaken,
  type NodeLimits,
} from './node-limits.js';
import type { Playground } from './playground.js';
import { answerProblem, answerRefusal } from './problem.js';

export interface HttpServer {
  /** Takes connections from now on. */
  listen(): Promise<AddressInfo>;
  /** How many clients have open. */
  connections(): number;
  /** Still answers, and ends each connection with its next answer: clients move on before it stops listening. */
  drain(): void;
  close(): Promise<void>;
}

/** Nest on Fastify, with everything either of them would answer by itself replaced by our one JSON shape. */
export async function serve(parts: {
  host: string;
  port: number;
  connectionsMax: number;
  /** Absent: NODE_LIMITS. */
  limits?: NodeLimits | undefined;
  /** Told of each connection that has a place. */
  connected?: (() => void) | undefined;
  /** Told of each connection beyond them. */
  rejected?: (() => void) | undefined;
  /** How long requests under way may take when it closes. */
  closeMs: number;
  graphql: GraphqlOverHttpParts;
  playground: Playground | undefined;
  readiness: () => Readiness;
  logger: Logger;
}): Promise<HttpServer> {
  const { newId, bodyBytesMax } = parts.graphql;
  const limits = { ...(parts.limits ?? NODE_LIMITS), bodyBytesMax };
  let closing = false;

  /**
   * GraphQL's address as everybody writes it goes straight to where Nest would bring it, past Fastify's routing and Nest's
   * chain. With what fetch/subgraph-client.ts does instead of `pool.request`, a small query went from 1.21 to 0.37 ms of CPU
   * (busy machine, turns A B A B). Whoever writes it otherwise (/gr%61phql) goes the long way.
   */
  function graphqlFirst(otherwise: RequestListener): RequestListener {
    return (request, response) => {
      const url = request.url ?? '';
      // So a proxy is asked (`POST http://somewhere/graphql`), and this is none: nobody is to take it for one. RFC 9112, 3.2.2, has a server
      // take it all the same; no client says it so to one that it does not take for a proxy.
      if (/^[a-z][\w+.-]*:/i.test(url)) return nothing(request, response, UNREADABLE);
      if (!url.startsWith('/graphql') || (url.length > 8 && url[8] !== '?')) {
        parts.graphql.untaken?.add(response);
        return otherwise(request, response);
      }
      const refused = whyNotTaken(request, limits);
      if (closing || refused) response.setHeader('connection', 'close');
      if (refused) {
        parts.graphql.untaken?.add(response);
        return nothing(request, response, refused);
      }
      answerGraphql(request, response, parts.graphql).catch((error: unknown) => failed(response, error));
    };
  }

  function nothing(request: IncomingMessage, response: ServerResponse, why: { status: number; message: string }): void {
    observed(request, response, undefined, parts.graphql.observe);
    answerNothing(request, response, why, parts.graphql).catch((error: unknown) => failed(response, error));
  }

  function failed(response: ServerResponse, error: unknown): void {
    parts.logger.error(
      { detail: error instanceof Error ? error.stack : String(error) },
      'A request failed outside GraphQL',
    );
    if (response.headersSent) return void response.destroy();
    answerProblem(response, 500, 'Internal server error', newId());
  }

  const adapter = new FastifyAdapter({
    serverFactory: (handler: RequestListener) => createServer(serverOptions(limits), graphqlFirst(handler)),
    exposeHeadRoutes: false,
    forceCloseConnections: 'idle',
    clientErrorHandler: (error, socket) => answerBrokenRequest(error, socket, newId, limits),
    frameworkErrors: (_error: Error, request: FastifyRequest, reply: FastifyReply) => {
      reply.hijack();
      nothing(request.raw, reply.raw, UNREADABLE);
    },
  });
  const app = await NestFactory.create<NestFastifyApplication>(
    GatewayModule.of({ graphql: parts.graphql, playground: parts.playground, readiness: parts.readiness }),
    adapter,
    { logger: nestLogger(parts.logger), abortOnError: false, bodyParser: false, forceCloseConnections: false },
  );
  const fastify = adapter.getInstance();
  fastify.removeAllContentTypeParsers();
  // Bodies stay in the socket: http/read-body.ts reads them, with limits that count after inflation.
  fastify.addContentTypeParser('*', (_request, _payload, done) => done(null));
  fastify.addHook('onRequest', (request, reply, done) => {
    const refused = whyNotTaken(request.raw, limits);
    if (closing || refused) reply.raw.setHeader('connection', 'close');
    if (refused || request.is404) {
      reply.hijack();
      return nothing(request.raw, reply.raw, refused ?? NOTHING);
    }
    const route = request.routeOptions.url;
    // What GraphQL is asked in other words it counts itself.
    if (route === '/graphql') return done();
    observed(request.raw, reply.raw, route, parts.graphql.observe);
    const refusal = route?.startsWith('/health/') ? undefined : whyRefused(request.raw, parts.graphql);
    if (!refusal) return done();
    reply.hijack();
    answerRefusal(reply.raw, refusal, newId());
  });
  app.useGlobalFilters({
    catch(error: unknown, host) {
      const reply = host.switchToHttp().getResponse<FastifyReply>();
      if (reply.raw.headersSent) return;
      const { raw } = reply;
      reply.hijack();
      const status = statusOf(error);
      if (status >= 500) return failed(raw, error);
      answerProblem(raw, status, SAID[status] ?? 'This request cannot be answered.', newId());
    },
  });
  await app.init();
  await fastify.ready();
  const server = app.getHttpServer() as Server;
  if (parts.connected) server.on('connection', parts.connected);
  const clients = limitServer(server, parts.connectionsMax, newId, parts.rejected, limits);
  return {
    async listen() {
      await app.listen({ port: parts.port, host: parts.host, backlog: BACKLOG });
      return server.address() as AddressInfo;
    },
    connections: () => clients.count(),
    drain() {
      closing = true;
    },
    async close() {
      closing = true;
      // Whoever is still at it then is cut: their answer had a deadline of its own.
      const cut = setTimeout(() => server.closeAllConnections(), parts.closeMs);
      // A connection whose last answer is out is idle, and kept alive by its client for as long as it likes.
      const idle = setInterval(() => server.closeIdleConnections(), 50);
      await app.close();
      clearInterval(idle);
      clearTimeout(cut);
    },
  };
}

/**
 * Connections that the kernel holds until they are taken. Of Node's own 511 a crowd fills every place in a moment, and whoever finds none
 * tries again a second later, then three: their 503 came that late (`npm run bench -- overload`).
 */
const BACKLOG = 4_096;

const NOTHING = { status: 404, message: 'There is nothing at this address; GraphQL is at /graphql.' };

const UNREADABLE = { status: 400, message: 'The address of this request cannot be read.' };

const SAID: Record<number, string> = {
  404: NOTHING.message,
  415: 'The content type cannot be read.',
};

function statusOf(error: unknown): number {
  const { status, statusCode } = error as { status?: unknown; statusCode?: unknown };
  const found = typeof status === 'number' ? status : typeof statusCode === 'number' ? statusCode : 500;
  return found >= 400 && found < 600 ? found : 500;
}
