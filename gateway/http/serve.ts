import type { LoggerService } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Logger } from '#libs/telemetry';
import { GatewayModule } from '../gateway.module.js';
import { answerGraphql, type GraphqlOverHttpParts } from './graphql-over-http.js';
import type { Readiness } from './health.controller.js';
import { answerBrokenRequest, limitServer, SERVER_OPTIONS, whyNotTaken } from './node-limits.js';
import type { Playground } from './playground.js';
import { answerProblem } from './problem.js';

export interface HttpServer {
  /** Takes connections from now on. */
  listen(): Promise<AddressInfo>;
  close(): Promise<void>;
}

/** Nest on Fastify, with everything either of them would answer by itself replaced by our one JSON shape. */
export async function serve(parts: {
  host: string;
  port: number;
  connectionsMax: number;
  /** How long requests under way may take when it closes. */
  closeMs: number;
  graphql: GraphqlOverHttpParts;
  playground: Playground | undefined;
  readiness: () => Readiness;
  logger: Logger;
}): Promise<HttpServer> {
  const { newId } = parts.graphql;
  const adapter = new FastifyAdapter({
    http: SERVER_OPTIONS,
    keepAliveTimeout: SERVER_OPTIONS.keepAliveTimeout,
    requestTimeout: SERVER_OPTIONS.requestTimeout,
    exposeHeadRoutes: false,
    forceCloseConnections: 'idle',
    clientErrorHandler: answerBrokenRequest,
    frameworkErrors: (_error: Error, _request: FastifyRequest, reply: FastifyReply) => {
      reply.hijack();
      answerProblem(reply.raw, 400, 'The address of this request cannot be read.', newId());
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
    const refused = whyNotTaken(request.raw);
    if (refused === undefined) return done();
    reply.hijack();
    reply.raw.setHeader('connection', 'close');
    answerProblem(reply.raw, refused.status, refused.message, newId());
  });
  app.useGlobalFilters({
    catch(error: unknown, host) {
      const reply = host.switchToHttp().getResponse<FastifyReply>();
      if (reply.raw.headersSent) return;
      const { raw } = reply;
      reply.hijack();
      const status = statusOf(error);
      // Methods that Fastify does not route.
      if (status === 404 && pathOf(raw.req.url) === '/graphql') return void answerGraphql(raw.req, raw, parts.graphql);
      if (status >= 500)
        parts.logger.error(
          { detail: error instanceof Error ? error.stack : String(error) },
          'A request failed outside GraphQL',
        );
      answerProblem(
        raw,
        status,
        SAID[status] ?? (status < 500 ? 'This request cannot be answered.' : 'Internal server error'),
        newId(),
      );
    },
  });
  await app.init();
  await fastify.ready();
  const server = app.getHttpServer() as Server;
  limitServer(server, parts.connectionsMax, newId);
  return {
    async listen() {
      await app.listen(parts.port, parts.host);
      return server.address() as AddressInfo;
    },
    async close() {
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

const SAID: Record<number, string> = {
  404: 'There is nothing at this address; GraphQL is at /graphql.',
  415: 'The content type cannot be read.',
};

function statusOf(error: unknown): number {
  const { status, statusCode } = error as { status?: unknown; statusCode?: unknown };
  const found = typeof status === 'number' ? status : typeof statusCode === 'number' ? statusCode : 500;
  return found >= 400 && found < 600 ? found : 500;
}

function pathOf(url: string | undefined): string {
  return (url ?? '').split('?')[0]!;
}

/** Nest tells each route it maps; that is for debugging. */
function nestLogger(logger: Logger): LoggerService {
  const to =
    (level: keyof Logger) =>
    (message: unknown, ...more: unknown[]) =>
      logger[level]({ from: more.at(-1) }, String(message));
  return {
    log: to('debug'),
    debug: to('debug'),
    verbose: to('debug'),
    warn: to('warn'),
    error: to('error'),
    fatal: to('error'),
  };
}
