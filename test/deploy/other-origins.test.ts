import { ApolloClient, HttpLink, InMemoryCache } from '@apollo/client';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { buildSchema, parse } from 'graphql';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { chromium, type Browser, type Page } from 'playwright-core';
import { readGatewayConfig } from '../../gateway/config.js';
import type { CorsRules } from '../../gateway/http/cross-site.js';
import { withServer } from '../servers/needs.js';
import { startTinyHttp, type TinyHttp } from '../tiny/tiny-http.js';

/** A front end on an origin of its own: what its pages may send, and read of what comes back. */
const schema = buildSchema('type Query { me: String }');
const APOLLO = ['apollographql-client-name', 'apollographql-client-version'];
const TRACE = ['traceparent', 'tracestate', 'baggage'];

let site: Server;
let origin: string;
let gateway: TinyHttp;
beforeAll(async () => {
  site = createServer((_, response) => response.setHeader('content-type', 'text/html').end('<title>A page</title>'));
  await once(site.listen(0, '127.0.0.1'), 'listening');
  // This machine's other name is another site.
  origin = `http://localhost:${(site.address() as AddressInfo).port}`;
  gateway = await startWith(
    corsOf({ CORS_HEADERS: 'Sentry-Trace, x-tenant', FORWARD_RESPONSE_HEADERS: 'X-Served-By' }),
  );
});
afterAll(async () => {
  site?.close();
  site?.closeAllConnections();
  await gateway?.close();
});

const corsOf = (env: Record<string, string>): CorsRules =>
  readGatewayConfig({ SUPERGRAPH: 'any', CORS_ORIGINS: origin, ...env }).cors;

const startWith = (cors: CorsRules): Promise<TinyHttp> =>
  startTinyHttp(
    schema,
    {},
    {
      cors,
      execute: (_operation, _variables, { responseHeaders }) => {
        responseHeaders.push(['x-served-by', 'posts-1'], ['x-inner', 'not for pages']);
        return Promise.resolve({ body: '{"data":{"me":"alice"}}', hasErrors: false });
      },
    },
  );

/** Which of these a preflight lets a page send. */
async function allowedBy({ url }: TinyHttp, names: readonly string[]): Promise<string[]> {
  const response = await fetch(url, {
    method: 'OPTIONS',
    headers: {
      origin,
      'access-control-request-method': 'POST',
      'access-control-request-headers': names.join(','),
    },
  });
  const allowed = response.headers.get('access-control-allow-headers')?.split(', ') ?? [];
  return names.filter((name) => allowed.includes(name));
}

it('lets pages say which client they are and which trace they are of, and what CORS_HEADERS and FORWARD_HEADERS name', async () => {
  const names = [...APOLLO, ...TRACE, 'sentry-trace', 'x-tenant'];
  expect(await allowedBy(gateway, [...names, 'x-else'])).toEqual(names);
  const plain = await startWith(corsOf({ FORWARD_HEADERS: 'X-Tenant' }));
  try {
    expect(await allowedBy(plain, [...names, 'x-else'])).toEqual([...APOLLO, ...TRACE, 'x-tenant']);
  } finally {
    await plain.close();
  }
});

it('CORS_HEADERS takes names of headers, and no *', () => {
  expect(() => corsOf({ CORS_HEADERS: 'x-tenant,*' })).toThrow(
    'CORS_HEADERS cannot name *: browsers take * for no token',
  );
  expect(() => corsOf({ CORS_HEADERS: 'x tenant' })).toThrow('CORS_HEADERS cannot name x tenant: it is no header name');
});

withServer('chromium', 'in a browser', (executablePath) => {
  let browser: Browser;
  let page: Page;
  beforeAll(async () => {
    browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] });
    page = await browser.newPage();
    await page.goto(origin);
  }, 120_000);
  afterAll(() => browser?.close(), 120_000);

  /** What Apollo Client hands to the browser's fetch, asked there: the answer, and what the page may read of its headers. */
  async function asked(url: string, client: { name: string; version: string }, more: Record<string, string> = {}) {
    let sent: { body: string; headers: Record<string, string> } | undefined;
    const apollo = new ApolloClient({
      clientAwareness: client,
      cache: new InMemoryCache(),
      link: new HttpLink({
        uri: url,
        headers: more,
        fetch: (_, init) => {
          sent = init as unknown as typeof sent;
          return Promise.reject(new Error('asked in the browser'));
        },
      }),
    });
    await apollo.query({ query: parse('{ me }') }).catch(() => undefined);
    const { body, headers } = sent!;
    const seen = await page.evaluate(
      async ([target, text, names]) => {
        try {
          const response = await fetch(target, { method: 'POST', body: text, headers: names });
          return {
            said: await response.text(),
            by: response.headers.get('x-served-by'),
            inner: response.headers.get('x-inner'),
          };
        } catch (error) {
          return { said: String(error), by: null, inner: null };
        }
      },
      [url, body, headers] as const,
    );
    return { ...seen, headers: Object.keys(headers) };
  }

  it('Apollo Client that has a name, traced and with a header of its own, is answered, and may read what is forwarded back', async () => {
    const { headers, ...seen } = await asked(
      gateway.url,
      { name: 'web', version: '1.2' },
      { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', baggage: 'a=b', 'x-tenant': 'acme' },
    );
    expect(headers).toEqual(expect.arrayContaining([...APOLLO, 'traceparent', 'baggage', 'x-tenant']));
    expect(seen).toEqual({ said: '{"data":{"me":"alice"}}', by: 'posts-1', inner: null });
  }, 120_000);

  it('control: with a header that nobody named the browser asks nothing', async () => {
    const before = gateway.executed.length;
    const { said } = await asked(gateway.url, { name: 'web', version: '1.2' }, { 'x-else': '1' });
    expect(said).toContain('Failed to fetch');
    expect(gateway.executed).toHaveLength(before);
  }, 120_000);
});
