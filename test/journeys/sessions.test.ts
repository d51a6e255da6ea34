import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { hashSync } from '@node-rs/argon2';
import { SignJWT } from 'jose';
import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { readGatewayConfig } from '../../gateway/config.js';
import { startGateway, type RunningGateway } from '../../gateway/start.js';
import { silent, type Logger } from '#libs/telemetry';
import { gatewayEnvironment } from '../../commands/everything.js';
import { secretsFrom } from '../../commands/databases.js';
import { alice, PASSWORD } from '../people.js';
import { askAt, startWorld, type Person, type World } from '../world.js';

const MASTER = 'm'.repeat(64);
const ME = '{me{handle}}';

/** Two gateways before one graph, and what becomes of tokens that were good a moment ago. */
let world: World;
let second: RunningGateway;
let naive: RunningGateway;
beforeAll(async () => {
  const env = { ASSERTION_SECRET: MASTER, ENDED_SESSIONS_POLL_MS: '100' };
  world = await startWorld(env);
  const own = gatewayEnvironment({ ...env, PORT: '0' }, '', secretsFrom(MASTER), world.subgraphs);
  const start = async (more: Record<string, string>) => {
    const gateway = await startGateway(readGatewayConfig({ ...own, ...more }), { logger: silent });
    await gateway.ready();
    return gateway;
  };
  second = await start({});
  // The control: nobody tells it.
  naive = await start({ ENDED_SESSIONS_URL: '' });
}, 120_000);
afterAll(async () => {
  await second.close();
  await naive.close();
  await world.close();
});

const asked = async (url: string, token: string): Promise<string> => {
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${token}` };
  const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify({ query: ME }) });
  const { data, errors } = (await response.json()) as {
    data?: { me: { handle: string } | null };
    errors?: { extensions: { code: string } }[];
  };
  return errors?.[0]?.extensions.code ?? data?.me?.handle ?? 'nobody';
};
const everywhere = (token: string) => Promise.all([world.gateway.url, second.url].map((url) => asked(url, token)));
const until = async (token: string, all: string): Promise<void> => {
  while ((await everywhere(token)).some((one) => one !== all)) await new Promise((go) => setTimeout(go, 20));
};
const logIn = async (handle: string, password = PASSWORD): Promise<string> => {
  const answer = await world.ask('mutation($i:LogInInput!){logIn(input:$i){token}}', { i: { handle, password } });
  const session = answer.data?.['logIn'] as { token: string } | null;
  if (!session) throw new Error(answer.text);
  return session.token;
};
const as = (token: string, query: string, variables: object = {}) =>
  world.ask(query, variables as Record<string, unknown>, { authorization: `Bearer ${token}` });

describe('a token of another issuer', () => {
  it('whose subject is no user here is told UNAUTHENTICATED in each field, reads and writes, and is no line of the log', async () => {
    const { privateKey, publicKey } = generateKeyPairSync('ed25519');
    const keys = createServer((_, response) =>
      response.end(JSON.stringify({ keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'one' }] })),
    );
    await new Promise<void>((listening) => keys.listen(0, '127.0.0.1', listening));
    const said: string[] = [];
    const line = (_: object, text: string) => void said.push(text);
    const logger = { ...silent, warn: line, error: line } as Logger;
    const { port } = keys.address() as AddressInfo;
    const own = gatewayEnvironment({ PORT: '0' }, '', secretsFrom(MASTER), world.subgraphs);
    const gateway = await startGateway(
      readGatewayConfig({
        ...own,
        JWKS_URL: `http://127.0.0.1:${port}/keys`,
        TOKEN_ISSUER: 'https://login.example/',
        TOKEN_TYPE: 'JWT',
        ENDED_SESSIONS_URL: '',
      }),
      { logger },
    );
    try {
      await gateway.ready();
      said.length = 0;
      const token = await new SignJWT({})
        .setProtectedHeader({ alg: 'EdDSA', kid: 'one' })
        .setIssuer('https://login.example/')
        .setAudience('tributary')
        .setSubject('auth0|123')
        .setIssuedAt()
        .setExpirationTime('5m')
        .sign(privateKey);
      const authorization = `Bearer ${token}`;
      const asks = [ME, '{me{handle}homeTimeline{edges{node{id}}}}', 'mutation{publishPost(input:{body:"x"}){id}}'];
      for (const query of asks) {
        const { status, errors } = await askAt(gateway.url, query, {}, { authorization });
        expect([query, status, [...new Set(errors.map(({ extensions }) => extensions.code))]]).toEqual([
          query,
          200,
          ['UNAUTHENTICATED'],
        ]);
      }
      expect(said).toEqual([]);
    } finally {
      await gateway.close();
      keys.close();
    }
  });
});

describe('a log-in', () => {
  let person: Person;
  beforeAll(async () => {
    person = await world.signUp(alice);
  });

  it('ends by logging out, at every gateway, and the others of the same person go on (control: a gateway that is not told)', async () => {
    const [one, other] = [await logIn('alice'), await logIn('alice')];
    expect(await everywhere(one)).toEqual(['alice', 'alice']);
    expect((await as(one, 'mutation{logOut{everywhere}}')).data).toEqual({ logOut: { everywhere: false } });
    await until(one, 'UNAUTHENTICATED');
    expect(await everywhere(other)).toEqual(['alice', 'alice']);
    expect(await asked(naive.url, one)).toBe('alice');
  });

  it('ends everywhere with all others, and the next one is good', async () => {
    const [one, other] = [await logIn('alice'), await logIn('alice')];
    expect((await as(one, 'mutation{logOut(everywhere:true){everywhere}}')).data).toEqual({
      logOut: { everywhere: true },
    });
    await until(one, 'UNAUTHENTICATED');
    await until(other, 'UNAUTHENTICATED');
    await until(person.token, 'UNAUTHENTICATED');
    expect(await everywhere(await logIn('alice'))).toEqual(['alice', 'alice']);
  });

  it('ends when the password is another one, also one that was begun with the old one at the same moment; the answer’s is good', async () => {
    const CHANGE = 'mutation($i:ChangePasswordInput!){changePassword(input:$i){token user{handle}}}';
    const old = await logIn('alice');
    const wrong = await as(old, CHANGE, { i: { password: 'wrong horse', newPassword: 'another one' } });
    expect(wrong.errors[0]?.extensions.code).toBe('FORBIDDEN');
    const short = await as(old, CHANGE, { i: { password: PASSWORD, newPassword: 'short' } });
    expect(short.errors[0]).toMatchObject({ message: 'newPassword takes 8 to 128 characters' });
    const [changed, ...begun] = await Promise.all([
      as(old, CHANGE, { i: { password: PASSWORD, newPassword: 'another one' } }),
      ...Array.from({ length: 8 }, () => logIn('alice').catch(() => undefined)),
    ]);
    const { token, user } = changed.data!['changePassword'] as { token: string; user: { handle: string } };
    expect(user.handle).toBe('alice');
    for (const stolen of [old, ...begun]) if (stolen !== undefined) await until(stolen, 'UNAUTHENTICATED');
    expect(await everywhere(token)).toEqual(['alice', 'alice']);
    expect(await everywhere(await logIn('alice', 'another one'))).toEqual(['alice', 'alice']);
    await expect(logIn('alice')).rejects.toThrow('UNAUTHENTICATED');
  });

  it('that is nobody’s cannot be ended', async () => {
    const answer = await world.ask('mutation{logOut{everywhere}}');
    expect(answer.errors[0]?.extensions.code).toBe('UNAUTHENTICATED');
  });

  it('which ones have ended is for gateways alone', async () => {
    const response = await fetch(new URL('/ended-sessions', world.users.url));
    expect([response.status, await response.json()]).toMatchObject([
      401,
      { errors: [{ extensions: { code: 'UNAUTHENTICATED' } }] },
    ]);
  });
});

describe('two hundred log-ins at once, of forty addresses', () => {
  /** Who only reads is kept by no more of them; counted in passwords, for a busy machine hashes as slowly as it reads. */
  const FELT = 10;
  let hashed = 0;
  /** How many passwords were hashed while somebody read. */
  const readOf = (asked: Pick<World, 'ask'>) => async (): Promise<number> => {
    const before = hashed;
    expect((await asked.ask('{users(first:5){edges{node{handle}}}}')).errors).toEqual([]);
    return hashed - before;
  };

  it('are not felt by those who only read (control: were they hashed on the event loop)', async () => {
    const crowd = await startWorld({ TRUSTED_PROXIES: '1' });
    const read = readOf(crowd);
    let under = 200;
    const attempt = async (nth: number) => {
      const wrong = { handle: `nobody_${nth}`, password: 'wrong horse' };
      const { errors } = await crowd.ask('mutation($i:LogInInput!){logIn(input:$i){token}}', { i: wrong }, from(nth));
      under -= 1;
      const code = errors[0]?.extensions.code;
      if (code === 'UNAUTHENTICATED') hashed += 1;
      return code;
    };
    const from = (nth: number) => ({ 'x-forwarded-for': `10.9.0.${nth % 40}` });
    const felt: number[] = [];
    try {
      const logIns = Array.from({ length: under }, (_, nth) => attempt(nth));
      while (under > 0) felt.push(await read());
      const codes = await Promise.all(logIns);
      // Each is heard or told to come back, none too late.
      expect(new Set(codes)).toEqual(new Set(['UNAUTHENTICATED', 'OVERLOADED']));
      expect(codes.filter((code) => code === 'UNAUTHENTICATED').length).toBeGreaterThanOrEqual(25);
    } finally {
      await crowd.close();
    }
    expect(felt.length).toBeGreaterThan(5);
    // The first one stands behind two hundred requests that this process sends and reads as well.
    expect(Math.max(...felt.slice(1))).toBeLessThanOrEqual(FELT);

    const naive = readOf(world)();
    for (let nth = 0; nth < 25; nth += 1, hashed += 1) hashSync('wrong horse');
    expect(await naive).toBe(25);
  });
});

describe('tries', () => {
  let strict: World;
  beforeAll(async () => {
    strict = await startWorld({ LOG_IN_TRIES: '3', SIGN_UPS_PER_HOUR: '2' });
  }, 120_000);
  afterAll(() => strict.close());

  it('to sign up are counted for each client', async () => {
    await strict.signUp({ ...alice, handle: 'carla' });
    await strict.signUp({ ...alice, handle: 'second' });
    await expect(strict.signUp({ ...alice, handle: 'third' })).rejects.toThrow('RATE_LIMITED');
  });

  it('of one password are counted for handles that are there and for those that are not, and refused alike', async () => {
    const attempt = async (handle: string, password = 'wrong horse') => {
      const { data, errors, status } = await strict.ask('mutation($i:LogInInput!){logIn(input:$i){token}}', {
        i: { handle, password },
      });
      return { status, data, code: errors[0]?.extensions.code, message: errors[0]?.message };
    };
    const seen = async (handle: string) => {
      const answers: Awaited<ReturnType<typeof attempt>>[] = [];
      for (let turn = 0; turn < 4; turn += 1) answers.push(await attempt(handle));
      return answers;
    };
    const [known, unknown] = [await seen('carla'), await seen('nobody_here')];
    expect(known).toEqual(unknown);
    expect(known.map(({ code }) => code)).toEqual([
      'UNAUTHENTICATED',
      'UNAUTHENTICATED',
      'UNAUTHENTICATED',
      'RATE_LIMITED',
    ]);
    // Also the right one: else it could be told from the others.
    expect((await attempt('carla', PASSWORD)).code).toBe('RATE_LIMITED');
  });
});
