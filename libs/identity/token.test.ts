import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { CompactEncrypt, decodeJwt } from 'jose';
import { expiryOf, globalId, newId, SESSION, signingKeyOf, TokenIssuer, TokenVerifier } from './index.js';
import { forgedTokens, rawJwt } from '../../test/attack/forged-tokens.js';
import { namesTwice } from './token.js';

const now = Date.UTC(2026, 10, 20) / 1_000;
let clockS = now;
const clock = () => clockS * 1_000;
const issuer = 'https://tributary.example/';
const audience = 'tributary';
const key = signingKeyOf(generateKeyPairSync('ed25519').privateKey);
const attacker = generateKeyPairSync('ed25519').privateKey;
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
    const { jti } = decodeJwt(token);
    expect(jti).not.toBe(decodeJwt(await tokens.issue(user)).jti);
    // Whoever is told to end it, by its name alone, knows for how long.
    expect([expiryOf(String(jti)), SESSION.test(String(jti)), expiryOf(newId())]).toEqual([
      now + 3_600,
      true,
      undefined,
    ]);
  });

  it('made by hand as below is taken, so what follows is refused for the one thing it says', async () => {
    expect(await verifier.verify(jwt(header, claims))).toEqual({ subject: claims.sub });
  });

  const { good, forged } = forgedTokens({
    key: key.privateKey,
    publicX: String(key.publicJwk.x),
    kid: key.publicJwk.kid,
    issuer,
    audience,
    now,
  });

  it('that all others differ from is good (control)', async () => {
    expect(await verifier.verify(good)).toEqual({ subject: decodeJwt(good).sub });
  });

  it.each([
    ...forged,
    ['F11', 'nothing', ''],
    ['F11', 'Bearer twice', `Bearer ${good}`],
    ['F11', '64 KB', jwt(header, { ...claims, more: 'x'.repeat(65_536) })],
  ])('%s: %s is UNAUTHENTICATED', async (_, __, token) => {
    await expect(verifier.verify(token)).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
  });

  it('F17: an encrypted one is not even opened', async () => {
    const encrypted = await new CompactEncrypt(Buffer.alloc(1_000))
      .setProtectedHeader({ alg: 'dir', enc: 'A128GCM' })
      .encrypt(Buffer.alloc(16));
    await expect(verifier.verify(encrypted)).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
  });

  it('is not from the future where only the clock was set back (control: by the clock alone it is refused)', async () => {
    const setBack = { keys: tokens.jwks(), issuer, audience, clock: () => clock() - 300_000 };
    const token = await tokens.issue(user);
    expect(await new TokenVerifier({ ...setBack, steady: clock }).verify(token)).toEqual({ subject: claims.sub });
    await expect(new TokenVerifier(setBack).verify(token)).rejects.toThrow('The token is not valid');
  });

  it('is taken within a minute of clock skew', async () => {
    expect(await verifier.verify(jwt(header, { ...claims, exp: now - 59 }))).toEqual({ subject: claims.sub });
    expect(await verifier.verify(jwt(header, { ...claims, nbf: now + 59, iat: now + 59 }))).toEqual({
      subject: claims.sub,
    });
    for (const beyond of [{ exp: now - 61 }, { nbf: now + 61 }, { iat: now + 61 }])
      await expect(verifier.verify(jwt(header, { ...claims, ...beyond }))).rejects.toThrow('The token is not valid');
  });
});

describe('another key (F18)', () => {
  it('signs from now on; what the one before has signed is good for as long as both are published', async () => {
    const next = signingKeyOf(generateKeyPairSync('ed25519').privateKey);
    const parts = { issuer, audience, lifetimeS: 3_600, clock };
    const both = new TokenIssuer({ ...parts, key: next, beside: [key] });
    const [old, fresh] = [await tokens.issue(user), await both.issue(user)];
    const during = new TokenVerifier({ keys: both.jwks(), issuer, audience, clock });
    expect([await during.verify(old), await during.verify(fresh)]).toEqual([
      { subject: globalId('user', user) },
      { subject: globalId('user', user) },
    ]);
    const after = new TokenVerifier({ keys: new TokenIssuer({ ...parts, key: next }).jwks(), issuer, audience, clock });
    await expect(after.verify(old)).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
    expect(await after.verify(fresh)).toEqual({ subject: globalId('user', user) });
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
  /** Who is kept waiting for an answer. */
  let held: ServerResponse[] | undefined;
  let remote: TokenVerifier;
  const url = () => new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks`);
  beforeAll(async () => {
    server = createServer((_, response) => {
      fetched += 1;
      if (held) return void held.push(response);
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

  const next = signingKeyOf(generateKeyPairSync('ed25519').privateKey);
  const parts = { issuer, audience, lifetimeS: 3_600, clock };
  const both = new TokenIssuer({ ...parts, key: next, beside: [key] });

  it('F18: one that is new is known half a minute after the last look, at the latest', async () => {
    published = both.jwks();
    const fresh = await both.issue(user);
    await expect(remote.verify(fresh)).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
    clockS += 31;
    const before = fetched;
    const verified = await Promise.all(Array.from({ length: 50 }, () => remote.verify(fresh)));
    expect(new Set(verified.map(({ subject }) => subject))).toEqual(new Set([claims.sub]));
    expect(fetched).toBe(before + 1);
    expect(await remote.verify(await tokens.issue(user))).toEqual({ subject: claims.sub });
  });

  it('F18: one that is withdrawn is believed for ten minutes at the longest, also where nobody has asked meanwhile', async () => {
    published = new TokenIssuer({ ...parts, key: next }).jwks();
    const stolen = await tokens.issue(user);
    clockS += 299;
    expect(await remote.verify(stolen)).toEqual({ subject: claims.sub });
    clockS += 302;
    const before = fetched;
    const answers = await Promise.allSettled(Array.from({ length: 50 }, () => remote.verify(stolen)));
    expect(answers.filter(({ status }) => status === 'fulfilled')).toEqual([]);
    await expect(remote.verify(stolen)).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
    expect(fetched).toBe(before + 1);
    expect(await remote.verify(await both.issue(user))).toEqual({ subject: claims.sub });
  });

  it('are renewed behind the requests’ backs where tokens come all the time', async () => {
    published = both.jwks();
    clockS += 301;
    held = [];
    const fresh = await both.issue(user);
    expect(await remote.verify(fresh)).toEqual({ subject: claims.sub });
    await until(() => held?.length === 1);
    for (const response of held.splice(0)) response.end(JSON.stringify(published));
    held = undefined;
    // That answer was waited for by nobody; when it is there, the other key is known again.
    await until(async () => (await remote.verify(await tokens.issue(user)).catch(() => undefined)) !== undefined);
  });

  it('keep nobody waiting while the issuer is away, but who finds out', async () => {
    published = undefined;
    clockS += 601;
    const token = await both.issue(user);
    const before = fetched;
    expect(await remote.verify(token)).toEqual({ subject: claims.sub });
    expect(fetched).toBe(before + 1);
    held = [];
    clockS += 3;
    for (let n = 0; n < 3; n += 1) expect(await remote.verify(token)).toEqual({ subject: claims.sub });
    await until(() => fetched === before + 2);
    // A key that we do not know may be one that we could not hear of: that is not the client’s fault.
    const another = signingKeyOf(generateKeyPairSync('ed25519').privateKey);
    const unheard = await new TokenIssuer({ ...parts, key: another }).issue(user);
    const waits = remote.verify(unheard);
    for (const response of held.splice(0)) response.writeHead(503).end();
    await expect(waits).rejects.toMatchObject({ code: 'SUBGRAPH_UNAVAILABLE' });
    await expect(remote.verify(unheard)).rejects.toMatchObject({ code: 'SUBGRAPH_UNAVAILABLE' });
    expect(fetched).toBe(before + 2);
    // It is back, with that key: who has just logged in is not refused for half a minute.
    held = undefined;
    published = new TokenIssuer({ ...parts, key: another, beside: [next] }).jwks();
    clockS += 3;
    expect(await remote.verify(unheard)).toEqual({ subject: claims.sub });
  });
});

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((go) => setTimeout(go, 5));
}

function jwt(head: object, payload: object, by: KeyObject = key.privateKey): string {
  return rawJwt(head, JSON.stringify(payload), by);
}
