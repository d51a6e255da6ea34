import { afterEach, describe, expect, it } from '@jest/globals';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTcpServer, type AddressInfo, type Socket } from 'node:net';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { deadlineOf, timeoutText } from '#libs/failure';
import { steadyClock } from '#libs/telemetry';
import type { RequestContext, SubgraphCall } from '../engine.js';
import { openSubgraphClient, type SubgraphClientOptions } from './subgraph-client.js';

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

async function listen(handler: Handler): Promise<{ url: string; server: Server; requests: IncomingMessage[] }> {
  const requests: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    requests.push(request);
    request.resume();
    handler(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closers.push(
    () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  );
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/graphql`, server, requests };
}

function client(options: Partial<SubgraphClientOptions> = {}) {
  const made = openSubgraphClient({
    timeoutMs: 3_000,
    bodyBytesMax: 64 * 1024,
    connections: 4,
    assertion: (subgraph, subject) => `${subgraph}:${subject ?? 'nobody'}`,
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
    subject: null,
    headers: new Map(),
    signal: new AbortController().signal,
    deadline: Date.now() + 10_000,
    responseHeaders: [],
    ...more,
  };
}
const call = (url: string, type: SubgraphCall['type'] = 'query'): SubgraphCall => ({
  subgraph: 'posts',
  url,
  type,
  body: '{"query":"{__typename}"}',
});
const codeOf = (outcome: Promise<unknown>) =>
  outcome.then(String, (error: { code?: string; message: string }) => error.code ?? error.message);
const json = (response: ServerResponse, body: string | Buffer, headers: Record<string, string> = {}) =>
  void response.writeHead(200, { 'content-type': 'application/json', ...headers }).end(body);

const bomb = gzipSync(Buffer.alloc(50_000_000, 32));

describe('a call', () => {
  it('tells who asks, which request it belongs to, and what was forwarded; nothing else of the client', async () => {
    const { url, requests } = await listen((_request, response) => json(response, '{"data":{}}'));
    const answer = await client().post(
      call(url),
      context({ subject: 'user_1', headers: new Map([['x-tenant', 'a']]) }),
    );
    expect(answer.toString()).toBe('{"data":{}}');
    const { host, connection, 'content-length': length, ...headers } = requests[0]!.headers;
    expect(headers).toEqual({
      'x-tenant': 'a',
      'content-type': 'application/json',
      accept: 'application/graphql-response+json, application/json',
      'x-request-id': 'r1',
      'tributary-assertion': 'posts:user_1',
      'tributary-timeout-ms': '3000',
    });
    expect([host, connection, length]).toEqual([new URL(url).host, 'keep-alive', '24']);
  });

  it('cannot be told otherwise by a forwarded header', async () => {
    const { url, requests } = await listen((_request, response) => json(response, '{"data":{}}'));
    await client().post(
      call(url),
      context({
        headers: new Map([
          ['tributary-assertion', 'forged'],
          ['x-request-id', 'forged'],
          ['content-type', 'text/plain'],
          ['tributary-timeout-ms', '1'],
        ]),
      }),
    );
    expect(requests[0]!.headers).toMatchObject({
      'tributary-assertion': 'posts:nobody',
      'x-request-id': 'r1',
      'content-type': 'application/json',
      'tributary-timeout-ms': '3000',
    });
  });

  it('tells how long it will be waited for: its own time, or what is left to the request', async () => {
    const { url, requests } = await listen((_request, response) => json(response, '{"data":{}}'));
    const one = client({ timeoutMs: 3_000, clock: () => 1_000 });
    for (const deadline of [9_000, 2_500]) await one.post(call(url), context({ deadline }));
    expect(requests.map(({ headers }) => headers['tributary-timeout-ms'])).toEqual(['3000', '1500']);
  });

  it('tells it in a way that a service reads, by the clock that a gateway runs on; control: as it comes from that clock it is none of before', async () => {
    const { url, requests } = await listen((_request, response) => json(response, '{"data":{}}'));
    const one = client({ timeoutMs: 3_000, clock: steadyClock });
    for (let turn = 0; turn < 10; turn += 1)
      await one.post(call(url), context({ deadline: steadyClock() + 2_000 + turn / 7 }));
    const told = requests.map(({ headers }) => headers['tributary-timeout-ms']);
    expect(told).toEqual(told.map(() => expect.stringMatching(/^\d{1,4}$/)));
    for (const one of told) {
      const left = deadlineOf(one, () => 0)!.leftMs;
      expect(left).toBeGreaterThan(0);
      expect(left).toBeLessThanOrEqual(2_001);
    }
    // What services of before take is whole.
    expect(Array.from({ length: 10 }, () => String(steadyClock() / 7)).every((ms) => /^\d+$/.test(ms))).toBe(false);
  });

  it('is not sent when less than a millisecond is left; control: with time left it is', async () => {
    const { url, requests } = await listen((_request, response) => json(response, '{"data":{}}'));
    const one = client({ clock: () => 1_000.5 });
    for (const deadline of [900, 1_000.5, 1_001.4])
      expect(await codeOf(one.post(call(url), context({ deadline })))).toBe('SUBGRAPH_TIMEOUT');
    expect(requests).toEqual([]);
    await one.post(call(url), context({ deadline: 3_000.9 }));
    expect(requests.map(({ headers }) => headers['tributary-timeout-ms'])).toEqual(['2000']);
    // 0 would be no bound to many.
    expect([0, 0.3, 1.9].map(timeoutText)).toEqual(['1', '1', '1']);
  });

  it('uses its connections again', async () => {
    const { url, requests } = await listen((_request, response) => json(response, '{"data":{}}'));
    const one = client();
    for (let turn = 0; turn < 20; turn += 1) await one.post(call(url), context());
    // A second one is opened when the next call comes before undici has seen the end of the last answer.
    expect(new Set(requests.map(({ socket }) => socket)).size).toBeLessThanOrEqual(2);
  });

  it('hands on the response headers that the settings name', async () => {
    const { url } = await listen((_request, response) =>
      json(response, '{"data":{}}', { 'x-cost': '3', 'x-secret': 'no' }),
    );
    const asked = context();
    await client({ forwardResponse: ['x-cost'] }).post(call(url), asked);
    expect(asked.responseHeaders).toEqual([['x-cost', '3']]);
  });

  it('hands on those of the attempt that was answered, and of no other', async () => {
    const cookie = (of: string) => ({ 'content-type': 'application/json', 'set-cookie': `of=${of}` });
    const whole = await listen((_request, response) => json(response, '{"data":{}}', cookie('whole')));
    const stuck = await listen((_request, response) => void response.writeHead(200, cookie('stuck')).write('{'));
    const asked = context();
    // By chance 0.99 the second is asked first.
    const one = client({ forwardResponse: ['set-cookie'], hedgeMs: 100, random: () => 0.99 });
    await one.post(call(`${whole.url},${stuck.url}`), asked);
    expect([stuck.requests.length, asked.responseHeaders]).toEqual([1, [['set-cookie', 'of=whole']]]);
  });

  it.each<[string, Buffer]>([
    ['gzip', gzipSync('{"data":{}}')],
    ['br', brotliCompressSync('{"data":{}}')],
  ])('reads %s', async (encoding, body) => {
    const { url } = await listen((_request, response) => json(response, body, { 'content-encoding': encoding }));
    expect((await client().post(call(url), context())).toString()).toBe('{"data":{}}');
  });
});

describe('a bad answer', () => {
  const cases: Record<string, [Handler, string]> = {
    'status 500': [
      (_, response) =>
        void response
          .writeHead(500, { 'content-type': 'application/json' })
          .end('{"errors":[{"message":"secret-host"}]}'),
      'SUBGRAPH_UNAVAILABLE',
    ],
    'status 429': [(_, response) => void response.writeHead(429).end(), 'SUBGRAPH_UNAVAILABLE'],
    'status 401': [
      (_, response) => void response.writeHead(401, { 'content-type': 'application/json' }).end('{}'),
      'SUBGRAPH_BAD_RESPONSE',
    ],
    'status 403': [(_, response) => void response.writeHead(403).end(), 'SUBGRAPH_BAD_RESPONSE'],
    'status 204': [(_, response) => void response.writeHead(204).end(), 'SUBGRAPH_BAD_RESPONSE'],
    HTML: [
      (_, response) => void response.writeHead(200, { 'content-type': 'text/html' }).end('<html>'),
      'SUBGRAPH_BAD_RESPONSE',
    ],
    'no type': [(_, response) => void response.writeHead(200).end('{"data":{}}'), 'SUBGRAPH_BAD_RESPONSE'],
    'bytes that are no UTF-8': [
      (_, response) => json(response, Buffer.from([0x7b, 0xc3, 0x28, 0x7d])),
      'SUBGRAPH_BAD_RESPONSE',
    ],
    'one byte too many': [(_, response) => json(response, 'x'.repeat(64 * 1024 + 1)), 'SUBGRAPH_BAD_RESPONSE'],
    'too many, in chunks': [
      (_, response) => {
        response.writeHead(200, { 'content-type': 'application/json' });
        const more = (): void => {
          while (!response.destroyed && response.write('x'.repeat(10_000)));
          response.once('drain', more);
        };
        more();
      },
      'SUBGRAPH_BAD_RESPONSE',
    ],
    'too many, out of gzip': [
      (_, response) => json(response, bomb, { 'content-encoding': 'gzip' }),
      'SUBGRAPH_BAD_RESPONSE',
    ],
    'cut gzip': [
      (_, response) => json(response, gzipSync('{"data":{}}').subarray(0, 15), { 'content-encoding': 'gzip' }),
      'SUBGRAPH_BAD_RESPONSE',
    ],
    'an encoding nobody asked for': [
      (_, response) => json(response, 'x', { 'content-encoding': 'zzz' }),
      'SUBGRAPH_BAD_RESPONSE',
    ],
    'an encoding named like a prototype': [
      (_, response) => json(response, 'x', { 'content-encoding': 'constructor' }),
      'SUBGRAPH_BAD_RESPONSE',
    ],
    'cut off': [
      (_, response) => {
        response.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' });
        response.write('{"data":', () => response.destroy());
      },
      'SUBGRAPH_UNAVAILABLE',
    ],
  };
  it.each(Object.entries(cases))('%s', async (_name, [handler, code]) => {
    const { url } = await listen(handler);
    // What is wrong with the answer has to be found before its time is over, on a busy machine as well.
    const outcome = client({ timeoutMs: 15_000 }).post(call(url), context({ deadline: Date.now() + 20_000 }));
    expect(await codeOf(outcome)).toBe(code);
  });

  it('of 64 KiB exactly is read, and counted', async () => {
    const { url } = await listen((_request, response) => json(response, 'x'.repeat(64 * 1024)));
    const fetched = { bytes: 7 };
    expect(await client().post(call(url), context({ fetched }))).toHaveLength(64 * 1024);
    expect(fetched.bytes).toBe(7 + 64 * 1024);
  });

  it.each(Object.keys(cases).filter((name) => name.includes('too many')))(
    '%s, is its client’s doing where that asked for objects enough (control: for none)',
    async (name) => {
      const { url } = await listen(cases[name]![0]);
      const long = { timeoutMs: 15_000 };
      const fetched = { bytes: 0 };
      const asked = (cost: number) => context({ deadline: Date.now() + 20_000, cost, fetched });
      const told = client(long).post(call(url), asked(1));
      await expect(told).rejects.toMatchObject({
        code: 'ANSWER_TOO_LONG',
        message: 'A part of the answer would have more than 65,536 bytes; ask for less at once.',
      });
      expect(fetched.bytes).toBe(64 * 1024);
      expect(await codeOf(client(long).post(call(url), asked(0)))).toBe('SUBGRAPH_BAD_RESPONSE');
      // Of what a service sends on its own account only as much as was taken of it.
      expect(fetched.bytes).toBeLessThanOrEqual(2 * 64 * 1024);
    },
  );

  it('nobody listening', async () => {
    const { url, server } = await listen(() => {});
    await new Promise((resolve) => server.close(resolve));
    expect(await codeOf(client().post(call(url), context()))).toBe('SUBGRAPH_UNAVAILABLE');
  });

  it.each([301, 302, 307, 308])('a redirect (%s) is refused, and its target gets no byte', async (status) => {
    const target = await listen((_request, response) => json(response, '{"data":{}}'));
    const { url } = await listen(
      (_request, response) => void response.writeHead(status, { location: target.url }).end(),
    );
    expect(await codeOf(client().post(call(url), context()))).toBe('SUBGRAPH_BAD_RESPONSE');
    expect(target.requests).toHaveLength(0);
    // The control: fetch, as it comes, goes there.
    await fetch(url, { method: 'POST', body: '{}', headers: { 'tributary-assertion': 'secret' } });
    expect(target.requests).toHaveLength(1);
    expect(target.requests[0]!.headers['tributary-assertion']).toBe('secret');
  });
});

describe('time', () => {
  it.each<[string, Handler]>([
    ['silence', () => {}],
    [
      'headers and no body',
      (_request, response) => response.writeHead(200, { 'content-type': 'application/json' }).flushHeaders(),
    ],
    [
      'a byte now and then',
      (_request, response) => {
        response.writeHead(200, { 'content-type': 'application/json' });
        const drip = setInterval(() => response.write(' '), 5);
        response.once('close', () => clearInterval(drip));
      },
    ],
  ])('%s ends with the time of the call, and the connection is let go', async (_name, handler) => {
    let closed: Promise<unknown> | undefined;
    const { url } = await listen((request, response) => {
      closed = new Promise((resolve) => response.once('close', resolve));
      handler(request, response);
    });
    expect(await codeOf(client({ timeoutMs: 40 }).post(call(url), context()))).toBe('SUBGRAPH_TIMEOUT');
    await closed;
  });

  it('what is left to the request is less than the time of a call: that decides', async () => {
    const { url } = await listen(() => {});
    expect(await codeOf(client({ timeoutMs: 60_000 }).post(call(url), context({ deadline: Date.now() + 40 })))).toBe(
      'SUBGRAPH_TIMEOUT',
    );
  });

  it('a request that is over cancels its calls', async () => {
    const request = new AbortController();
    let closed: Promise<unknown> | undefined;
    const { url } = await listen((_request, response) => {
      closed = new Promise((resolve) => response.once('close', resolve));
      request.abort();
    });
    expect(await codeOf(client().post(call(url), context({ signal: request.signal })))).toBe('SUBGRAPH_UNAVAILABLE');
    await closed;
  });
});

describe('more calls than connections', () => {
  /** Holds every request until it is let go; `paths` are those that came, in order. */
  async function held() {
    const waiting: ServerResponse[] = [];
    const paths: string[] = [];
    let came = () => {};
    const { url } = await listen((request, response) => {
      paths.push(request.url!);
      waiting.push(response);
      came();
    });
    return {
      url,
      paths,
      async next() {
        if (waiting.length === 0) await new Promise<void>((resolve) => (came = resolve));
        json(waiting.shift()!, '{"data":{}}');
      },
      came: () => new Promise<void>((resolve) => (came = resolve)),
    };
  }

  it('wait, and what they wait is not the time of the call; control: counted from the start it would be over', async () => {
    const server = await held();
    const one = client({ connections: 1, timeoutMs: 4_000 });
    const asked = performance.now();
    const calls = Array.from({ length: 12 }, () => one.post(call(server.url), context()).then(() => performance.now()));
    for (let i = 0; i < 12; i += 1) {
      await new Promise((resolve) => setTimeout(resolve, 400));
      await server.next();
    }
    const last = (await Promise.all(calls)).at(-1)!;
    expect(last - asked).toBeGreaterThan(4_000);
  });

  it('go in the order in which their requests have to be answered', async () => {
    const server = await held();
    const one = client({ connections: 1 });
    const now = Date.now();
    const asked = [0, 30, 10, 20].map((later, index) =>
      one.post(call(`${server.url}/${index}`), context({ deadline: now + 60_000 + later })),
    );
    for (let i = 0; i < 4; i += 1) await server.next();
    await Promise.all(asked);
    expect(server.paths.map((path) => path.at(-1))).toEqual(['0', '2', '3', '1']);
  });

  it('are given up with their request: it is over, or its time is', async () => {
    const server = await held();
    const one = client({ connections: 1 });
    const first = one.post(call(`${server.url}/0`), context());
    await server.came();
    const request = new AbortController();
    const cancelled = codeOf(one.post(call(`${server.url}/1`), context({ signal: request.signal })));
    request.abort();
    const late = codeOf(one.post(call(`${server.url}/2`), context({ deadline: Date.now() + 20 })));
    expect([await cancelled, await late]).toEqual(['SUBGRAPH_UNAVAILABLE', 'SUBGRAPH_TIMEOUT']);
    const after = one.post(call(`${server.url}/3`), context());
    await server.next();
    await server.next();
    await Promise.all([first, after]);
    expect(server.paths.map((path) => path.at(-1))).toEqual(['0', '3']);
  });

  it('end when the client closes, those that wait as well', async () => {
    const server = await held();
    const one = client({ connections: 1 });
    const calls = Array.from({ length: 5 }, () => codeOf(one.post(call(server.url), context())));
    await server.came();
    await one.close();
    expect(new Set(await Promise.all(calls))).toEqual(new Set(['SUBGRAPH_UNAVAILABLE']));
    expect(server.paths).toHaveLength(1);
  });
});

describe('a kept connection that the other side has closed', () => {
  /** Answers the first request of each connection and resets at the second, before it has read it. */
  async function closing() {
    let requests = 0;
    const server = createTcpServer((socket: Socket) => {
      let turn = 0;
      socket.on('error', () => {});
      socket.on('data', () => {
        requests += 1;
        turn += 1;
        if (turn > 1) return socket.resetAndDestroy();
        socket.write(
          'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 11\r\nconnection: keep-alive\r\n\r\n{"data":{}}',
        );
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    closers.push(() => new Promise((resolve) => server.close(() => resolve())));
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/graphql`, requests: () => requests };
  }

  it('a query goes once more', async () => {
    const { url, requests } = await closing();
    const one = client({ connections: 1 });
    await one.post(call(url), context());
    expect((await one.post(call(url), context())).toString()).toBe('{"data":{}}');
    expect(requests()).toBe(3);
  });

  it('a mutation does not', async () => {
    const { url, requests } = await closing();
    const one = client({ connections: 1 });
    await one.post(call(url), context());
    expect(await codeOf(one.post(call(url, 'mutation'), context()))).toBe('SUBGRAPH_UNAVAILABLE');
    expect(requests()).toBe(2);
  });
});
