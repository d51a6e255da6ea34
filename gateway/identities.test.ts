import { expect, it } from '@jest/globals';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { signingKeyOf, TokenIssuer } from '#libs/identity';
import type { Logger } from '#libs/telemetry';
import { readGatewayConfig } from './config.js';
import { identityOf, signerOf } from './identities.js';

it('tokens that are too long are told of once a minute, with how many and nothing of what they hold; control: one that is just not too long is a stranger’s like any', async () => {
  const said: unknown[] = [];
  const logger: Logger = { debug() {}, info() {}, error() {}, warn: (...line) => void said.push(line) };
  let now = 1_000_000;
  const clocks = { clock: () => now, steady: () => now };
  const config = readGatewayConfig({
    SUPERGRAPH: 'none.graphql',
    IDENTITY: 'jwt',
    JWKS_URL: 'http://127.0.0.1:1/jwks.json',
    TOKEN_ISSUER: 'somebody',
    TOKEN_AUDIENCE: 'tributary',
    ASSERTION_SECRET: 's'.repeat(32),
  });
  const identity = identityOf(config, clocks, signerOf(config, clocks), { logger });
  const refused = async (characters: number): Promise<void> => {
    const authorization = `Bearer ${'secret'.repeat(1_000).slice(0, characters)}`;
    const request = { headers: { authorization }, rawHeaders: ['authorization', authorization] };
    await expect(identity.bearer(request as unknown as IncomingMessage)).rejects.toMatchObject({
      code: 'UNAUTHENTICATED',
    });
  };
  await refused(4_096);
  expect(said).toEqual([]);
  const line = (characters: number, count: number) => [
    { characters, most: 4_096, count },
    'Tokens are refused that are longer than they may be',
  ];
  await refused(4_097);
  for (const passed of [0, 30_000, 29_999]) {
    now += passed;
    await refused(5_000);
  }
  expect(said).toEqual([line(4_097, 1)]);
  now += 1;
  await refused(5_001);
  expect(said).toEqual([line(4_097, 1), line(5_001, 4)]);
  expect(JSON.stringify(said)).not.toContain('secret');
});

it('tokens that their issuer has signed for others are told of once a minute, by the setting that they do not fit; control: what anybody can make is not', async () => {
  const said: unknown[] = [];
  const logger: Logger = { debug() {}, info() {}, error() {}, warn: (...line) => void said.push(line) };
  const signer = () => signingKeyOf(generateKeyPairSync('ed25519').privateKey);
  const key = signer();
  const by = (issuer: string, audience: string, signing = key) =>
    new TokenIssuer({ key: signing, issuer, audience, lifetimeS: 60 });
  const good = by('somebody', 'tributary');
  const server = createServer((_, response) => response.end(JSON.stringify(good.jwks())));
  await once(server.listen(0, '127.0.0.1'), 'listening');
  let passedMs = 0;
  const clock = (): number => Date.now() + passedMs;
  const config = readGatewayConfig({
    SUPERGRAPH: 'none.graphql',
    IDENTITY: 'jwt',
    JWKS_URL: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    TOKEN_ISSUER: 'somebody',
    TOKEN_AUDIENCE: 'tributary',
    ASSERTION_SECRET: 's'.repeat(32),
  });
  const clocks = { clock, steady: clock };
  const identity = identityOf(config, clocks, signerOf(config, clocks), { logger });
  const taken = async (issuer: TokenIssuer): Promise<boolean> => {
    const authorization = `Bearer ${await issuer.issue('0190a5f0-0000-7000-8000-000000000000')}`;
    const request = { headers: { authorization }, rawHeaders: ['authorization', authorization] };
    return Promise.resolve(identity.bearer(request as unknown as IncomingMessage)).then(
      () => true,
      () => false,
    );
  };
  try {
    expect(await taken(good)).toBe(true);
    expect(await taken(by('another', 'tributary', signer()))).toBe(false);
    expect(said).toEqual([]);
    for (let nth = 0; nth < 3; nth += 1) expect(await taken(by('another', 'tributary'))).toBe(false);
    const line = (claim: string, setting: string, count: number) => [
      { claim, setting, count },
      'Tokens are refused that their issuer has signed for others',
    ];
    expect(said).toEqual([line('iss', 'TOKEN_ISSUER', 1)]);
    passedMs += 60_000;
    expect(await taken(by('somebody', 'else'))).toBe(false);
    expect(said).toEqual([line('iss', 'TOKEN_ISSUER', 1), line('aud', 'TOKEN_AUDIENCE', 3)]);
  } finally {
    server.close();
  }
});
