import { createHmac, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { CompactEncrypt, decodeJwt } from 'jose';
import { globalId, newId, signingKeyOf, TokenIssuer, TokenVerifier } from './index.js';
import { namesTwice } from './token.js';

const now = Date.UTC(2026, 10, 20) / 1_000;
let clockS = now;
const clock = () => clockS * 1_000;
const issuer = 'https://tributary.example/';
const audience = 'tributary';
const key = signingKeyOf(generateKeyPairSync('ed25519').privateKey);
const attacker = generateKeyPairSync('ed25519').privateKey;
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const tokens = new TokenIssuer({ key, issuer, audience, lifetimeS: 3_600, clock });
const verifier = new TokenVerifier({ keys: tokens.jwks(), issuer, audience, clock });
const user = newId();
const header = { alg: 'EdDSA', typ: 'at+jwt', kid: key.publicJwk.kid };
const claims = { iss: issuer, aud: audience, sub: globalId('user', user), iat: now, exp: now + 3_600, jti: 'j' };

describe('a token', () => {
  it('says whose it is, for as long as it was made for', async () => {
    const token = await tokens.issue(user);
    expect(await verifier.verify(token)).toEqual({ subject: globalId('user', user) });
    expect(decodeJwt(token)).toMatchObject({
      iss: issuer,
      aud: audience,
      sub: globalId('user', user),
      iat: now,
      exp: now + 3_600,
    });
    expect(decodeJwt(token).jti).not.toBe(decodeJwt(await tokens.issue(user)).jti);
  });

  it('made by hand as below is taken, so what follows is refused for the one thing it says', async () => {
    expect(await verifier.verify(jwt(header, claims))).toEqual({ subject: claims.sub });
  });

  const publicPem = rsa.publicKey.export({ format: 'pem', type: 'spki' }).toString();
  const edPublic = Buffer.from(String(key.publicJwk.x), 'base64url');
  const good = jwt(header, claims);
  const [h = '', p = '', s = ''] = good.split('.');
  const attackerJwk = signingKeyOf(attacker).publicJwk;
  it.each<[string, string, string]>([
    ['F1', 'alg none', `${b64({ ...header, alg: 'none' })}.${p}.`],
    ['F1', 'alg None', `${b64({ ...header, alg: 'None' })}.${p}.`],
    ['F1', 'alg nOnE with a signature', `${b64({ ...header, alg: 'nOnE' })}.${p}.${s}`],
    ['F1', 'no alg', jwt({ typ: 'at+jwt', kid: header.kid }, claims)],
    ['F2', 'HS256 with our public key', hs256(edPublic)],
    ['F2', 'HS256 with a public key PEM', hs256(Buffer.from(publicPem))],
    [
      'F3',
      'RS256 with an unknown kid',
      jwt({ ...header, alg: 'RS256', kid: 'other' }, claims, rsa.privateKey, 'sha256'),
    ],
    ['F3', 'our algorithm with an unknown kid', jwt({ ...header, kid: 'other' }, claims, attacker)],
    ['F4', 'kid ../../dev/null', jwt({ ...header, kid: '../../dev/null' }, claims, attacker)],
    ['F4', "kid ' OR 1=1", jwt({ ...header, kid: "' OR 1=1 --" }, claims, attacker)],
    ['F4', 'our kid on a stranger’s signature', jwt(header, claims, attacker)],
    [
      'F5',
      'a jku that points at a stranger’s keys',
      jwt({ ...header, jku: 'http://127.0.0.1:9/jwks' }, claims, attacker),
    ],
    ['F5', 'an x5u', jwt({ ...header, x5u: 'http://127.0.0.1:9/cert' }, claims, attacker)],
    [
      'F5',
      'a stranger’s key in the header',
      jwt({ ...header, kid: attackerJwk.kid, jwk: attackerJwk }, claims, attacker),
    ],
    ['F6', 'expired 61 s ago', jwt(header, { ...claims, exp: now - 61 })],
    ['F6', 'nbf in the future', jwt(header, { ...claims, nbf: now + 120 })],
    ['F6', 'iat in the future', jwt(header, { ...claims, iat: now + 120, exp: now + 3_600 })],
    ['F6', 'no exp', jwt(header, { ...claims, exp: undefined })],
    ['F6', 'exp as text', jwt(header, { ...claims, exp: String(now + 60) })],
    ['F7', 'another issuer', jwt(header, { ...claims, iss: 'https://evil.example/' })],
    ['F7', 'no issuer', jwt(header, { ...claims, iss: undefined })],
    ['F8', 'another audience', jwt(header, { ...claims, aud: 'other' })],
    ['F8', 'a list of audiences', jwt(header, { ...claims, aud: [audience, 'other'] })],
    ['F8', 'no audience', jwt(header, { ...claims, aud: undefined })],
    ['F9', 'no subject', jwt(header, { ...claims, sub: undefined })],
    ['F9', 'a numeric subject', jwt(header, { ...claims, sub: 7 })],
    ['F9', 'a subject that is no person', jwt(header, { ...claims, sub: globalId('post', user) })],
    ['F10', 'a changed payload', `${h}.${b64({ ...claims, sub: globalId('user', newId()) })}.${s}`],
    ['F11', 'five parts', `${good}.x.y`],
    ['F11', 'two parts', `${h}.${p}`],
    ['F11', 'nothing', ''],
    ['F11', 'Bearer twice', `Bearer ${good}`],
    ['F11', '64 KB', jwt(header, { ...claims, more: 'x'.repeat(65_536) })],
    [
      'F12',
      'a claim that is there twice',
      raw(header, JSON.stringify(claims).replace('{', `{"sub":"${globalId('user', newId())}",`)),
    ],
    ['F14', 'a token of another type', jwt({ ...header, typ: 'rt+jwt' }, claims)],
    ['F14', 'no type', jwt({ alg: header.alg, kid: header.kid }, claims)],
    [
      'F15',
      'ES256 with r = s = 0',
      `${b64({ ...header, alg: 'ES256' })}.${p}.${Buffer.alloc(64).toString('base64url')}`,
    ],
    ['F15', 'ES256 by another key', jwt({ ...header, alg: 'ES256' }, claims, ec.privateKey, 'sha256')],
    ['F15', 'EdDSA with a signature of zeros', `${h}.${p}.${Buffer.alloc(64).toString('base64url')}`],
    ['F16', 'a crit header that nobody knows', jwt({ ...header, crit: ['exp2'], exp2: 1 }, claims)],
    [
      'F17',
      'PBES2 with two billion rounds',
      `${b64({ alg: 'PBES2-HS256+A128KW', enc: 'A128GCM', p2c: 2 ** 31, p2s: 'c2FsdA' })}.AA.AA.AA.AA`,
    ],
  ])('%s: %s is UNAUTHENTICATED', async (_, __, token) => {
    await expect(verifier.verify(token)).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
  });

  it('F17: an encrypted one is not even opened', async () => {
    const encrypted = await new CompactEncrypt(Buffer.alloc(1_000))
      .setProtectedHeader({ alg: 'dir', enc: 'A128GCM' })
      .encrypt(Buffer.alloc(16));
    await expect(verifier.verify(encrypted)).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
  });

  it('is taken within a minute of clock skew', async () => {
    expect(await verifier.verify(jwt(header, { ...claims, exp: now - 59 }))).toEqual({ subject: claims.sub });
  });
});

describe('what stands in a JSON text twice', () => {
  it.each([
    ['{"a":1,"b":{"a":1},"c":["a","a"]}', false],
    ['{"a":":","b":"{\\"b\\":1}"}', false],
    ['{"a":1,"a":1}', true],
    ['{"a":1,"\\u0061":1}', true],
    ['{"a":{"b":1,"b":2}}', true],
  ])('%s: %s', (json, twice) => {
    expect(namesTwice(json)).toBe(twice);
  });
});

describe('keys that are fetched', () => {
  let server: Server;
  let fetched = 0;
  let published: object | undefined;
  let remote: TokenVerifier;
  const url = () => new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks`);
  beforeAll(async () => {
    server = createServer((_, response) => {
      fetched += 1;
      response.statusCode = published ? 200 : 503;
      response.end(JSON.stringify(published ?? {}));
    });
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    remote = new TokenVerifier({ keys: url(), issuer, audience, clock });
  });
  afterAll(() => new Promise((done) => server.close(done)));

  it('are not fetched before a token comes; while they cannot be, that is not the client’s fault', async () => {
    expect(fetched).toBe(0);
    await expect(remote.verify(await tokens.issue(user))).rejects.toMatchObject({ code: 'SUBGRAPH_UNAVAILABLE' });
    expect(fetched).toBe(1);
  });

  it('are fetched once for many tokens at once', async () => {
    published = tokens.jwks();
    const before = fetched;
    const token = await tokens.issue(user);
    await Promise.all(Array.from({ length: 50 }, () => remote.verify(token)));
    expect(fetched).toBe(before + 1);
  });

  it('are not fetched again for every unknown kid', async () => {
    const before = fetched;
    for (let n = 0; n < 20; n += 1) {
      await expect(remote.verify(jwt({ ...header, kid: `k${n}` }, claims, attacker))).rejects.toMatchObject({
        code: 'UNAUTHENTICATED',
      });
    }
    expect(fetched).toBe(before);
  });

  it('stay believed for an hour while the issuer is away, and no longer', async () => {
    published = undefined;
    clockS = now + 3_500;
    expect(await remote.verify(await tokens.issue(user))).toEqual({ subject: claims.sub });
    clockS = now + 3_700;
    await expect(remote.verify(await tokens.issue(user))).rejects.toMatchObject({ code: 'SUBGRAPH_UNAVAILABLE' });
    published = tokens.jwks();
    expect(await remote.verify(await tokens.issue(user))).toEqual({ subject: claims.sub });
  });
});

function b64(value: object | string): string {
  return Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
}

function jwt(head: object, payload: object, by: KeyObject = key.privateKey, hash: string | null = null): string {
  return raw(head, JSON.stringify(payload), by, hash);
}

function raw(head: object, payload: string, by: KeyObject = key.privateKey, hash: string | null = null): string {
  const signed = `${b64(head)}.${b64(payload)}`;
  return `${signed}.${sign(hash, Buffer.from(signed), by.asymmetricKeyType === 'ec' ? { key: by, dsaEncoding: 'ieee-p1363' } : by).toString('base64url')}`;
}

function hs256(secret: Buffer): string {
  const signed = `${b64({ ...header, alg: 'HS256' })}.${b64(claims)}`;
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
}
