import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { Redis } from 'ioredis';
import pg from 'pg';
import { ROOT } from '../commands/root.js';
import { provisionServices, type Statements } from '#libs/database';
import { parseGlobalId } from '#libs/identity';
import { parseSealingKeys, sealAnew, Sealer } from '#libs/sealing';
import { EMAIL } from '../subgraphs/users/sealing.js';
import { startChild, type Child } from './deploy/child.js';
import { plainEnvironment } from './deploy/environment.js';
import { sealingKeys } from './sealer.js';
import { withServer } from './servers/needs.js';
import { findPostgres, startPostgres, type PostgresServer } from './servers/postgres.js';
import { startRedis, type RedisServer } from './servers/redis.js';

const SERVICES = ['users', 'posts', 'followers'] as const;
const PEOPLE = 50;
/** In every address and password of these people, and in nothing else of them. */
const MARK = `canary-${randomBytes(8).toString('hex')}`;

interface Somebody {
  readonly handle: string;
  readonly email: string;
  password: string;
  id: string;
  token: string;
}

/** A minute is a moment: for what is done now and then. */
const HURRIED = `--import=data:text/javascript,${encodeURIComponent(
  'const wait = setTimeout; globalThis.setTimeout = (work, ms, ...more) => wait(work, ms === 60_000 ? 200 : ms, ...more);',
)}`;

/** All of Tributary on servers of its own, whose memory and disks are looked through. */
withServer(['postgres', 'redis'], 'addresses, passwords and tokens of fifty people', () => {
  const keys = { one: sealingKeys('one'), two: sealingKeys('two') };
  const people: Somebody[] = Array.from({ length: PEOPLE }, (_, nth) => ({
    handle: `person_${nth}`,
    email: `${MARK}.${nth}@example.org`,
    password: `${MARK} ${nth}`,
    id: '',
    token: '',
  }));
  /** Everything that was ever said to Redis. */
  const toRedis: string[] = [];
  const logs: string[] = [];
  let folder: string;
  let postgres: PostgresServer;
  let redis: RedisServer;
  let client: Redis;
  let monitor: Redis;
  let urls: Record<string, string>;
  let database: pg.Client;
  let env: Record<string, string>;
  let program: Child | undefined;
  let url: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tributary-at-rest-'));
    [postgres, redis] = await Promise.all([startPostgres(), startRedis({ settings: { rdbcompression: 'no' } })]);
    client = new Redis(redis.url);
    monitor = await client.monitor();
    monitor.on('monitor', (_time: string, args: string[]) => void toRedis.push(args.join(' ')));
    const passwords = Object.fromEntries(SERVICES.map((service) => [service, randomBytes(16).toString('hex')]));
    urls = await provisionServices(postgres.url, SERVICES, passwords);
    const { privateKey } = generateKeyPairSync('ed25519');
    env = {
      ...plainEnvironment(),
      ...Object.fromEntries(SERVICES.map((service) => [`${service.toUpperCase()}_DATABASE_URL`, urls[service]!])),
      REDIS_URL: redis.url,
      PORT: '0',
      DATA_DIR: folder,
      ENTITY_CACHE: 'on',
      LOG_LEVEL: 'trace',
      SIGN_UPS_PER_HOUR: '1000',
      LOG_IN_TRIES: '1000',
      ASSERTION_SECRET: randomBytes(32).toString('hex'),
      SIGNING_KEY: privateKey.export({ type: 'pkcs8', format: 'der' }).toString('base64'),
    };
    await start(keys.one);
    database = new pg.Client({ connectionString: urls['users'] });
    await database.connect();
  }, 180_000);
  afterAll(async () => {
    await program?.destroy();
    await database?.end();
    monitor?.disconnect();
    client?.disconnect();
    await Promise.all([postgres?.stop(), redis?.stop()]);
    await rm(folder, { recursive: true, force: true });
  });

  async function start(SEALING_KEYS: string, ...flags: string[]): Promise<void> {
    program = await startChild('start', [process.execPath, ...flags, 'dist/commands/start.js'], {
      cwd: ROOT,
      env: { ...env, SEALING_KEYS },
    });
    await program.said('Ready in', 120_000);
    url = / {2}playground +(http:\S+)/.exec(program.output())![1]!;
  }

  async function end(): Promise<void> {
    if (program === undefined) return;
    expect(await program.end()).toBe(0);
    logs.push(program.output());
  }

  async function ask(query: string, variables: object = {}, headers: Record<string, string> = {}) {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify({ query, variables }),
    });
    return (await response.json()) as {
      data: Record<string, { email?: string | null; token?: string; user?: { id: string } } | null> | null;
      errors?: { path?: unknown[]; extensions: { code: string } }[];
    };
  }

  const me = ({ token }: Somebody) => ask('{ me { handle email } }', {}, { authorization: `Bearer ${token}` });

  /** Everybody's own address, as they are shown it. */
  async function shown(): Promise<unknown[]> {
    const answers: unknown[] = [];
    for (const one of people) answers.push((await me(one)).data?.['me']?.email);
    return answers;
  }

  const addresses = (): string[] => people.map(({ email }) => email);

  async function signUp(one: Somebody, headers: Record<string, string> = {}): Promise<void> {
    const { handle, email, password } = one;
    const input = { handle, email, password, displayName: 'Somebody' };
    const { data } = await ask(SIGN_UP, { input }, headers);
    one.token = data!['signUp']!.token!;
    one.id = data!['signUp']!.user!.id;
  }

  /** Which of them are in it, as they stand or in the digits of bytea: addresses and passwords have the mark in them, tokens one beginning. */
  function finds(bytes: Buffer): string[] {
    const needles = { mark: MARK, token: people[0]!.token.split('.')[0]! };
    return Object.entries(needles).flatMap(([name, needle]) =>
      [needle, Buffer.from(needle).toString('hex')].some((form) => bytes.includes(form)) ? [name] : [],
    );
  }

  const dump = (): Buffer =>
    Buffer.concat(
      SERVICES.map((service) =>
        execFileSync('pg_dump', [urls[service]!], {
          env: { PATH: `${findPostgres()}${delimiter}${process.env['PATH']}` },
          maxBuffer: 256 * 1024 * 1024,
        }),
      ),
    );

  async function asAdmin(statement: string): Promise<void> {
    const { pathname } = new URL(urls['users']!);
    const admin = new pg.Client({ connectionString: Object.assign(new URL(postgres.url), { pathname }).href });
    await admin.connect();
    try {
      await admin.query(statement);
    } finally {
      await admin.end();
    }
  }

  /** Files below a folder of the server in which something is found, once everything is on disk. */
  async function filesWith(below: string): Promise<string[]> {
    await asAdmin('CHECKPOINT');
    const top = join(postgres.dataDir, below);
    return readdirSync(top, { recursive: true, encoding: 'utf8' }).filter((file) => {
      const path = join(top, file);
      return statSync(path).isFile() && finds(readFileSync(path)).length > 0;
    });
  }

  async function rdb(): Promise<Buffer> {
    await client.save();
    const [, dir = ''] = (await client.config('GET', 'dir')) as string[];
    const [, file = ''] = (await client.config('GET', 'dbfilename')) as string[];
    return readFileSync(join(dir, file));
  }

  it('are in no dump, no file and no log of the databases, nor in what Redis was told or has, nor in any log', async () => {
    for (const [nth, one] of people.entries())
      await signUp(one, nth % 2 === 0 ? { 'idempotency-key': `"key ${nth}"` } : {});
    expect(await shown()).toEqual(addresses());
    for (const { handle, password } of people.slice(0, 5)) {
      expect((await ask(LOG_IN, { input: { handle, password } })).errors).toBeUndefined();
      // What is refused is logged, and not with what came.
      expect((await ask(LOG_IN, { input: { handle, password: `${password}!` } })).errors).toHaveLength(1);
      const input = { handle, email: `${MARK}@example.com`, password, displayName: 'Another' };
      expect((await ask(SIGN_UP, { input })).errors).toHaveLength(1);
    }
    const [first, second] = people as [Somebody, Somebody];
    const input = { password: first.password, newPassword: (first.password = `${MARK} new`) };
    const changed = await ask(CHANGE, { input }, { authorization: `Bearer ${first.token}` });
    first.token = changed.data!['changePassword']!.token!;
    await ask('{ me { ', {}, { authorization: `Bearer ${second.token}` });
    expect((await ask('{ users(first: 100) { edges { node { handle } } } }')).errors).toBeUndefined();

    // Each would be found by what is looked for.
    expect(new Set(people.map(({ token }) => token.split('.')[0])).size).toBe(1);
    for (const { email, password } of people)
      expect([email, password].join()).toMatch(new RegExp(`${MARK}.*,.*${MARK}`));
    expect(finds(dump())).toEqual([]);
    // Beside the data lies the server's own log.
    expect(await filesWith('..')).toEqual([]);
    expect(finds(await rdb())).toEqual([]);
    expect(toRedis.length).toBeGreaterThan(PEOPLE);
    expect(finds(Buffer.from(toRedis.join('\n')))).toEqual([]);
    expect(finds(Buffer.from(program!.output()))).toEqual([]);
    const { rows } = await database.query(`SELECT DISTINCT split_part(email, ':', 3) AS key FROM users`);
    expect(rows).toEqual([{ key: 'one' }]);
  }, 180_000);

  it('control: where one is plain each of these finds it; a row of before is read, and when it is sealed only the log of the database has it still', async () => {
    const [{ handle, email, token }] = people as [Somebody];
    await client.mset('control', MARK, 'control of tokens', token);
    expect(finds(await rdb())).toEqual(['mark', 'token']);
    expect(finds(Buffer.from(toRedis.join('\n')))).toEqual(['mark', 'token']);
    await client.del('control', 'control of tokens');

    await database.query('UPDATE users SET email = $2 WHERE handle = $1', [handle, email]);
    // What autovacuum does of itself: PostgreSQL keeps examples of what stands in a column.
    await asAdmin('ANALYZE users');
    expect(finds(dump())).toEqual(['mark']);
    expect(await filesWith('base')).not.toEqual([]);
    expect(await shown()).toEqual(addresses());

    const sealer = new Sealer(parseSealingKeys(keys.one)!);
    expect(await sealAnew(statements, EMAIL, sealer)).toMatchObject({ sealed: 1, left: 0 });
    expect(finds(dump())).toEqual([]);
    expect(await shown()).toEqual(addresses());
    // As docs/running.md says.
    for (const statement of ['VACUUM FULL users', 'ANALYZE users', 'VACUUM FULL pg_statistic'])
      await asAdmin(statement);
    expect(await filesWith('base')).toEqual([]);
    expect(await filesWith('pg_wal')).not.toEqual([]);
  }, 180_000);

  it('are not shown where they were moved to; control: what is plain is', async () => {
    const [one, other] = people.map(({ id }) => (id === '' ? '' : parseGlobalId('user', id))) as [string, string];
    const kept = async (id: string): Promise<string> =>
      ((await database.query('SELECT email FROM users WHERE id = $1', [id])).rows[0] as { email: string }).email;
    const own = await kept(one);
    await database.query('UPDATE users SET email = $2 WHERE id = $1', [one, await kept(other)]);
    const { data, errors } = await me(people[0]!);
    expect([data?.['me']?.email, errors?.map(({ path, extensions }) => [path, extensions.code])]).toEqual([
      null,
      [[['me', 'email'], 'INTERNAL_SERVER_ERROR']],
    ]);
    await program!.said(`users.email of ${one} is not what the key one has sealed for it`);
    await database.query('UPDATE users SET email = $2 WHERE id = $1', [one, people[1]!.email]);
    expect((await me(people[0]!)).data?.['me']?.email).toBe(people[1]!.email);
    await database.query('UPDATE users SET email = $2 WHERE id = $1', [one, own]);
    expect(await shown()).toEqual(addresses());
  }, 180_000);

  it('with a new key are read as before and soon all sealed by it, and the old key can go; control: not before', async () => {
    await end();
    await start(keys.two);
    const { data, errors } = await me(people[0]!);
    expect([data?.['me']?.email, errors?.[0]?.extensions.code]).toEqual([null, 'INTERNAL_SERVER_ERROR']);
    await program!.said('is sealed (version 1) by the key one, which is not here');

    await end();
    await start(`${keys.two},${keys.one}`, HURRIED);
    expect(await shown()).toEqual(addresses());
    const late = { ...people[0]!, handle: 'late', email: `${MARK}.late@example.org` };
    await signUp(late);
    people.push(late);
    // By itself, a minute after its start.
    await program!.said('Sealed by the first key, which they were not');
    const counted = await database.query(
      `SELECT split_part(email, ':', 3) AS key, count(*)::int FROM users WHERE email <> '' GROUP BY 1`,
    );
    expect(counted.rows).toEqual([{ key: 'two', count: PEOPLE + 1 }]);

    await end();
    await start(keys.two);
    expect(await shown()).toEqual(addresses());
    await end();
    expect(finds(dump())).toEqual([]);
    expect(finds(Buffer.from(logs.join('\n')))).toEqual([]);
    for (const key of [keys.one, keys.two]) expect(logs.join('\n')).not.toContain(key.split(':')[1]);
  }, 180_000);

  it.each([
    ['no key', '', 'SEALING_KEYS is required with DATABASE_URL'],
    ['a short one', `one:${randomBytes(31).toString('base64')}`, 'SEALING_KEYS takes id:base64'],
  ])('are not written by a program that has %s: it says so, without it, and starts nothing', async (_, key, says) => {
    const child = await startChild('users', [process.execPath, 'dist/subgraphs/users/main.js'], {
      cwd: ROOT,
      env: { ...env, DATABASE_URL: urls['users'], SEALING_KEYS: key },
    });
    try {
      expect(await child.ended()).toBe(1);
      expect(child.output()).toContain(says);
      if (key !== '') expect(child.output()).not.toContain(key.split(':').at(-1));
    } finally {
      await child.destroy();
    }
  });

  /** As a program of users has them. */
  const statements: Statements = {
    query: async <Row>(text: string, values?: readonly unknown[]) =>
      (await database.query(text, values as unknown[])).rows as Row[],
  };
});

const SIGN_UP = 'mutation($input: SignUpInput!) { signUp(input: $input) { token user { id } } }';
const LOG_IN = 'mutation($input: LogInInput!) { logIn(input: $input) { token user { id } } }';
const CHANGE = 'mutation($input: ChangePasswordInput!) { changePassword(input: $input) { token user { id } } }';
