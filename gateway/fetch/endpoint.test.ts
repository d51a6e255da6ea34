import { afterEach, describe, expect, it } from '@jest/globals';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Metrics } from '#libs/telemetry';
import type { SubgraphCall } from '../engine.js';
import type { HttpServer } from '../http/serve.js';
import { gatewayMetrics } from '../metrics.js';
import type { ServedSupergraph } from '../supergraph/served.js';
import { openSubgraphClient, type SubgraphClientOptions } from './subgraph-client.js';

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

const CONNECTIONS = 8;

/** A service that lets whoever asks at /held wait, until it is said, and answers all others at once; and how a gateway asks it. */
async function service(options: Partial<SubgraphClientOptions> = {}) {
  const held: (() => void)[] = [];
  const server = createServer((request, response) => {
    const answer = () => response.writeHead(200, { 'content-type': 'application/json' }).end('{"data":{}}');
    request.resume().on('end', () => void (request.url === '/held' ? held.push(answer) : answer()));
  });
  await new Promise<void>((go) => server.listen(0, '127.0.0.1', go));
  const client = openSubgraphClient({
    timeoutMs: 60_000,
    bodyBytesMax: 1_024,
    connections: CONNECTIONS,
    assertion: () => undefined,
    forwardResponse: [],
    clock: Date.now,
    ...options,
  });
  closers.push(async () => {
    await client.close();
    server.closeAllConnections();
    await new Promise((go) => server.close(go));
  });
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const ask = (path: '/held' | '/', type: SubgraphCall['type']): Promise<string> =>
    client
      .post(
        { subgraph: 'users', url: origin + path, type, body: '{"query":"{__typename}"}' },
        {
          requestId: 'r1',
          subject: null,
          headers: new Map(),
          signal: new AbortController().signal,
          deadline: (options.clock ?? Date.now)() + 120_000,
          responseHeaders: [],
        },
      )
      .then(
        () => 'ok',
        (error: { code?: string }) => error.code ?? 'an error without a code',
      );
  const many = (count: number, type: SubgraphCall['type']) => Array.from({ length: count }, () => ask('/held', type));
  const arrives = async (count: number): Promise<void> => {
    while (held.length < count) await new Promise((go) => setTimeout(go, 5));
  };
  const endpoint = () => [...client.upstreams.endpoints][0]!;
  const release = async (all: readonly Promise<string>[]): Promise<Set<string>> => {
    let over = false;
    const done = Promise.all(all).finally(() => (over = true));
    while (!over) {
      for (const answer of held.splice(0)) answer();
      await new Promise((go) => setTimeout(go, 5));
    }
    return new Set(await done);
  };
  return { ask, many, arrives, endpoint, held, release, upstreams: client.upstreams };
}

describe('mutations that take long', () => {
  it('keep no reader waiting, however many there are; control: where they are counted as all others, every reader waits', async () => {
    const users = await service();
    const writing = users.many(200, 'mutation');
    await users.arrives(CONNECTIONS / 2);
    const reads = await Promise.all(Array.from({ length: 50 }, () => users.ask('/', 'query')));
    expect(new Set(reads)).toEqual(new Set(['ok']));
    expect([users.held.length, users.endpoint().waiting]).toEqual([4, 196]);
    expect(await users.release(writing)).toEqual(new Set(['ok']));
    expect([users.endpoint().inside, users.endpoint().waiting]).toEqual([0, 0]);

    const naive = await service();
    const asReads = naive.many(200, 'query');
    await naive.arrives(CONNECTIONS);
    const read = naive.ask('/', 'query');
    expect([naive.endpoint().inside, naive.endpoint().waiting]).toEqual([CONNECTIONS, 193]);
    expect(await naive.release([...asReads, read])).toEqual(new Set(['ok']));
  });

  it('and are not answered in time leave readers their places, and the address open to them; control: reads do not', async () => {
    const after = async (type: SubgraphCall['type']) => {
      const users = await service({ timeoutMs: 200, breakerFailures: 3 });
      expect(new Set(await Promise.all(users.many(4, type)))).toEqual(new Set(['SUBGRAPH_TIMEOUT']));
      const { places, writing, breaker } = users.endpoint();
      return [places.limit.places, writing.limit.places, breaker.state];
    };
    expect(await after('mutation')).toEqual([8, 3, 'closed']);
    expect(await after('query')).toEqual([6, 4, 'open']);
  });

  it('and wait in line for too long turn away mutations, and no reader; control: as reads they do', async () => {
    const after = async (type: SubgraphCall['type']) => {
      let now = 1_000;
      const users = await service({ connections: 2, lateInLineMs: 500, clock: () => now });
      const under = users.many(4, type);
      await users.arrives(type === 'mutation' ? 1 : 2);
      now += 501;
      users.held.shift()!();
      await users.arrives(type === 'mutation' ? 1 : 2);
      const another = users.ask('/held', type);
      const read = users.ask('/', 'query');
      const outcomes = [await another];
      if (type === 'mutation') outcomes.push(await read);
      expect(await users.release(under)).toEqual(new Set(['ok']));
      return [...outcomes, await read];
    };
    expect(await after('mutation')).toEqual(['OVERLOADED', 'ok', 'ok']);
    expect(await after('query')).toEqual(['OVERLOADED', 'OVERLOADED']);
  });

  it('have figures of their own beside those of all; control: by those of all a full line of mutations is a busy service', async () => {
    const users = await service();
    const metrics = await Metrics.open();
    gatewayMetrics(metrics).watch({
      upstreams: users.upstreams,
      tls: { expiries: () => [] },
      admission: undefined,
      served: { current: undefined } as ServedSupergraph,
      server: { connections: () => 0 } as HttpServer,
      ended: undefined,
      persisted: undefined,
      isReady: () => true,
    });
    const figures = async (...names: string[]): Promise<number[]> => {
      const text = await metrics.text();
      return names.map((name) =>
        Number(new RegExp(`^${name}{server_address="http:[^"]+"} (\\S+)$`, 'm').exec(text)?.[1]),
      );
    };
    const all = [
      'http_client_active_requests',
      'tributary_subgraph_calls_waiting',
      'tributary_subgraph_concurrency_limit',
    ];
    const mutations = ['active', 'waiting', 'limit'].map((what) => `tributary_subgraph_mutations_${what}`);
    const writes = users.many(10, 'mutation');
    await users.arrives(CONNECTIONS / 2);
    const reads = users.many(1, 'query');
    await users.arrives(CONNECTIONS / 2 + 1);
    expect([await figures(...all), await figures(...mutations)]).toEqual([
      [5, 6, CONNECTIONS],
      [4, 6, CONNECTIONS / 2],
    ]);
    expect(await users.release([...writes, ...reads])).toEqual(new Set(['ok']));
    const { places } = users.endpoint();
    for (let turn = 0; turn < 8; turn += 1) users.endpoint().overloaded(places, places.limit.cohort);
    expect([await figures(...all), await figures(...mutations)]).toEqual([
      [0, 0, 1],
      [0, 0, 1],
    ]);
  });

  it('hold half of the places that an address has left, and one where it has one', async () => {
    const users = await service({ connections: 1 });
    const one = users.many(2, 'mutation');
    await users.arrives(1);
    expect(await users.release(one)).toEqual(new Set(['ok']));
    const busy = await service();
    await busy.ask('/', 'query');
    const { places, writing } = busy.endpoint();
    for (let turn = 0; turn < 8; turn += 1) busy.endpoint().overloaded(places, places.limit.cohort);
    expect(places.limit.places).toBe(1);
    const writes = busy.many(3, 'mutation');
    await busy.arrives(1);
    expect([writing.line.inside, busy.endpoint().inside, busy.held.length]).toEqual([1, 1, 1]);
    expect(await busy.release(writes)).toEqual(new Set(['ok']));
  });

  it('are answered to the last where their address is named no more', async () => {
    const users = await service({ connections: 2 });
    const under = users.many(4, 'mutation');
    await users.arrives(1);
    const endpoint = users.endpoint();
    users.upstreams.keep(new Set());
    expect(await users.release(under)).toEqual(new Set(['ok']));
    expect([endpoint.inside, endpoint.waiting, endpoint.pool.closed]).toEqual([0, 0, true]);
  });
});
