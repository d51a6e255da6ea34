import { expect, it } from '@jest/globals';
import type { IncomingMessage } from 'node:http';
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
