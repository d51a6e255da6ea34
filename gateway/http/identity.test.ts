import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { buildSchema } from 'graphql';
import { generateKeyPairSync, sign } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request as httpRequest, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Failure } from '#libs/failure';
import {
  AssertionSigner,
  AssertionVerifier,
  globalId,
  newId,
  signingKeyOf,
  TokenIssuer,
  TokenVerifier,
} from '#libs/identity';
import { silent } from '#libs/telemetry';
import { LEAK, startTinyHttp, type TinyHttp } from '../../test/tiny/tiny-http.js';
import { grantsByModule, loadPolicies } from '../authorization/policy-module.js';
import { forwardedHeaders, whyNotForwarded } from './headers.js';
import { tokenIdentity } from './identity.js';

const key = signingKeyOf(generateKeyPairSync('ed25519').privateKey);
const issuer = 'tributary';
const audience = 'tributary';
const tokens = new TokenIssuer({ key, issuer, audience, lifetimeS: 3_600 });
const secret = 's'.repeat(32);
const identity = tokenIdentity({
  verifier: new TokenVerifier({ keys: tokens.jwks(), issuer, audience }),
  signer: new AssertionSigner({ secrets: () => secret }),
});
const alice = newId();

let tiny: TinyHttp;
beforeAll(async () => {
  tiny = await startTinyHttp(
    buildSchema('type Query { me: String }'),
    { me: () => 'me' },
    { identity, forward: ['x-tenant', 'x-list'] },
  );
});
afterAll(() => tiny.close());
beforeEach(() => void (tiny.executed.length = 0));

function send(
  headers: Record<string, string | string[]>,
  to: TinyHttp = tiny,
): Promise<{ status: number; headers: IncomingHttpHeaders; text: string }> {
  return new Promise((resolve, reject) => {
    const outgoing = httpRequest(
      to.url,
      { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, agent: false },
      (incoming) => {
        let text = '';
        incoming.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
        incoming.on('end', () => resolve({ status: incoming.statusCode!, headers: incoming.headers, text }));
      },
    );
    outgoing.on('error', reject);
    outgoing.end('{"query":"{me}"}');
  });
}

const b64 = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
const claims = {
  jti: 'j',
  iss: issuer,
  aud: audience,
  sub: globalId('user', alice),
  iat: Math.floor(Date.now() / 1_000) - 10,
  exp: Math.floor(Date.now() / 1_000) + 600,
};
const head = { alg: 'EdDSA', typ: 'at+jwt', kid: key.publicJwk.kid };
const signed = (header: object, payload: object, by = key.privateKey) => {
  const text = `${b64(header)}.${b64(payload)}`;
  return `${text}.${sign(null, Buffer.from(text), by).toString('base64url')}`;
};
const good = signed(head, claims);

/** What is no token, or a forged one, is in test/attack/f-tokens.ts. */
describe('a token', () => {
  it('says who asks; without one it is nobody', async () => {
    expect((await send({ authorization: `Bearer ${await tokens.issue(alice)}` })).status).toBe(200);
    expect((await send({ authorization: `bearer ${good}` })).status).toBe(200);
    expect((await send({})).status).toBe(200);
    expect(tiny.executed.map(({ context }) => context.subject)).toEqual([
      globalId('user', alice),
      globalId('user', alice),
      null,
    ]);
  });

  it('whose issuer cannot be asked for its keys is not the fault of the client: no 401', async () => {
    const verifier = new TokenVerifier({ keys: new URL('http://127.0.0.1:1/keys'), issuer, audience });
    const lost = await startTinyHttp(
      buildSchema('type Query { me: String }'),
      {},
      { identity: tokenIdentity({ verifier, signer: { sign: () => '' } }) },
    );
    try {
      const { status, text, headers } = await send({ authorization: `Bearer ${good}` }, lost);
      expect([status, headers['retry-after']]).toEqual([502, '1']);
      expect(text).toContain('SUBGRAPH_UNAVAILABLE');
      expect(text).not.toMatch(LEAK);
      expect(lost.executed).toHaveLength(0);
    } finally {
      await lost.close();
    }
  });
});

describe('a log-in that ends', () => {
  it('while the rest of its request is on its way is ended (control: where it goes on, it is answered)', async () => {
    const over = new Set<string>();
    const requireNow = (_subject: string, { jti }: Readonly<Record<string, unknown>>): void => {
      if (over.has(String(jti))) throw new Failure('UNAUTHENTICATED', 'This log-in has ended; log in again.');
    };
    const parts = {
      verifier: new TokenVerifier({ keys: tokens.jwks(), issuer, audience }),
      signer: { sign: () => '' },
      ended: { known: true, require: () => Promise.resolve(), requireNow },
    };
    const slow = await startTinyHttp(
      buildSchema('type Query { me: String }'),
      { me: () => 'me' },
      { identity: tokenIdentity(parts) },
    );
    const answered = (jti: string): Promise<number> =>
      new Promise((resolve, reject) => {
        const headers = {
          'content-type': 'application/json',
          authorization: `Bearer ${signed(head, { ...claims, jti })}`,
        };
        const outgoing = httpRequest(slow.url, { method: 'POST', headers, agent: false }, (incoming) => {
          incoming.resume();
          resolve(incoming.statusCode!);
        });
        outgoing.on('error', reject);
        outgoing.write('{"query":');
        slow.server.once('request', () =>
          setTimeout(() => {
            if (jti === 'ends') over.add(jti);
            outgoing.end('"{me}"}');
          }, 50),
        );
      });
    try {
      expect([await answered('goes on'), await answered('ends')]).toEqual([200, 401]);
    } finally {
      await slow.close();
    }
  });
});

describe('a good token', () => {
  const asking = (token: string) =>
    ({
      headers: { authorization: `Bearer ${token}` },
      rawHeaders: ['authorization', `Bearer ${token}`],
    }) as IncomingMessage;

  it('is checked once in ten seconds, and again when it may have run out', async () => {
    let now = Date.now();
    let checks = 0;
    const verifier = {
      open: () => {
        checks += 1;
        return now > (claims.exp + 60) * 1_000
          ? Promise.reject(new Error('expired'))
          : Promise.resolve({ subject: 'user_1', claims });
      },
    };
    const remembering = tokenIdentity({ verifier, signer: { sign: () => '' }, clock: () => now });
    const other = signed(head, { ...claims, jti: 'other' });
    for (let turn = 0; turn < 100; turn += 1)
      expect(await remembering.bearer(asking(good))).toMatchObject({ subject: 'user_1' });
    expect(checks).toBe(1);
    await remembering.bearer(asking(other));
    expect(checks).toBe(2);
    now += 10_001;
    await remembering.bearer(asking(good));
    expect(checks).toBe(3);
    // Two seconds before its end it is believed for two seconds, and not for ten.
    now = (claims.exp - 2) * 1_000;
    await remembering.bearer(asking(good));
    now += 2_001;
    await remembering.bearer(asking(good));
    expect(checks).toBe(5);
    now = (claims.exp + 61) * 1_000;
    await expect(Promise.resolve(remembering.bearer(asking(good)))).rejects.toThrow('expired');
  });

  it('is known from when it was found good until it is found to be none', async () => {
    let now = Date.now();
    let opens = true;
    const one = tokenIdentity({
      verifier: {
        async open() {
          if (!opens) throw new Failure('UNAUTHENTICATED');
          return { subject: 'a', claims: { exp: now / 1_000 + 60 } };
        },
      },
      signer: { sign: () => '' },
      clock: () => now,
    });
    const asked = { headers: { authorization: 'Bearer t' }, rawHeaders: ['authorization', 'Bearer t'] };
    const request = asked as unknown as IncomingMessage;
    expect(one.knows!(request)).toBe(false);
    await one.bearer(request);
    expect([one.knows!(request), one.knows!({ headers: {} } as IncomingMessage)]).toEqual([true, false]);
    now += 15_000;
    const again = one.bearer(request);
    // Also while it is checked again.
    expect([again instanceof Promise, one.knows!(request)]).toEqual([true, true]);
    await again;
    now += 15_000;
    opens = false;
    await expect(one.bearer(request)).rejects.toThrow();
    expect(one.knows!(request)).toBe(false);
  });

  it('that was set aside is not believed when the clock goes back', async () => {
    let now = Date.now();
    let checks = 0;
    const verifier = { open: () => Promise.resolve({ subject: `user_${(checks += 1)}`, claims }) };
    const remembering = tokenIdentity({ verifier, signer: { sign: () => '' }, clock: () => now });
    await remembering.bearer(asking(good));
    now -= 60_000;
    await remembering.bearer(asking(good));
    expect(checks).toBe(2);
  });
});

describe('what a request may have', () => {
  const granted = async (to: TinyHttp, headers: Record<string, string>, ...policies: string[]) => {
    expect((await send(headers, to)).status).toBe(200);
    const { grants } = to.executed.at(-1)!.context;
    return {
      somebody: grants?.authenticated ?? false,
      scopes: [...(grants?.scopes ?? [])],
      policies: [...((await grants?.policies(policies)) ?? [])],
    };
  };
  const bearing = (more: object) => ({ authorization: `Bearer ${signed(head, { ...claims, ...more })}` });

  it('is what its token says', async () => {
    expect(await granted(tiny, bearing({ scope: 'a b', policies: ['may fly'] }), 'may fly', 'may swim')).toEqual({
      somebody: true,
      scopes: ['a', 'b'],
      policies: ['may fly'],
    });
    expect(await granted(tiny, bearing({}))).toEqual({ somebody: true, scopes: [], policies: [] });
    expect(await granted(tiny, {})).toEqual({ somebody: false, scopes: [], policies: [] });
  });

  it('with a POLICY_MODULE is what that says of the policies', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'policies-'));
    const file = join(folder, 'policies.mjs');
    writeFileSync(
      file,
      `export default ({ policies, subject, claims, headers }) => {
        if (headers['x-mood'] === 'broken') throw new Error('out of order');
        return { [policies[0]]: claims?.kind === 'user' && subject !== null, [policies[1]]: headers['x-tenant'] === 'a', [policies[2]]: 'yes' };
      };`,
    );
    const policies = await loadPolicies(file);
    const asking = await startTinyHttp(
      buildSchema('type Query { me: String }'),
      { me: () => 'me' },
      {
        identity,
        grants: ({ headers }, bearer) =>
          grantsByModule(
            policies,
            bearer?.grants,
            { subject: bearer?.subject ?? null, claims: bearer?.claims ?? null, headers },
            silent,
          ),
      },
    );
    const asked = ['user', 'tenant', 'yes'];
    try {
      const whole = { ...bearing({ kind: 'user', policies: ['yes'] }), 'x-tenant': 'a' };
      expect(await granted(asking, whole, ...asked)).toMatchObject({ policies: ['user', 'tenant'] });
      expect(await granted(asking, { 'x-tenant': 'a' }, ...asked)).toMatchObject({
        somebody: false,
        policies: ['tenant'],
      });
      // A mistake in it opens no door.
      expect(await granted(asking, { ...whole, 'x-mood': 'broken' }, ...asked)).toMatchObject({ policies: [] });
    } finally {
      await asking.close();
      rmSync(folder, { recursive: true });
    }
  });

  it.each(['export const policies = 1;', 'export default ['])(
    'a module that cannot be asked is told at the start',
    async (code) => {
      const folder = mkdtempSync(join(tmpdir(), 'policies-'));
      writeFileSync(join(folder, 'policies.mjs'), code);
      await expect(loadPolicies(join(folder, 'policies.mjs'))).rejects.toThrow('POLICY_MODULE takes a module');
      rmSync(folder, { recursive: true });
    },
  );
});

describe('an assertion', () => {
  it('says to one subgraph, and to no other, who asks', () => {
    const assertion = identity.assertion('posts', globalId('user', alice), { body: '{}' });
    const verifierOf = (subgraph: string) => new AssertionVerifier({ subgraph, secret });
    expect(verifierOf('posts').take(assertion)).toMatchObject({ subject: globalId('user', alice) });
    expect(() => verifierOf('users').take(assertion)).toThrow();
    expect(verifierOf('posts').take(identity.assertion('posts', null, {}))).toMatchObject({ subject: null });
  });
});

describe('client headers', () => {
  const reached = async (headers: Record<string, string | string[]>) => {
    await send(headers);
    return Object.fromEntries(tiny.executed.at(-1)!.context.headers);
  };

  it('reach subgraphs only when FORWARD_HEADERS names them', async () => {
    expect(await reached({ 'x-tenant': 'a', 'x-other': 'b', cookie: 'c=d' })).toEqual({ 'x-tenant': 'a' });
  });

  it.each<[string, Record<string, string | string[]>]>([
    ['E1 x-user-id', { 'x-user-id': '2' }],
    ['E2 other spellings', { X_User_Id: '2', 'X-USER-ID': '3' }],
    ['E2 twice', { 'x-user-id': ['1', '2'] }],
    ['E3 x-gateway-secret', { 'x-gateway-secret': 'guess', 'router-authorization': 'guess' }],
    ['our own', { 'tributary-assertion': 'forged', Tributary_Assertion: 'forged' }],
    ['E4 x-forwarded-for', { 'x-forwarded-for': '10.0.0.1' }],
  ])('%s never do', async (_row, headers) => {
    expect(await reached({ ...headers, authorization: `Bearer ${good}` })).toEqual({});
    expect(tiny.executed.at(-1)!.context.subject).toBe(globalId('user', alice));
  });

  it('E5 what Connection lists is for the gateway alone', () => {
    const given = { connection: 'close, X-Tenant', 'x-tenant': 'a', 'x-list': 'b' };
    expect([...forwardedHeaders(given, ['x-tenant', 'x-list'])]).toEqual([['x-list', 'b']]);
  });

  it.each([
    'tributary-assertion',
    'Tributary_Assertion',
    'x-user-id',
    'X_User_Id',
    'connection',
    'host',
    'content-length',
    'transfer-encoding',
    'x-request-id',
    'bad name',
    'authorization',
  ])('the settings cannot name %s', (name) => expect(whyNotForwarded(name, 'jwt')).toEqual(expect.any(String)));

  it('with IDENTITY=off a token may be passed on as it is', () => {
    expect(whyNotForwarded('authorization', 'off')).toBeUndefined();
  });
});
