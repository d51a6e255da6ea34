import type { DynamicModule } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import type { RequestListener } from 'node:http';
import { nestLogger, type Logger, type Tracer } from '#libs/telemetry';
import type { Listening } from './listen.js';
import { traceRequests } from './traced-requests.js';

/** Thousand representations are about 60 KB; the gateway refuses client bodies over 256 KiB. */
const BODY_BYTES_MAX = 1024 * 1024;

/** The module answers where somebody listens already. Its `close` ends what is under way, and then the module. */
export async function serve(
  module: DynamicModule,
  listening: Listening,
  {
    logger,
    answered,
    tracer,
  }: {
    logger: Logger;
    /** Told of each answer. */
    answered?: ((method: string, status: number, ms: number, route: string | undefined) => void) | undefined;
    /** Makes its spans; absent: nobody traces. */
    tracer?: Tracer | undefined;
  },
): Promise<{ close(): Promise<void> }> {
  let handle: RequestListener | undefined;
  const adapter = new FastifyAdapter({
    bodyLimit: BODY_BYTES_MAX,
    serverFactory: (handler: RequestListener) => {
      handle = handler;
      return listening.server;
    },
  });
  const app = await NestFactory.create<NestFastifyApplication>(module, adapter, {
    logger: nestLogger(logger),
    abortOnError: false,
    forceCloseConnections: false,
  });
  const fastify = adapter.getInstance();
  if (answered)
    fastify.addHook('onResponse', (request, reply, done) => {
      answered(request.method, reply.statusCode, reply.elapsedTime, request.routeOptions.url);
      done();
    });
  if (tracer) traceRequests(fastify, tracer);
  await app.init();
  await fastify.ready();
  listening.answerWith(handle!);
  return {
    async close() {
      await listening.close();
      await app.close();
    },
  };
}
