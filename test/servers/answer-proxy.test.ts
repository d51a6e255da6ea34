import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { createServer, type Server } from 'node:http';
import { request as requestTls } from 'node:https';
import type { AddressInfo } from 'node:net';
import { Agent, fetch as fetchBy, getGlobalDispatcher, type Dispatcher } from 'undici';
import { startAnswerProxy, type AnswerProxy, type Lie } from './answer-proxy.js';
import { selfSigned } from './self-signed.js';

/** A server that says back what it was told, and counts. */
let server: Server;
let asked = 0;
let proxy: AnswerProxy;
beforeAll(async () => {
  server = createServer((request, response) => {
    asked += 1;
    response.writeHead(200, { 'content-type': 'text/plain', 'x-own': 'kept' });
    request.pipe(response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  proxy = await startAnswerProxy({ port: portOf(server) });
});
afterEach(() => proxy.tell({}));
afterAll(async () => {
  await proxy.close();
  await new Promise((resolve) => server.close(resolve).closeAllConnections());
});

const portOf = (one: Server): number => (one.address() as AddressInfo).port;
const ask = (body: string, headers: Record<string, string> = {}, dispatcher: Dispatcher = getGlobalDispatcher()) =>
  fetchBy(`http://127.0.0.1:${proxy.port}/graphql`, { method: 'POST', body, headers, dispatcher });
const shouts: Lie = (real) => ({ ...real, status: 201, body: Buffer.from(real.body.toString().toUpperCase()) });

describe('a proxy that answers otherwise', () => {
  it('tells the truth while it is told nothing', async () => {
    const answer = await ask('hello', { 'x-request-id': 'r1' });
    expect([answer.status, answer.headers.get('x-own'), await answer.text()]).toEqual([200, 'kept', 'hello']);
    expect(proxy.came).toMatchObject([{ method: 'POST', body: 'hello', requestId: 'r1' }]);
  });

  it('tells each lie in its turn, of what the real server answered, and counts them', async () => {
    proxy.tell({ answers: [shouts, (real) => ({ ...real, status: 500 })] });
    const answers = [await ask('one'), await ask('two'), await ask('three')];
    expect(await Promise.all(answers.map(async (one) => [one.status, await one.text()]))).toEqual([
      [201, 'ONE'],
      [500, 'two'],
      [201, 'THREE'],
    ]);
    expect(proxy.told).toEqual([2, 1]);
  });

  it('is asked at another path by whoever follows a redirect (control: a client as it comes)', async () => {
    proxy.tell({ answers: [(real) => ({ ...real, status: 307, headers: { location: '/elsewhere' } })] });
    await ask('hello').catch(() => undefined);
    expect(proxy.paths.slice(0, 2)).toEqual(['/graphql', '/elsewhere']);
  });

  it('answers by HTTP/1.0, and the connection ends with the answer', async () => {
    const agent = new Agent({ connections: 1 });
    proxy.tell({ old: true });
    for (const said of ['one', 'two']) {
      const answer = await ask(said, {}, agent);
      expect([answer.headers.get('x-own'), await answer.text()]).toEqual(['kept', said]);
    }
    expect(proxy.came.map(({ nthOnConnection }) => nthOnConnection)).toEqual([1, 1]);
    await agent.close();
  });

  it('resets a connection that was used before, and what came on it goes no further', async () => {
    proxy.tell({ resets: ({ nthOnConnection }) => nthOnConnection > 1 });
    const agent = new Agent({ connections: 1 });
    const before = asked;
    const outcomes = [];
    for (let nth = 0; nth < 4; nth += 1)
      outcomes.push(
        await ask('hello', {}, agent).then(
          (answer) => answer.text(),
          () => 'reset',
        ),
      );
    expect(outcomes).toContain('reset');
    expect(asked - before).toBe(outcomes.filter((one) => one === 'hello').length);
    await agent.close();
  });

  it('shows another certificate from one moment on; whoever does not trust it asks nothing', async () => {
    const [trusted, other] = [selfSigned('localhost'), selfSigned('localhost')];
    const shown = await startAnswerProxy({ port: portOf(server), tls: trusted });
    const say = (): Promise<string> =>
      new Promise((resolve) => {
        const asking = requestTls(
          { host: 'localhost', port: shown.port, method: 'POST', ca: trusted.cert, agent: false },
          (answer) => void answer.setEncoding('utf8').on('data', resolve),
        );
        asking.once('error', ({ code }: NodeJS.ErrnoException) => resolve(code ?? '')).end('hello');
      });
    try {
      expect(await say()).toBe('hello');
      shown.show(other);
      shown.tell({});
      expect(await say()).not.toBe('hello');
      while (shown.refused === 0) await new Promise((resolve) => setTimeout(resolve, 5));
      expect([shown.came.length, shown.refused]).toEqual([0, 1]);
      shown.show(trusted);
      expect(await say()).toBe('hello');
    } finally {
      await shown.close();
    }
  });
});
