import { afterEach, describe, expect, it } from '@jest/globals';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { AWAY_HEADER } from '#libs/lifecycle';
import { AssertionSigner, AssertionVerifier, requireCall } from '#libs/identity';
import type { RequestContext, SubgraphCall } from '../engine.js';
import { identityOf, InFlight } from '../run/in-flight.js';
import { openSubgraphClient, type SubgraphClientOptions } from './subgraph-client.js';

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

const secret = 's'.repeat(32);
const signer = new AssertionSigner({ secrets: () => secret });

/** A service that takes each assertion once, and only for what was signed; then it does what is said for the nth call. */
async function service(then: (nth: number, response: ServerResponse, request: IncomingMessage) => void) {
  const assertions = new AssertionVerifier({ subgraph: 'posts', secret });
  const seen = { taken: 0, refused: 0, url: '', writes: [] as (string | undefined)[] };
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { method = '', url = '', headers } = request;
      try {
        const asserted = assertions.take(headers['tributary-assertion'] as string);
        requireCall(asserted, { method, path: url, headers, body: Buffer.concat(chunks) });
        seen.writes.push(asserted.call?.write);
      } catch {
        seen.refused += 1;
        return void response.writeHead(401, JSON_TYPE).end('{}');
      }
      seen.taken += 1;
      then(seen.taken, response, request);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closers.push(
    () =>
      new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
      }),
  );
  seen.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/graphql?of=posts`;
  return seen;
}

const JSON_TYPE = { 'content-type': 'application/json' };
const answer = (response: ServerResponse): void => void response.writeHead(200, JSON_TYPE).end('{"data":{}}');

function client(options: Partial<SubgraphClientOptions> = {}) {
  const made = openSubgraphClient({
    timeoutMs: 20_000,
    bodyBytesMax: 64 * 1024,
    connections: 16,
    assertion: (...what) => signer.sign(...what),
    forwardResponse: [],
    clock: Date.now,
    ...options,
  });
  closers.push(() => made.close());
  return made;
}

function context(more: Partial<RequestContext> = {}): RequestContext {
  return {
    requestId: 'r1',
    subject: 'user_1',
    headers: new Map(),
    signal: new AbortController().signal,
    deadline: Date.now() + 20_000,
    responseHeaders: [],
    ...more,
  };
}

const call = (url: string, body: SubgraphCall['body'] = '{"query":"{__typename}"}'): SubgraphCall => ({
  subgraph: 'posts',
  url,
  type: 'query',
  body,
});

describe('what a gateway signs', () => {
  it('is taken by a service that takes each once: any body, any query string, the headers of a mutation', async () => {
    const posts = await service((_, response) => answer(response));
    const { post } = client();
    for (const body of ['{"query":"{ü}"}', '{"query":"{😀}"}', Buffer.from('{"query":"{a}"}'), '{"query":"\\ud800"}'])
      await post(call(posts.url, body), context());
    const headers = new Map([
      ['tributary-idempotency-key', 'k.p'],
      ['tributary-session', 's'],
      ['tributary-client', 'c'],
      ['x-tenant', 'a'],
    ]);
    await post({ ...call(posts.url), type: 'mutation' }, context({ headers }));
    expect(posts).toMatchObject({ taken: 5, refused: 0 });
  });

  it('is another one for what is asked again; control: the same text a second time loses the read', async () => {
    const breaksOff = (nth: number, response: ServerResponse, request: IncomingMessage): void =>
      nth === 1 ? void request.socket.resetAndDestroy() : answer(response);
    const posts = await service(breaksOff);
    expect(String(await client().post(call(posts.url), context()))).toBe('{"data":{}}');
    expect(posts).toMatchObject({ taken: 2, refused: 0 });

    const naive = await service(breaksOff);
    let text: string | undefined;
    const once = client({ assertion: (...what) => (text ??= signer.sign(...what)) });
    await expect(once.post(call(naive.url), context())).rejects.toMatchObject({ code: 'SUBGRAPH_BAD_RESPONSE' });
    expect(naive).toMatchObject({ taken: 1, refused: 1 });
  });

  it('names one write for a mutation that is sent elsewhere because one is just starting; control: the next one is another, and a read is none', async () => {
    const starting = await service(
      (_, response) => void response.writeHead(503, { ...JSON_TYPE, [AWAY_HEADER]: 'starting' }).end('{}'),
    );
    const posts = await service((_, response) => answer(response));
    // By chance 0.99 the second address is chosen first.
    const { post } = client({ random: () => 0.99 });
    const mutation: SubgraphCall = { ...call([posts.url, starting.url].join()), type: 'mutation' };
    await post(mutation, context());
    expect([starting.writes, posts.writes[0]]).toEqual([[posts.writes[0]], expect.any(String)]);
    await post(mutation, context());
    await post({ ...mutation, type: 'query' }, context());
    await post({ ...mutation, type: 'query' }, context());
    expect([posts.taken, new Set(posts.writes).size]).toEqual([4, 4]);
  });

  it('is another one for a hedged read', async () => {
    const posts = await service((nth, response) => void (nth === 1 || answer(response)));
    const hedged = client({ hedgeMs: 20 });
    expect(String(await hedged.post(call(posts.url), context()))).toBe('{"data":{}}');
    expect(posts).toMatchObject({ taken: 2, refused: 0 });
  });

  it('keeps no equal reads apart: those under way at the same moment are one call', async () => {
    let goOn!: () => void;
    const held = new Promise<void>((resolve) => (goOn = resolve));
    const posts = await service((_, response) => void held.then(() => answer(response)));
    const { post } = client();
    const flights = new InFlight<Buffer>();
    const reads = Array.from({ length: 20 }, () => {
      const own = context();
      return flights.share(identityOf(own), '{"query":"{__typename}"}', own, (as) => post(call(posts.url), as));
    });
    goOn();
    expect(new Set((await Promise.all(reads)).map(String))).toEqual(new Set(['{"data":{}}']));
    expect([posts.taken, flights.joined]).toEqual([1, 19]);
  });
});
