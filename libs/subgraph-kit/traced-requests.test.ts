import { afterEach, expect, it } from '@jest/globals';
import fastify, { type FastifyInstance } from 'fastify';
import type { AddressInfo } from 'node:net';
import { readSettings } from '#libs/settings';
import { currentSpan, openTracing, silent, tracingSettings, type Tracing } from '#libs/telemetry';
import { startCollector, type Collector } from '../../test/watch/collector.js';
import { traceRequests } from './traced-requests.js';

const KEPT = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';

let collector: Collector;
let tracing: Tracing;
let server: FastifyInstance;
afterEach(async () => {
  await server.close();
  await tracing.close();
  await collector.close();
});

it.each(['is answered', 'is not waited for by its client'])('the span of a request that %s ends', async (how) => {
  collector = await startCollector();
  tracing = (await openTracing(readSettings(tracingSettings, { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url }), silent))!;
  server = fastify();
  traceRequests(server, tracing.tracer('posts'));
  const client = new AbortController();
  let gone: Promise<unknown> = Promise.resolve();
  let found: unknown[] = [];
  server.post('/graphql', async (_request, reply) => {
    const before = currentSpan()?.traceId;
    if (how !== 'is answered') {
      gone = new Promise((resolve) => reply.raw.once('close', resolve));
      client.abort();
      await gone;
    }
    await Promise.resolve();
    found = [before, currentSpan()?.traceId];
    return {};
  });
  await server.listen({ port: 0, host: '127.0.0.1' });
  const { port } = server.server.address() as AddressInfo;
  const asked = fetch(`http://127.0.0.1:${port}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', traceparent: KEPT },
    body: '{}',
    signal: client.signal,
  });
  await asked.then((answer) => answer.text()).catch(() => undefined);
  await gone;
  await server.close();
  await tracing.close();
  const traceId = KEPT.split('-')[1];
  // (control) While it is worked at, it is found.
  expect(found).toEqual([traceId, how === 'is answered' ? traceId : undefined]);
  expect(collector.spans).toEqual([expect.objectContaining({ name: 'POST /graphql', traceId })]);
});
