import type { DynamicModule, LoggerService } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import type { AddressInfo } from 'node:net';
import type { Logger, Tracer } from '#libs/telemetry';
import { traceRequests } from './traced-requests.js';

export interface Listening {
  /** Where GraphQL is answered, for example http://127.0.0.1:40123/graphql */
  readonly url: string;
  /** Ends what is under way, refuses what is new. */
  close(): Promise<void>;
}

/** Thousand representations are about 60 KB; the gateway refuses client bodies over 256 KiB. */
const BODY_BYTES_MAX = 1024 * 1024;
/** Longer than the gateway's pool keeps an idle connection, so that it is never we who cut one that is being used. */
const KEEP_ALIVE_MS = 75_000;
const REQUEST_MS = 15_000;

export async function listen(
  module: DynamicModule,
  {
    host,
    port,
    logger,
    answered,
    tracer,
  }: {
    host: string;
    port: number;
    logger: Logger;
    /** Told of each answer. */
    answered?: ((method: string, status: number, ms: number) => void) | undefined;
    /** Makes its spans; absent: nobody traces. */
    tracer?: Tracer | undefined;
  },
): Promise<Listening> {
  const adapter = new FastifyAdapter({
    bodyLimit: BODY_BYTES_MAX,
    keepAliveTimeout: KEEP_ALIVE_MS,
    requestTimeout: REQUEST_MS,
    forceCloseConnections: 'idle',
  });
  const app = await NestFactory.create<NestFastifyApplication>(module, adapter, {
    logger: nestLogger(logger),
    abortOnError: false,
    forceCloseConnections: false,
  });
  if (answered)
    adapter.getInstance().addHook('onResponse', (request, reply, done) => {
      answered(request.method, reply.statusCode, reply.elapsedTime);
      done();
    });
  if (tracer) traceRequests(adapter.getInstance(), tracer);
  await app.listen(port, host);
  const { port: bound } = app.getHttpServer().address() as AddressInfo;
  return { url: `http://${host.includes(':') ? `[${host}]` : host}:${bound}/graphql`, close: () => app.close() };
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
