import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { SignJWT } from 'jose';
import { forgedTokens, rawJwt } from '../../test/attack/forged-tokens.js';
import { AssertionSigner, AssertionVerifier, TokenVerifier, type TokenVerifierParts } from './index.js';

const now = Date.UTC(2026, 10, 20) / 1_000;
let clockS = now;
const clock = () => clockS * 1_000;
const issuer = 'https://login.example/realms/one/';
const audience = 'https://api.example/';

const rsa = (bits = 2048) => generateKeyPairSync('rsa', { modulusLength: bits }).privateKey;
const ec = (namedCurve = 'P-256') => generateKeyPairSync('ec', { namedCurve }).privateKey;
/** As issuers publish it: some say the algorithm, some do not. */
const jwkOf = (key: KeyObject, kid: string, more: object = {}) => ({
  ...createPublicKey(key).export({ format: 'jwk' }),
  kid,
  use: 'sig',
  ...more,
});

/** What is published, by a server as any. */
let published: { readonly keys: readonly object[] } = { keys: [] };
let server: Server;
let keys: URL;
beforeAll(async () => {
  server = createServer((_, response) => void response.end(JSON.stringify(published)));
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  keys = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/keys`);
});
afterAll(
  () =>
    new Promise((done) => {
      server.close(done);
      server.closeAllConnections();
    }),
);

const verifierOf = (rules: Partial<TokenVerifierParts> = {}) =>
  new TokenVerifier({ keys, issuer, audience, clock, type: 'JWT', revocable: false, ...rules });
const claims = { iss: issuer, aud: audience, sub: 'auth0|5f7c', iat: now, exp: now + 3_600 };
const signed = (head: { alg: string } & Record<string, unknown>, payload: object, by: KeyObject): Promise<string> =>
  new SignJWT({ ...payload }).setProtectedHeader(head).sign(by);
const refused = { code: 'UNAUTHENTICATED' };

describe('tokens of an issuer that is not ours', () => {
  it.each([
    // As their documentation shows them: Auth0 and Cognito, Keycloak, Entra.
    ['RS256', rsa(), { typ: 'at+jwt' }, { sub: 'auth0|5f7c0a', aud: [audience, `${issuer}userinfo`] }],
    ['RS256', rsa(), {}, { sub: '1f2e3d4c-5b6a-7988-a7b6-c5d4e3f2a1b0' }],
    ['RS256', rsa(), { typ: 'JWT' }, { sub: 'f:9c1e:alice@example.org', jti: 'onrtro:6a' }],
    ['PS256', rsa(), { typ: 'JWT' }, { sub: 'AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ', aud: [audience] }],
    ['ES256', ec(), { typ: 'JWT' }, {}],
    ['ES384', ec('P-384'), { typ: 'JWT' }, {}],
    ['EdDSA', generateKeyPairSync('ed25519').privateKey, { typ: 'JWT' }, {}],
  ] as const)('by %s are taken where it is told that they are', async (alg, key, head, more) => {
    published = { keys: [jwkOf(rsa(), 'another'), jwkOf(ec(), 'a third'), jwkOf(key, 'k1')] };
    const theirs = { ...claims, ...more };
    const token = await signed({ alg, kid: 'k1', ...head }, theirs, key);
    const type = 'typ' in head ? head.typ : 'JWT';
    expect(await verifierOf({ algorithms: [alg], type }).verify(token)).toEqual({ subject: theirs.sub });
    // Control: as our own users sign, and nothing else, was all that was taken.
    await expect(new TokenVerifier({ keys, issuer, audience, clock }).verify(token)).rejects.toMatchObject(refused);
  });

  it('are taken by the algorithms that were named, whichever others their key could be used with', async () => {
    const key = rsa();
    published = { keys: [jwkOf(key, 'k1')] };
    const by = (alg: string) => signed({ alg, kid: 'k1' }, claims, key);
    const both = verifierOf({ algorithms: ['RS256', 'ES256'] });
    expect(await both.verify(await by('RS256'))).toEqual({ subject: claims.sub });
    for (const alg of ['RS384', 'RS512', 'PS256'])
      await expect(both.verify(await by(alg))).rejects.toMatchObject(refused);
    // Where it is published with its algorithm, that alone.
    published = { keys: [jwkOf(key, 'k1', { alg: 'RS256' })] };
    const all = verifierOf({ algorithms: ['RS256', 'PS256'] });
    await expect(all.verify(await by('PS256'))).rejects.toMatchObject(refused);
  });

  it('by a key that is for something else, or too short, are not', async () => {
    const key = rsa();
    published = { keys: [jwkOf(key, 'k1', { use: 'enc' })] };
    const token = await signed({ alg: 'RS256', kid: 'k1' }, claims, key);
    await expect(verifierOf({ algorithms: ['RS256'] }).verify(token)).rejects.toMatchObject(refused);
    const short = rsa(1024);
    published = { keys: [jwkOf(short, 'k1')] };
    const weak = rawJwt({ alg: 'RS256', kid: 'k1' }, JSON.stringify(claims), short, 'sha256');
    await expect(verifierOf({ algorithms: ['RS256'] }).verify(weak)).rejects.toMatchObject(refused);
  });

  it('have a name each where log-ins can be ended here', async () => {
    const key = ec();
    published = { keys: [jwkOf(key, 'k1')] };
    const revocable = () => verifierOf({ algorithms: ['ES256'], revocable: true });
    const by = (more: object) => signed({ alg: 'ES256', kid: 'k1' }, { ...claims, ...more }, key);
    for (const more of [{}, { jti: 7 }])
      await expect(revocable().verify(await by(more))).rejects.toMatchObject(refused);
    expect(await revocable().verify(await by({ jti: 'one' }))).toEqual({ subject: claims.sub });
  });

  it('say whose they are in words that reach a service as they are, the longest too', async () => {
    const secret = 's'.repeat(32);
    const [signer, service] = [
      new AssertionSigner({ secrets: () => secret, clock, steady: () => clock() - 60_000 }),
      new AssertionVerifier({ subgraph: 'one', secret, clock }),
    ];
    for (const subject of ['auth0|5f7c', '"'.repeat(255)])
      expect(service.take(signer.sign('one', subject, { body: '{}' }, 'w'.repeat(36))).subject).toBe(subject);
  });

  it('by the next key are good half a minute after it is published, and by one that was withdrawn for ten minutes', async () => {
    const [first, second] = [rsa(), ec()];
    const verifier = verifierOf({ algorithms: ['RS256', 'ES256'] });
    const by = {
      first: await signed({ alg: 'RS256', kid: 'first' }, claims, first),
      second: await signed({ alg: 'ES256', kid: 'second' }, claims, second),
    };
    published = { keys: [jwkOf(first, 'first')] };
    expect(await verifier.verify(by.first)).toEqual({ subject: claims.sub });
    await expect(verifier.verify(by.second)).rejects.toMatchObject(refused);
    published = { keys: [jwkOf(first, 'first'), jwkOf(second, 'second')] };
    clockS += 31;
    expect(await verifier.verify(by.second)).toEqual({ subject: claims.sub });
    expect(await verifier.verify(by.first)).toEqual({ subject: claims.sub });
    published = { keys: [jwkOf(second, 'second')] };
    clockS += 601;
    await expect(verifier.verify(by.first)).rejects.toMatchObject(refused);
    expect(await verifier.verify(by.second)).toEqual({ subject: claims.sub });
    clockS = now;
  });
});

describe.each([
  ['RS256', rsa()],
  ['ES256', ec()],
] as const)('where an issuer signs by %s', (alg, key) => {
  const rules = { algorithms: [alg], type: 'JWT' };
  const { good, forged } = forgedTokens({ key, publicX: 'x', kid: 'k1', issuer, audience, now, alg, typ: 'JWT' });
  const verify = (token: string) => {
    published = { keys: [jwkOf(key, 'k1')] };
    return verifierOf(rules).verify(token);
  };

  it('the token that all others differ from is good (control)', async () => {
    expect(await verify(good)).toEqual({ subject: expect.stringMatching(/^user_/) as unknown });
  });

  it.each(forged)('%s: %s is UNAUTHENTICATED', async (_, __, token) => {
    await expect(verify(token)).rejects.toMatchObject(refused);
  });
});
