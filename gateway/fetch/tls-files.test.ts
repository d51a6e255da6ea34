import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from '@jest/globals';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createPlainServer } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createSecureContext, type TLSSocket } from 'node:tls';
import type { Logger } from '#libs/telemetry';
import { selfSigned } from '../../test/servers/self-signed.js';
import { openSubgraphClient } from './subgraph-client.js';
import { renewedDispatcher, TlsFiles } from './tls-files.js';
import { fetchWith } from './tls.js';

const server = selfSigned('localhost');
const [one, two] = [selfSigned('gateway', 'one'), selfSigned('gateway', 'two')];

/** A subgraph that asks for certificates; whose each call came with, and those that wait for their answer. */
let service: Server;
let url: string;
const callers: string[] = [];
const held: (() => void)[] = [];
let holds = false;

let folder: string;
let files: TlsFiles;
const said: string[] = [];
const logger: Logger = { debug() {}, info() {}, error() {}, warn: (_, message) => void said.push(message) };
const write = (name: 'ca' | 'cert' | 'key', text: string) => writeFileSync(join(folder, name), text);

beforeAll(async () => {
  service = createServer(
    { ...server, keepAliveTimeout: 0, ca: [one.cert, two.cert], requestCert: true },
    (request, response) => {
      callers.push((request.socket as TLSSocket).getPeerCertificate().subject.O as string);
      request.resume();
      const answer = () => void response.writeHead(200, { 'content-type': 'application/json' }).end('{"data":{}}');
      if (holds) held.push(answer);
      else answer();
    },
  );
  await new Promise<void>((resolve) => service.listen(0, 'localhost', resolve));
  url = `https://localhost:${(service.address() as AddressInfo).port}/graphql`;
});
afterAll(async () => {
  service.closeAllConnections();
  await new Promise((resolve) => service.close(resolve));
});

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tributary-tls-files-'));
  write('ca', server.cert);
  write('cert', one.cert);
  write('key', one.key);
  const paths = { ca: join(folder, 'ca'), cert: join(folder, 'cert'), key: join(folder, 'key') };
  files = new TlsFiles(paths, { logger, lookMs: 3_600_000 });
  for (const list of [callers, held, said]) list.length = 0;
  holds = false;
});
afterEach(() => {
  files.close();
  rmSync(folder, { recursive: true, force: true });
});

function gateway() {
  const client = openSubgraphClient({
    timeoutMs: 60_000,
    bodyBytesMax: 1_024,
    connections: 4,
    assertion: () => undefined,
    forwardResponse: [],
    clock: Date.now,
    tls: files.now,
    keepAliveMs: 60_000,
  });
  files.onRenewed((tls) => client.upstreams.renew(tls));
  const ask = (at = url) =>
    client
      .post(
        { subgraph: 'posts', url: at, type: 'query', body: '{}' },
        {
          requestId: 'r',
          subject: null,
          headers: new Map(),
          signal: new AbortController().signal,
          deadline: Date.now() + 60_000,
          responseHeaders: [],
        },
      )
      .then(String, ({ code }: { code: string }) => code);
  return { ask, close: () => client.close() };
}

it('a certificate that was renewed is shown from the next call on, and one under way is answered; control: until the files are looked at it is the old one', async () => {
  const { ask, close } = gateway();
  await ask();
  write('cert', two.cert);
  write('key', two.key);
  holds = true;
  const underWay = ask();
  while (held.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  holds = false;
  expect(callers).toEqual(['one', 'one']);
  await files.look();
  expect([await ask(), await ask(), callers.slice(2)]).toEqual(['{"data":{}}', '{"data":{}}', ['two', 'two']]);
  held.shift()!();
  expect(await underWay).toBe('{"data":{}}');
  // Nothing is new: nothing is made anew.
  const before = files.now;
  await files.look();
  expect(files.now).toBe(before);
  await close();
});

it('connections that show no certificate are kept: those of http: and of sockets; control: one of https: is made anew', async () => {
  const path = join(folder, 'socket');
  const made: string[] = [];
  const plain = (name: string) =>
    createPlainServer({ keepAliveTimeout: 0 }, (request, response) => {
      request.resume();
      response.writeHead(200, { 'content-type': 'application/json' }).end('{"data":{}}');
    }).on('connection', () => void made.push(name));
  const servers = [plain('http'), plain('unix')] as const;
  const counted = () => void made.push('https');
  service.on('secureConnection', counted);
  await new Promise<void>((resolve) => servers[0].listen(0, '127.0.0.1', resolve));
  await new Promise<void>((resolve) => servers[1].listen(path, resolve));
  const http = `http://127.0.0.1:${(servers[0].address() as AddressInfo).port}/graphql`;
  const { ask, close } = gateway();
  const all = async () => [await ask(http), await ask(`unix://${path}`), await ask()];
  const ok = Array.from({ length: 3 }, () => '{"data":{}}');
  try {
    expect(await all()).toEqual(ok);
    write('cert', two.cert);
    write('key', two.key);
    await files.look();
    expect(await all()).toEqual(ok);
    expect(made).toEqual(['http', 'unix', 'https', 'https']);
  } finally {
    service.off('secureConnection', counted);
    await close();
    for (const one of servers) {
      one.closeAllConnections();
      one.close();
    }
  }
});

it('whom it may believe is renewed, too', async () => {
  const { ask, close } = gateway();
  write('ca', two.cert);
  expect(await ask()).toBe('{"data":{}}');
  await files.look();
  expect(await ask()).toBe('SUBGRAPH_UNAVAILABLE');
  write('ca', two.cert + server.cert);
  await files.look();
  expect(await ask()).toBe('{"data":{}}');
  await close();
});

it('what is half written, or gone, changes nothing, and the log says so once until it is whole', async () => {
  const { ask, close } = gateway();
  write('cert', two.cert);
  await files.look();
  rmSync(join(folder, 'key'));
  await files.look();
  expect([await ask(), callers, said]).toEqual(['{"data":{}}', ['one'], [expect.stringContaining('cannot be used')]]);
  write('key', two.key);
  await files.look();
  expect([await ask(), callers]).toEqual(['{"data":{}}', ['one', 'two']]);
  expect(said[1]).toContain('can be used again');
  await close();
});

it.each([
  ['empty', ''],
  ['cut off', server.cert.slice(0, -60)],
  ['cut off behind a whole one', two.cert + server.cert.slice(0, -60)],
  ['no PEM', 'x'.repeat(2_000)],
  ['garbled', server.cert.replace(/\n[^-\n]{20}/g, '\n????????????????????')],
])(
  'a file of who may be believed that is %s changes nothing, and at start it is told; control: TLS itself would take it',
  async (_, text) => {
    const { ask, close } = gateway();
    expect(() => createSecureContext({ ca: text })).not.toThrow();
    const before = files.expiries();
    write('ca', text);
    await files.look();
    expect([await ask(), said]).toEqual(['{"data":{}}', [expect.stringContaining('cannot be used')]]);
    expect([files.now.ca?.toString(), files.expiries()]).toEqual([server.cert, before]);
    expect(() => new TlsFiles({ ca: join(folder, 'ca') }, { logger })).toThrow(
      'SUBGRAPH_TLS_CA takes PEM certificates',
    );
    await close();
  },
);

it('what is asked for beside subgraph calls shows it as well', async () => {
  const dispatcher = renewedDispatcher(files)!;
  const ask = () => fetchWith(dispatcher)!(url, { method: 'POST', body: '{}' }).then((answer) => answer.text());
  await ask();
  write('cert', two.cert);
  write('key', two.key);
  await ask();
  await files.look();
  await ask();
  expect(callers).toEqual(['one', 'one', 'two']);
  await dispatcher.close();
});

it('tells when what is used expires, of several the first; nothing set is nothing to tell', () => {
  const at = Date.UTC(2049, 11, 31, 23, 59, 59);
  const lifetimeMs = at - Date.UTC(2020, 0, 1);
  expect(files.expiries()).toEqual([
    { file: 'ca', at, lifetimeMs },
    { file: 'cert', at, lifetimeMs },
  ]);
  const hours = selfSigned('localhost', 'hours', ['260101000000Z', '260101120000Z']);
  write('ca', server.cert + hours.cert + one.cert);
  const several = new TlsFiles({ ca: join(folder, 'ca') }, { logger });
  expect(several.expiries()).toEqual([{ file: 'ca', at: Date.UTC(2026, 0, 1, 12), lifetimeMs: 12 * 3_600_000 }]);
  several.close();
  const nothing = new TlsFiles({}, { logger });
  expect([nothing.expiries(), renewedDispatcher(nothing), nothing.now]).toEqual([[], undefined, {}]);
});
