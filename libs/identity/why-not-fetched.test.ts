import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { selfSigned } from '../../test/servers/self-signed.js';
import { RemoteKeys } from './remote-keys.js';
import { whyNotFetched } from './why-not-fetched.js';

const ANSWERS: Readonly<Record<string, readonly [number, string]>> = {
  '/404': [404, '{"keys":[]}'],
  '/302': [302, ''],
  '/html': [200, '<html>hunter2</html>'],
  '/no-keys': [200, '{"hunter2":true}'],
  '/keys': [200, '{"keys":[]}'],
};
let plain: Server;
let tls: Server;
const urls: Record<string, string> = {};

beforeAll(async () => {
  plain = createServer(({ url = '' }, response) => {
    const answer = ANSWERS[url.split('?')[0]!];
    // Else it says nothing.
    if (answer) response.writeHead(answer[0]).end(answer[1]);
  });
  tls = createTlsServer(selfSigned(), (_, response) => response.end('{"keys":[]}'));
  const gone = createServer();
  for (const [name, server] of Object.entries({ plain, tls, gone })) {
    await once(server.listen(0, '127.0.0.1'), 'listening');
    urls[name] = `http${name === 'tls' ? 's' : ''}://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }
  gone.close();
});
afterAll(() => {
  for (const server of [plain, tls]) server.close().closeAllConnections();
});

const troubleOf = async (url: string): Promise<unknown> => {
  try {
    await new RemoteKeys(new URL(url), () => performance.now()).first();
    return undefined;
  } catch (error) {
    return error;
  }
};

it.each([
  ['plain', '/404', 'status 404'],
  ['plain', '/302', 'status 302'],
  ['plain', '/html', 'an answer that is no JSON'],
  ['plain', '/no-keys', 'an answer that is no set of keys'],
  ['plain', '/hangs', 'no answer in time'],
  ['gone', '/keys', 'ECONNREFUSED'],
  ['tls', '/keys', 'DEPTH_ZERO_SELF_SIGNED_CERT'],
])('keys that cannot be fetched from %s%s: %s, and nothing of where they are or what came', async (name, path, why) => {
  const trouble = await troubleOf(`${urls[name]}${path}?token=hunter2`);
  expect(whyNotFetched(trouble)).toBe(why);
  expect((trouble as Error).message).toBe(`The keys of the token issuer could not be fetched: ${why}.`);
});

it('control: keys that can be fetched are no trouble', async () => {
  expect(await troubleOf(`${urls['plain']}/keys`)).toBeUndefined();
});

it('what nobody knows says no more than that it failed, whatever it has in it', () => {
  const strange = Object.assign(new Error('http://u:hunter2@10.0.0.1/'), { code: 'hunter2@10.0.0.1' });
  expect(whyNotFetched(new Error('of u:hunter2', { cause: strange }))).toBe('it failed');
  expect(whyNotFetched('hunter2')).toBe('it failed');
  const circle = new Error('one');
  circle.cause = circle;
  expect(whyNotFetched(circle)).toBe('it failed');
});
