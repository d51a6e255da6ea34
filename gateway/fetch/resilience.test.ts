import { afterEach, describe, expect, it } from '@jest/globals';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { AWAY_HEADER } from '#libs/lifecycle';
import { selfSigned } from '../../test/servers/self-signed.js';
import type { RequestContext, SubgraphCall } from '../engine.js';
import { openSubgraphClient, type SubgraphClientOptions } from './subgraph-client.js';

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function listen(server: Server, on: number | string = 0, host = '127.0.0.1'): Promise<number> {
  await new Promise<void>((resolve) =>
    typeof on === 'string' ? server.listen(on, resolve) : server.listen(on, host, resolve),
  );
  closers.push(
    () =>
      new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
      }),
  );
  const address = server.address();
  return typeof address === 'string' ? 0 : (address as AddressInfo).port;
}

/** A subgraph that answers what `says` says; `calls` counts what reached it. */
async function subgraph(says: (call: number) => number = () => 200, headers: Record<string, string> = {}) {
  const seen = { calls: 0, url: '' };
  const server = createServer((request, response) => {
    seen.calls += 1;
    const status = says(seen.calls);
    request.resume().on('end', () => {
      if (status === 0) request.socket.resetAndDestroy();
      else if (status > 0) response.writeHead(status, { ...JSON_TYPE, ...headers }).end('{"data":{}}');
    });
  });
  seen.url = `http://127.0.0.1:${await listen(server)}/graphql`;
  return seen;
}

const JSON_TYPE = { 'content-type': 'application/json' };

function client(options: Partial<SubgraphClientOptions> = {}) {
  const made = openSubgraphClient({
    timeoutMs: 20_000,
    bodyBytesMax: 64 * 1024,
    connections: 16,
    assertion: () => undefined,
    forwardResponse: [],
    clock: Date.now,
    ...options,
  });
  closers.push(() => made.close());
  const context = (leftMs: number): RequestContext => ({
    requestId: 'r1',
    subject: null,
    headers: new Map(),
    signal: new AbortController().signal,
    deadline: (options.clock ?? Date.now)() + leftMs,
    responseHeaders: [],
  });
  /** 'ok', or the code of what went wrong. */
  const ask = (url: string, type: SubgraphCall['type'] = 'query', leftMs = 60_000) =>
    made.post({ subgraph: 'posts', url, type, body: '{"query":"{__typename}"}' }, context(leftMs)).then(
      () => 'ok',
      (error: { code?: string }) => error.code ?? 'an error without a code',
    );
  return { ...made, ask };
}

async function count(times: number, ask: () => Promise<string>): Promise<Record<string, number>> {
  const seen: Record<string, number> = {};
  for (let i = 0; i < times; i += 1) {
    const outcome = await ask();
    seen[outcome] = (seen[outcome] ?? 0) + 1;
  }
  return seen;
}

describe('retries', () => {
  it('a read that broke off or was answered 502, 503 or 504 goes once more; one answered 500 does not', async () => {
    for (const [status, calls] of [
      [0, 2],
      [502, 2],
      [503, 2],
      [504, 2],
      [500, 1],
    ] as const) {
      const bad = await subgraph((call) => (call === 1 ? status : 200));
      expect([status, await client().ask(bad.url), bad.calls]).toEqual([
        status,
        calls === 2 ? 'ok' : 'SUBGRAPH_UNAVAILABLE',
        calls,
      ]);
    }
  });

  it('a mutation is sent once, whatever comes of it', async () => {
    for (const status of [0, 502, 503, 504]) {
      const bad = await subgraph((call) => (call === 1 ? status : 200));
      expect([await client().ask(bad.url, 'mutation'), bad.calls]).toEqual(['SUBGRAPH_UNAVAILABLE', 1]);
    }
  });

  it('while half of the calls fail a subgraph gets 1.1 times the calls; control: without a budget half as many again', async () => {
    const calls = 400;
    const failing = await subgraph((call) => (call % 2 === 0 ? 503 : 200));
    const one = client();
    const outcomes = await count(calls, () => one.ask(failing.url));
    expect(failing.calls).toBeLessThanOrEqual(calls * 1.1);
    expect(failing.calls).toBeGreaterThan(calls * 1.05);
    expect(outcomes['ok']).toBeGreaterThanOrEqual(calls / 2);
    const again = await subgraph((call) => (call % 2 === 0 ? 503 : 200));
    for (let i = 0; i < calls; i += 1)
      if ((await one.ask(again.url, 'mutation')) !== 'ok') await one.ask(again.url, 'mutation');
    expect(again.calls).toBeGreaterThan(calls * 1.4);
  });
});

describe('a breaker for each address', () => {
  it('spares who does not answer, and comes back; control: without one each call goes there', async () => {
    let healthy = false;
    const down = await subgraph(() => (healthy ? 200 : 500));
    let now = 0;
    const one = client({ breakerFailures: 5, clock: () => now });
    const outcomes = await count(100, () => one.ask(down.url));
    expect([outcomes, down.calls]).toEqual([{ SUBGRAPH_UNAVAILABLE: 100 }, 5]);
    healthy = true;
    now += 1_000;
    expect(await count(10, () => one.ask(down.url))).toEqual({ ok: 10 });
    const without = await subgraph(() => 500);
    const naive = client();
    await count(100, () => naive.ask(without.url));
    expect(without.calls).toBe(100);
  });

  it.each([
    ['shorter than a call may take', 100],
    ['as long', 1_000],
  ])(
    'spares who hangs where a request has to be answered within a time that is %s; control: what was given little of it tells nothing',
    async (_, requestTimeoutMs) => {
      const one = client({ breakerFailures: 2, timeoutMs: 1_000, requestTimeoutMs });
      const states = async (leftMs: number) => {
        const hung = await subgraph(() => -1);
        const outcomes = await Promise.all([1, 2, 3, 4].map(() => one.ask(hung.url, 'query', leftMs)));
        return [...new Set(outcomes), [...one.upstreams.endpoints].at(-1)!.breaker.state];
      };
      expect(await states(requestTimeoutMs - 5)).toEqual(['SUBGRAPH_TIMEOUT', 'open']);
      expect(await states(requestTimeoutMs / 2 - 5)).toEqual(['SUBGRAPH_TIMEOUT', 'closed']);
    },
  );

  it('does not open for one slow query among quick ones', async () => {
    const mixed = await subgraph((call) => (call % 5 === 0 ? 200 : 500));
    const one = client({ breakerFailures: 5 });
    expect((await count(100, () => one.ask(mixed.url)))['ok']).toBe(20);
  });
});

describe('several addresses of one subgraph', () => {
  it('share the calls', async () => {
    const both = [await subgraph(), await subgraph()];
    const one = client();
    expect(await count(100, () => one.ask(both.map(({ url }) => url).join(', ')))).toEqual({ ok: 100 });
    for (const { calls } of both) expect(calls).toBeGreaterThan(10);
  });

  it('one that fails is passed over: no read is lost; control: one address with the same failures loses them', async () => {
    const [good, bad] = [await subgraph(), await subgraph(() => 503)];
    const one = client({ breakerFailures: 5, clock: () => 0 });
    expect(await count(300, () => one.ask(`${good.url},${bad.url}`))).toEqual({ ok: 300 });
    expect(bad.calls).toBeLessThanOrEqual(5);
    const alone = client({ clock: () => 0 });
    expect((await count(300, () => alone.ask(`${bad.url}`)))['ok'] ?? 0).toBe(0);
  });

  it.each<[string, number, Record<string, string>]>([
    ['thinks that we are somebody else', 401, {}],
    ['thinks that we may not ask', 403, {}],
    ['does not know the path', 404, {}],
    ['sends us elsewhere', 302, { location: 'http://127.0.0.1:1/' }],
    ['thinks that we ask too much', 429, {}],
    ['answers a page', 200, { 'content-type': 'text/html' }],
  ])(
    'one that %s is passed over, and no read is lost; control: alone it is asked each time, and each is lost',
    async (_, status, headers) => {
      const [good, other, bad] = [await subgraph(), await subgraph(), await subgraph(() => status, headers)];
      const one = client({ breakerFailures: 5, clock: () => 0 });
      expect(await count(300, () => one.ask(`${good.url},${bad.url},${other.url}`))).toEqual({ ok: 300 });
      expect(bad.calls).toBe(5);
      const alone = client({ breakerFailures: 5, clock: () => 0 });
      expect((await count(20, () => alone.ask(bad.url)))['ok']).toBeUndefined();
      expect(bad.calls).toBe(25);
    },
  );

  it('all that refuse the same question are asked on, once each, and the others keep their retries; control: half of a question’s addresses refusing it is one that is broken', async () => {
    let status = 401;
    const both = [await subgraph(() => status), await subgraph(() => status)] as const;
    const url = both.map((one) => one.url).join();
    let now = 0;
    const one = client({ breakerFailures: 5, clock: () => now });
    const twice: number[] = [];
    // Whether it is the address is wondered once a second, by the clock that the breakers go by.
    for (const passed of [0, 999, 1]) {
      now += passed;
      const before = both[0].calls + both[1].calls;
      expect(await count(100, () => one.ask(url))).toEqual({ SUBGRAPH_BAD_RESPONSE: 100 });
      twice.push(both[0].calls + both[1].calls - before - 100);
    }
    expect(twice).toEqual([1, 0, 1]);
    expect([...one.upstreams.endpoints].map(({ breaker }) => breaker.state)).toEqual(['closed', 'closed']);
    status = 200;
    expect(await count(20, () => one.ask(url))).toEqual({ ok: 20 });
    const broken = await subgraph(() => 401);
    const other = client({ breakerFailures: 5, clock: () => 0 });
    await count(100, () => other.ask(`${both[0].url},${broken.url}`));
    expect([...other.upstreams.endpoints].map(({ breaker }) => breaker.state)).toEqual(['closed', 'open']);
  });

  it('one that failed, and whose first call after its pause is answered 401 or the like, is asked again; control: after a second failure it is not', async () => {
    for (const [status, state] of [
      [401, 'closed'],
      [429, 'closed'],
      [503, 'open'],
    ] as const) {
      const [good, bad] = [await subgraph(), await subgraph((call) => (call === 1 ? 503 : status))];
      let now = 0;
      const one = client({ breakerFailures: 1, random: () => 0.99, clock: () => now });
      const ask = () => one.ask(`${good.url},${bad.url}`, 'mutation');
      const told = () => [...one.upstreams.endpoints][1]!.breaker.state;
      await ask();
      expect([told(), bad.calls]).toEqual(['open', 1]);
      now += 400;
      await ask();
      expect([status, told(), bad.calls]).toEqual([status, state, 2]);
    }
  });

  it('a mutation goes to no second one, whatever the first says of it', async () => {
    const [good, bad] = [await subgraph(), await subgraph(() => 401)];
    const outcomes = await count(40, () => client({ random: () => 0.99 }).ask(`${good.url},${bad.url}`, 'mutation'));
    expect([outcomes, good.calls]).toEqual([{ SUBGRAPH_BAD_RESPONSE: 40 }, 0]);
  });

  it('a mutation that could not be sent to one is sent to the other, once', async () => {
    const good = await subgraph();
    const gone = createServer();
    const port = await listen(gone);
    await new Promise((resolve) => gone.close(resolve));
    const one = client({ breakerFailures: 3 });
    const both = `http://127.0.0.1:${port}/graphql,${good.url}`;
    expect(await count(40, () => one.ask(both, 'mutation'))).toEqual({ ok: 40 });
    expect(good.calls).toBe(40);
  });

  it('so is one whose connection broke off while it was made; control: behind that it is lost', async () => {
    const good = await subgraph();
    const broken = await listen(createServer().on('connection', (socket) => socket.resetAndDestroy()));
    const ask = (protocol: string) =>
      count(20, () =>
        client({ random: () => 0.99 }).ask(`${good.url},${protocol}://127.0.0.1:${broken}/graphql`, 'mutation'),
      );
    // Where TLS is spoken nothing is sent before the other side has answered.
    expect([await ask('https'), good.calls]).toEqual([{ ok: 20 }, 20]);
    const cut = await subgraph(() => 0);
    const lost = await count(20, () => client({ random: () => 0.99 }).ask(`${good.url},${cut.url}`, 'mutation'));
    expect([lost, good.calls]).toEqual([{ SUBGRAPH_UNAVAILABLE: 20 }, 20]);
  });

  it('a mutation that one has not begun, because it is just starting, is sent to the other, once; control: after a mere 503 it is lost', async () => {
    const good = await subgraph();
    const busy = await subgraph(() => 503);
    const starting = await subgraph(() => 503, { [AWAY_HEADER]: 'starting' });
    // By chance 0.99 the second address is chosen first.
    const ask = (url: string) => client({ random: () => 0.99 }).ask(`${good.url},${url}`, 'mutation');
    expect([await ask(starting.url), starting.calls, good.calls]).toEqual(['ok', 1, 1]);
    expect([await ask(busy.url), busy.calls, good.calls]).toEqual(['SUBGRAPH_UNAVAILABLE', 1, 1]);
  });

  it('one that says it is ending is asked again only where nobody else is, or after a while', async () => {
    const [good, ending] = [await subgraph(), await subgraph(undefined, { [AWAY_HEADER]: 'ending' })];
    let now = 0;
    const one = client({ random: () => 0.99, clock: () => now });
    const both = `${good.url},${ending.url}`;
    expect([await count(50, () => one.ask(both, 'mutation')), ending.calls]).toEqual([{ ok: 50 }, 1]);
    expect([await count(5, () => one.ask(ending.url)), ending.calls]).toEqual([{ ok: 5 }, 6]);
    now += 2_000;
    expect([await count(50, () => one.ask(both)), ending.calls]).toEqual([{ ok: 50 }, 7]);
  });

  it('a crowd sends one to look whether it is back, a read where there is any; control: once it is, all may', async () => {
    const ends: Record<string, string> = { [AWAY_HEADER]: 'ending' };
    let says = 200;
    const [good, ending] = [await subgraph(), await subgraph(() => says, ends)];
    let now = 0;
    const one = client({ random: () => 0.99, clock: () => now });
    const crowd = async (type: SubgraphCall['type']) => {
      const before = ending.calls;
      await Promise.all(Array.from({ length: 50 }, () => one.ask(`${good.url},${ending.url}`, type)));
      return ending.calls - before;
    };
    await one.ask(ending.url);
    now += 7_999;
    expect([await crowd('mutation'), await crowd('query'), await crowd('query')]).toEqual([0, 1, 0]);
    now += 8_000;
    expect([await crowd('mutation'), await crowd('mutation')]).toEqual([1, 0]);
    delete ends[AWAY_HEADER];
    // Whoever stands before it may say so, and that says nothing of it.
    says = 503;
    now += 2_000;
    expect([await crowd('query'), await crowd('mutation')]).toEqual([1, 0]);
    says = 200;
    now += 2_000;
    expect([await crowd('query'), await crowd('mutation')]).toEqual([1, expect.any(Number)]);
    expect(ending.calls).toBeGreaterThan(10);
  });

  it('where all others are starting, one that is ending is asked', async () => {
    const starting = [await subgraph(() => 503, { [AWAY_HEADER]: 'starting' }), await subgraph(() => 503, { [AWAY_HEADER]: 'starting' })] as const; // prettier-ignore
    const ending = await subgraph(undefined, { [AWAY_HEADER]: 'ending' });
    const one = client({ random: () => 0, clock: () => 0 });
    for (const { url } of [...starting, ending]) await one.ask(url, 'mutation');
    const all = [...starting, ending].map(({ url }) => url).join();
    expect([await count(20, () => one.ask(all, 'mutation')), ending.calls]).toEqual([{ ok: 20 }, 21]);
  });

  it('one that was left alone for long is tried again soon where all others are ending; control: beside one that is not, it is not', async () => {
    for (const [headers, calls] of [
      [{ [AWAY_HEADER]: 'ending' }, 20],
      [{}, 0],
    ] as const) {
      const other = await subgraph(undefined, headers);
      const fresh = await subgraph((call) => (call <= 5 ? 503 : 200));
      let now = 0;
      const one = client({ breakerFailures: 1, clock: () => now });
      for (let tries = 0; tries < 5; tries += 1, now += 2_500) await one.ask(fresh.url, 'mutation');
      now -= 2_500;
      await one.ask(other.url, 'mutation');
      // It has 1.5 s left at least.
      const both = `${fresh.url},${other.url}`;
      expect([await one.ask(both, 'mutation'), fresh.calls]).toEqual(['ok', 5]);
      now += 320;
      expect([await count(20, () => one.ask(both, 'mutation')), fresh.calls]).toEqual([{ ok: 20 }, 5 + calls]);
    }
  });

  it('a connection without a call is let go, for however long the other side would keep it', async () => {
    const server = createServer({ keepAliveTimeout: 75_000 }, (request, response) => {
      request.resume();
      response.writeHead(200, JSON_TYPE).end('{"data":{}}');
    });
    const gone = new Promise((resolve) => server.on('connection', (socket) => socket.once('close', resolve)));
    const port = await listen(server);
    expect(await client({ keepAliveMs: 100 }).ask(`http://127.0.0.1:${port}/graphql`)).toBe('ok');
    await gone;
  });

  it('one that is gone costs no call and no retry, however many are made before anything was saved up', async () => {
    const good = await subgraph();
    const gone = createServer();
    const port = await listen(gone);
    await new Promise((resolve) => gone.close(resolve));
    // Nothing opens: every second call begins at the one that is gone.
    const one = client({ breakerFailures: 0 });
    expect(await count(200, () => one.ask(`http://127.0.0.1:${port}/graphql,${good.url}`))).toEqual({ ok: 200 });
    expect(good.calls).toBe(200);
  });

  it('a name that stands for several machines is each of them, and follows when they change', async () => {
    const seen: Record<string, number> = {};
    const on = (host: string): RequestListener => {
      seen[host] = 0;
      return (request, response) => {
        seen[host]! += 1;
        request.resume();
        response.writeHead(200, JSON_TYPE).end('{"data":{}}');
      };
    };
    const port = await listen(createServer(on('127.0.0.1')));
    for (const host of ['127.0.0.2', '127.0.0.3']) await listen(createServer(on(host)), port, host);
    let machines = ['127.0.0.1', '127.0.0.2'];
    const one = client({ dnsMs: 600_000, lookup: async () => machines });
    const url = `http://posts.test:${port}/graphql`;
    one.upstreams.of(url);
    await one.upstreams.lookUp();
    expect(await count(50, () => one.ask(url))).toEqual({ ok: 50 });
    expect(seen['127.0.0.1']! + seen['127.0.0.2']!).toBe(50);
    expect(Math.min(seen['127.0.0.1']!, seen['127.0.0.2']!)).toBeGreaterThan(0);
    machines = ['127.0.0.2', '127.0.0.3'];
    await one.upstreams.lookUp();
    const before = seen['127.0.0.1'];
    expect(await count(50, () => one.ask(url))).toEqual({ ok: 50 });
    expect(seen['127.0.0.1']).toBe(before);
    expect(seen['127.0.0.3']).toBeGreaterThan(0);
    machines = [];
    await one.upstreams.lookUp();
  });

  it('a name that stands for one machine follows it to the next while the first still answers; control: until it is looked up again calls stay', async () => {
    const seen: string[] = [];
    const on =
      (host: string): RequestListener =>
      (request, response) => {
        seen.push(`${host} ${request.headers.host}`);
        request.resume();
        response.writeHead(200, JSON_TYPE).end('{"data":{}}');
      };
    const port = await listen(createServer(on('127.0.0.6')), 0, '127.0.0.6');
    await listen(createServer(on('127.0.0.7')), port, '127.0.0.7');
    // The other family is another way to the same machine: here there is nobody.
    let ips = ['::1', '127.0.0.6'];
    const one = client({ dnsMs: 600_000, lookup: async () => ips });
    const name = `posts.test:${port}`;
    const url = `http://${name}/graphql`;
    one.upstreams.of(url);
    await one.upstreams.lookUp();
    expect(await count(5, () => one.ask(url))).toEqual({ ok: 5 });
    ips = ['127.0.0.7'];
    expect(await count(5, () => one.ask(url))).toEqual({ ok: 5 });
    await one.upstreams.lookUp();
    expect(await count(5, () => one.ask(url))).toEqual({ ok: 5 });
    const calls = (host: string, count: number) => Array<string>(count).fill(`${host} ${name}`);
    expect(seen).toEqual([...calls('127.0.0.6', 10), ...calls('127.0.0.7', 5)]);
    expect([...one.upstreams.endpoints].map(({ origin }) => origin)).toEqual([`http://${name}`]);
  });

  it('a name of which one machine is told at a time, another one each time, is all of them, on the connections that there are; control: until one has come back twice, each look makes new ones', async () => {
    const [made, calls]: [string[], string[]] = [[], []];
    const on = (host: string) =>
      createServer((request, response) => {
        calls.push(host);
        request.resume();
        response.writeHead(200, JSON_TYPE).end('{"data":{}}');
      }).on('connection', () => void made.push(host));
    const hosts = ['127.0.0.6', '127.0.0.7', '127.0.0.8'];
    const port = await listen(on(hosts[0]!), 0, hosts[0]);
    for (const host of hosts.slice(1)) await listen(on(host), port, host);
    let [ip, drawn] = [hosts[0]!, 0];
    // Of several each in its turn: of a call both draws are the same.
    const random = () => (Math.floor(drawn++ / 2) % 3) / 3 + 0.01;
    const one = client({ dnsMs: 600_000, lookup: async () => [ip], connections: 1, keepAliveMs: 60_000, random });
    const url = `http://posts.test:${port}/graphql`;
    one.upstreams.of(url);
    const looks = async (found: readonly string[]) => {
      for (const host of found) {
        ip = host;
        await one.upstreams.lookUp();
        expect(await count(10, () => one.ask(url))).toEqual({ ok: 10 });
      }
    };
    await looks([...hosts, hosts[0]!]);
    expect(made).toEqual([...hosts, hosts[0]!]);
    await looks([hosts[1]!, hosts[2]!]);
    const known = () => [...one.upstreams.endpoints].map(({ origin }) => origin);
    const before = [known(), made.length];
    expect(known()).toHaveLength(3);
    calls.length = 0;
    await looks([...hosts, ...hosts, ...hosts]);
    expect([known(), made.length]).toEqual(before);
    expect(hosts.map((host) => calls.filter((one) => one === host).length)).toEqual([30, 30, 30]);
  });

  it.each<[string, () => Promise<string[]>]>([
    ['is not found', () => Promise.reject(new Error('ENOTFOUND'))],
    ['is not there', async () => []],
    ['nobody says anything of', () => new Promise(() => {})],
  ])('a name that %s keeps its machine, and no other from being followed', async (_, trouble) => {
    const answer: RequestListener = (request, response) => {
      request.resume();
      response.writeHead(200, JSON_TYPE).end('{"data":{}}');
    };
    const port = await listen(createServer(answer), 0, '127.0.0.6');
    const [followed, other] = [`http://posts.test:${port}/graphql`, `http://odd.test:${port}/graphql`];
    const found: Record<string, () => Promise<string[]>> = {
      'posts.test': async () => ['127.0.0.1', '127.0.0.2'],
      'odd.test': async () => ['127.0.0.3', '127.0.0.4'],
    };
    const one = client({ dnsMs: 600_000, lookup: (host) => found[host]!() });
    const upstream = one.upstreams.of(`${other},${followed}`);
    await one.upstreams.lookUp();
    const known = () => upstream.targets.map(({ endpoint }) => endpoint.origin.replace(/.*\((.*)\)/, '$1'));
    expect(known()).toEqual(['127.0.0.3', '127.0.0.4', '127.0.0.1', '127.0.0.2']);
    found['odd.test'] = trouble;
    found['posts.test'] = async () => ['127.0.0.5', '127.0.0.6'];
    const looked = one.upstreams.lookUp();
    await Promise.race([looked, new Promise((resolve) => setImmediate(resolve))]);
    expect(known()).toEqual(['127.0.0.3', '127.0.0.4', '127.0.0.5', '127.0.0.6']);
  });

  it('when all that were known have been replaced, their name is looked up at once, and nobody is told', async () => {
    const answer: RequestListener = (request, response) => {
      request.resume();
      response.writeHead(200, JSON_TYPE).end('{"data":{}}');
    };
    const port = await listen(createServer(answer), 0, '127.0.0.4');
    await listen(createServer(answer), port, '127.0.0.5');
    const url = `http://posts.test:${port}/graphql`;
    const asked = async (now: string[]) => {
      let machines = ['127.0.0.2', '127.0.0.3'];
      let looked = 0;
      const one = client({ dnsMs: 600_000, lookup: async () => ((looked += 1), machines) });
      one.upstreams.of(url);
      await one.upstreams.lookUp();
      const before = looked;
      machines = now;
      const seen = await count(20, () => one.ask(url, 'mutation'));
      return [seen, looked - before];
    };
    expect(await asked(['127.0.0.4', '127.0.0.5'])).toEqual([{ ok: 20 }, 1]);
    // One that is away goes on being named beside a new one.
    for (const gone of ['127.0.0.2', '127.0.0.3']) expect((await asked([gone, '127.0.0.4']))[0]).toEqual({ ok: 20 });
    // Control: a look that brings nothing new, which is not one for each call.
    const began = performance.now();
    const [seen, looks] = await asked(['127.0.0.2', '127.0.0.3']);
    expect(seen).toEqual({ SUBGRAPH_UNAVAILABLE: 20 });
    expect(looks).toBeLessThan(3 + (performance.now() - began) / 1_000);
  });

  it('what no supergraph names any more is forgotten, a breaker that is open too; what was under way is answered', async () => {
    let release: () => void = () => {};
    const held = new Promise<void>((resolve) => (release = resolve));
    let arrived: () => void = () => {};
    const isThere = new Promise<void>((resolve) => (arrived = resolve));
    const slow = createServer((request, response) => {
      request.resume();
      arrived();
      void held.then(() => response.writeHead(200, JSON_TYPE).end('{"data":{}}'));
    });
    const origin = `http://127.0.0.1:${await listen(slow)}`;
    const [named, dead] = [await subgraph(), await subgraph(() => 500)];
    const one = client({ breakerFailures: 1 });
    const known = () => [...one.upstreams.endpoints].map((endpoint) => [endpoint.origin, endpoint.breaker.state]);
    await one.ask(named.url);
    await one.ask(dead.url);
    const underWay = one.ask(`${origin}/graphql`);
    await isThere;
    expect(known()).toContainEqual([new URL(dead.url).origin, 'open']);
    one.upstreams.keep(new Set([named.url]));
    expect(known()).toEqual([[new URL(named.url).origin, 'closed']]);
    release();
    expect(await underWay).toBe('ok');
    // Named again it is asked like one that nobody knows.
    expect([await one.ask(dead.url), dead.calls]).toEqual(['SUBGRAPH_UNAVAILABLE', 2]);
  });

  it('a name that is left while it is looked up leaves nothing behind', async () => {
    let found: (machines: string[]) => void = () => {};
    const one = client({ dnsMs: 600_000, lookup: () => new Promise((resolve) => (found = resolve)) });
    one.upstreams.of('http://posts.test:1/graphql');
    const looking = one.upstreams.lookUp();
    one.upstreams.keep(new Set());
    found(['127.0.0.1', '127.0.0.2']);
    await looking;
    expect([...one.upstreams.endpoints]).toEqual([]);
  });

  it('a socket of this machine is asked like an address', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'tributary-socket-'));
    closers.push(async () => rmSync(folder, { recursive: true, force: true }));
    const paths: string[] = [];
    const file = join(folder, 'posts.sock');
    await listen(
      createServer((request, response) => {
        paths.push(request.url!);
        request.resume();
        response.writeHead(200, JSON_TYPE).end('{"data":{}}');
      }),
      file,
    );
    expect(await client().ask(`unix://${file}?path=/api/graphql`)).toBe('ok');
    expect(paths).toEqual(['/api/graphql']);
  });
});

describe('TLS', () => {
  const [server, gateway, stranger] = [selfSigned('localhost'), selfSigned('gateway'), selfSigned('stranger')];

  async function secured(): Promise<string> {
    const made = createTlsServer(
      { ...server, ca: gateway.cert, requestCert: true, rejectUnauthorized: false },
      (request, response) => {
        request.resume();
        response.writeHead((request.socket as TLSSocket).authorized ? 200 : 401, JSON_TYPE).end('{"data":{}}');
      },
    );
    return `https://localhost:${await listen(made)}/graphql`;
  }

  it('the certificate is that of the name, whatever address was found; control: another name’s is not believed', async () => {
    const names: unknown[] = [];
    const made = createTlsServer({ ...server }, (request, response) => {
      names.push((request.socket as TLSSocket & { servername: string }).servername, request.headers.host);
      request.resume();
      response.writeHead(200, JSON_TYPE).end('{"data":{}}');
    });
    const port = await listen(made);
    const one = client({ tls: { ca: server.cert }, dnsMs: 600_000, lookup: async () => ['127.0.0.1'] });
    const ask = async (name: string) => {
      const url = `https://${name}:${port}/graphql`;
      one.upstreams.of(url);
      await one.upstreams.lookUp();
      return one.ask(url);
    };
    expect([await ask('localhost'), names]).toEqual(['ok', ['localhost', `localhost:${port}`]]);
    expect(await ask('posts.test')).toBe('SUBGRAPH_UNAVAILABLE');
  });

  it('whoever vouches is believed, and the gateway shows who it is', async () => {
    expect(await client({ tls: { ca: server.cert, ...gateway } }).ask(await secured())).toBe('ok');
  });

  it.each([
    ['a subgraph that nobody vouches for gets no byte', { ...gateway }, 'SUBGRAPH_UNAVAILABLE'],
    ['nor does one that somebody else vouches for', { ca: stranger.cert, ...gateway }, 'SUBGRAPH_UNAVAILABLE'],
    ['(control: a stranger is refused by the subgraph)', { ca: server.cert, ...stranger }, 'SUBGRAPH_BAD_RESPONSE'],
    ['(control: and so is nobody)', { ca: server.cert }, 'SUBGRAPH_BAD_RESPONSE'],
  ])('%s', async (_name, tls, code) => {
    expect(await client({ tls }).ask(await secured())).toBe(code);
  });
});

describe('hedged reads', () => {
  it('a late one is asked a second time elsewhere, a mutation never; control: unhedged it waits', async () => {
    const [quick, hung] = [await subgraph(), await subgraph(() => -1)];
    const both = `${quick.url},${hung.url}`;
    const hedged = client({ hedgeMs: 20, timeoutMs: 5_000, random: () => 0.99 });
    // By chance 0.99 the second address is chosen first.
    expect(await hedged.ask(both)).toBe('ok');
    expect([hung.calls, quick.calls]).toEqual([1, 1]);
    const naive = client({ timeoutMs: 200, random: () => 0.99 });
    expect(await naive.ask(both)).toBe('SUBGRAPH_TIMEOUT');
    const short = client({ hedgeMs: 20, timeoutMs: 200, random: () => 0.99 });
    expect(await short.ask(both, 'mutation')).toBe('SUBGRAPH_TIMEOUT');
    expect(quick.calls).toBe(1);
  });

  /** On a clock on which nothing takes time but the wait before the second attempt. By chance 0.99 the last address is asked first. */
  function hedging(breakerFailures: number, hedgeMs: number) {
    const clock = { now: 1_000 };
    const one = client({
      hedgeMs,
      breakerFailures,
      random: () => 0.99,
      clock: () => clock.now,
      observe: { call() {}, repeated: () => void (clock.now += hedgeMs) },
    });
    return { ...one, clock, states: () => [...one.upstreams.endpoints].map(({ breaker }) => breaker.state) };
  }

  it('an address that hangs is found out by those that answer in its place; control: with no count of it each call is asked twice', async () => {
    const [quick, hung] = [await subgraph(), await subgraph(() => -1)];
    const url = `${quick.url},${hung.url}`;
    const one = hedging(5, 20);
    expect([await count(10, () => one.ask(url)), hung.calls, one.states()]).toEqual([
      { ok: 10 },
      5,
      ['closed', 'open'],
    ]);
    // No sign of too much work.
    expect([...one.upstreams.endpoints].map(({ places }) => places.limit.places)).toEqual([16, 16]);
    const naive = hedging(0, 20);
    expect([await count(10, () => naive.ask(url)), hung.calls]).toEqual([{ ok: 10 }, 15]);
  });

  it('one that is late now and then is not found out, nor one that is not slower than the other by much', async () => {
    const [quick, mixed] = [await subgraph(), await subgraph((call) => (call % 2 === 0 ? -1 : 200))];
    const one = hedging(2, 200);
    await count(10, () => one.ask(`${quick.url},${mixed.url}`));
    expect([mixed.calls, one.states()]).toEqual([10, ['closed', 'closed']]);
    const two = hedging(1, 20);
    const [slow, hung] = [await subgraph(() => ((two.clock.now += 21), 200)), await subgraph(() => -1)];
    await count(5, () => two.ask(`${slow.url},${hung.url}`));
    expect([hung.calls, two.states()]).toEqual([5, ['closed', 'closed']]);
  });

  it('none is asked a second time where the only other is ending; control: once it is back, it is', async () => {
    const ends: Record<string, string> = { [AWAY_HEADER]: 'ending' };
    const [hangs, other] = [await subgraph(() => -1), await subgraph(undefined, ends)];
    let now = 0;
    const one = client({ random: () => 0, hedgeMs: 5, clock: () => now });
    // What it says comes with a mutation's answer: a read of its own that takes longer than 5 ms would be asked twice.
    await one.ask(other.url, 'mutation');
    expect([await one.ask(`${hangs.url},${other.url}`, 'query', 200), other.calls]).toEqual(['SUBGRAPH_TIMEOUT', 1]);
    delete ends[AWAY_HEADER];
    now += 1;
    await one.ask(other.url, 'mutation');
    expect([await one.ask(`${hangs.url},${other.url}`, 'query', 20_000), other.calls]).toEqual(['ok', 3]);
  });

  it('takes its repeats out of the same tenth', async () => {
    const hung = await subgraph(() => -1);
    const hedged = client({ hedgeMs: 5, timeoutMs: 100 });
    await Promise.all(Array.from({ length: 40 }, () => hedged.ask(hung.url)));
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(hung.calls).toBeLessThanOrEqual(40 + 10);
  });
});

describe('a subgraph that is slower than it is asked', () => {
  it('is given no more while calls wait too long for it, and others are answered; control: without a bound all wait', async () => {
    let now = 1_000;
    const held: (() => void)[] = [];
    let came = () => {};
    const server = createServer((request, response) => {
      request.resume();
      held.push(() => response.writeHead(200, JSON_TYPE).end('{"data":{}}'));
      came();
    });
    const slow = `http://127.0.0.1:${await listen(server)}/graphql`;
    const arrives = async (count: number): Promise<void> => {
      while (held.length < count) await new Promise<void>((resolve) => (came = resolve));
    };
    const other = await subgraph();
    const one = client({ connections: 1, lateInLineMs: 500, clock: () => now });
    const first = [one.ask(slow), one.ask(slow), one.ask(slow)];
    await arrives(1);
    now += 501;
    held.shift()!();
    await arrives(1);
    // The second has waited 501 ms, and the third waits.
    expect(await one.ask(slow)).toBe('OVERLOADED');
    expect(await one.ask(other.url)).toBe('ok');
    held.shift()!();
    await arrives(1);
    held.shift()!();
    expect(await Promise.all(first)).toEqual(['ok', 'ok', 'ok']);
    const after = one.ask(slow);
    await arrives(1);
    held.shift()!();
    expect(await after).toBe('ok');

    const patient = client({ connections: 1, clock: () => now });
    const waiting = Array.from({ length: 4 }, () => patient.ask(slow));
    for (let nth = 0; nth < 4; nth += 1) {
      await arrives(1);
      now += 501;
      held.shift()!();
    }
    expect(await Promise.all(waiting)).toEqual(['ok', 'ok', 'ok', 'ok']);
  });
});
