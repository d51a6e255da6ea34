import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Dispatcher } from 'undici';
import { newId, signingKeyOf, TokenIssuer, TokenVerifier } from '#libs/identity';
import { silent } from '#libs/telemetry';
import { ROOT } from '../../commands/root.js';
import { plainEnvironment } from '../../test/deploy/environment.js';
import { selfSigned } from '../../test/servers/self-signed.js';
import { endedSessionsAt } from '../http/ended-sessions.js';
import { servicesSource, urlSource } from '../supergraph/source.js';
import { dispatcherWith, fetchWith, readTls } from './tls.js';

/** Users behind a proxy that asks for certificates, and whatever else a gateway asks for beside its calls. */
const [server, gateway] = [selfSigned('localhost'), selfSigned('gateway')];
const told = { issuer: 'https://tributary.example/', audience: 'tributary' };
const issuer = new TokenIssuer({
  key: signingKeyOf(generateKeyPairSync('ed25519').privateKey),
  ...told,
  lifetimeS: 60,
});
const ANSWERS: Record<string, unknown> = {
  '/.well-known/jwks.json': issuer.jwks(),
  '/ended-sessions': { now: Date.now(), sessions: [], people: [] },
  '/graphql': { data: { _service: { sdl: 'type Query { hello: String }' } } },
};
let users: Server;
let origin: string;
let folder: string;
let ours: Dispatcher;

beforeAll(async () => {
  users = createServer({ ...server, ca: gateway.cert, requestCert: true }, (request, response) => {
    request.resume();
    const answer = ANSWERS[new URL(request.url!, origin).pathname];
    response.writeHead(answer === undefined ? 404 : 200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(answer ?? {}));
  });
  await new Promise<void>((resolve) => users.listen(0, 'localhost', resolve));
  origin = `https://localhost:${(users.address() as AddressInfo).port}`;
  folder = mkdtempSync(join(tmpdir(), 'tributary-tls-'));
  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  ours = dispatcherWith(
    readTls({ ca: file('ca', server.cert), cert: file('cert', gateway.cert), key: file('key', gateway.key) }),
  )!;
});

afterAll(async () => {
  await ours.close();
  users.closeAllConnections();
  await new Promise((resolve) => users.close(resolve));
  rmSync(folder, { recursive: true, force: true });
});

it.each<[string, (dispatcher: Dispatcher | undefined) => Promise<unknown>]>([
  [
    'keys of tokens',
    async (dispatcher) => {
      const keys = new URL(`${origin}/.well-known/jwks.json`);
      const verifier = new TokenVerifier({ keys, ...told, fetch: fetchWith(dispatcher) });
      await verifier.verify(await issuer.issue(newId()));
    },
  ],
  [
    'log-ins that have ended',
    async (dispatcher) => {
      const parts = { assertion: () => 'said', pollMs: 60_000, clock: Date.now, logger: silent, dispatcher };
      const ended = endedSessionsAt(`${origin}/ended-sessions`, parts);
      try {
        await ended.require('somebody', {});
      } finally {
        await ended.close();
      }
    },
  ],
  [
    'schemas',
    (dispatcher) =>
      servicesSource([{ name: 'hello', url: `${origin}/graphql` }], () => ({}), silent, 'auto', dispatcher).read(
        AbortSignal.timeout(60_000),
      ),
  ],
  ['a supergraph', (dispatcher) => urlSource(`${origin}/graphql`, dispatcher).read(AbortSignal.timeout(60_000))],
])('%s are asked for with the certificate of the gateway; control: without it nobody answers', async (_, ask) => {
  await ask(ours);
  await expect(ask(undefined)).rejects.toThrow();
});

describe('with SUBGRAPH_TLS_CA', () => {
  const another = selfSigned('localhost', 'another');
  let issuerOfOthers: Server;
  let extra: string;
  beforeAll(async () => {
    issuerOfOthers = createServer({ ...another }, (_request, response) => void response.end());
    await new Promise<void>((resolve) => issuerOfOthers.listen(0, 'localhost', resolve));
    extra = join(folder, 'extra');
    writeFileSync(extra, another.cert);
  });
  afterAll(async () => {
    issuerOfOthers.closeAllConnections();
    await new Promise((resolve) => issuerOfOthers.close(resolve));
  });

  /** What a process of its own is answered, for Node reads NODE_EXTRA_CA_CERTS at its start: by our dispatcher, and by one that has the `ca` alone. */
  async function answers(NODE_EXTRA_CA_CERTS: string | undefined): Promise<Record<string, string[]>> {
    const { port } = issuerOfOthers.address() as AddressInfo;
    const urls = [`${origin}/.well-known/jwks.json`, `https://localhost:${port}/`];
    const files = { ca: join(folder, 'ca'), cert: join(folder, 'cert'), key: join(folder, 'key') };
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--input-type=module', '--eval', ASKS, JSON.stringify({ urls, files })],
      { cwd: ROOT, env: { ...plainEnvironment(), NODE_EXTRA_CA_CERTS } },
    );
    return JSON.parse(stdout) as Record<string, string[]>;
  }

  it('those are believed, too, whom NODE_EXTRA_CA_CERTS names; control: by that file alone they are not', async () => {
    const refused = 'DEPTH_ZERO_SELF_SIGNED_CERT';
    expect(await answers(extra)).toEqual({ ours: ['200', '200'], alone: ['200', refused] });
    expect(await answers(undefined)).toEqual({ ours: ['200', refused], alone: ['200', refused] });
  });

  it('nobody else is believed, and all goes on, where that file cannot be read', async () => {
    const { ours: own } = await answers(join(folder, 'nothing'));
    expect(own).toEqual(['200', 'DEPTH_ZERO_SELF_SIGNED_CERT']);
  });
});

const ASKS = `
  import { Agent } from 'undici';
  import { dispatcherWith, fetchWith, readTls } from './dist/gateway/fetch/tls.js';
  const { urls, files } = JSON.parse(process.argv[1]);
  const tls = readTls(files);
  const dispatchers = { ours: dispatcherWith(tls), alone: new Agent({ connect: tls }) };
  const answers = {};
  for (const [name, dispatcher] of Object.entries(dispatchers)) {
    const ask = (url) => fetchWith(dispatcher)(url, {}).then(({ status }) => String(status), ({ cause }) => cause.code);
    answers[name] = await Promise.all(urls.map(ask));
    await dispatcher.close();
  }
  console.log(JSON.stringify(answers));
`;

it('nothing set is nothing made: Node’s own ways are taken', () => {
  expect(dispatcherWith(readTls({}))).toBeUndefined();
  expect(fetchWith(undefined)).toBeUndefined();
});
