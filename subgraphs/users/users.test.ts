import { generateKeyPairSync } from 'node:crypto';
import { AsyncLocalStorage, createHook } from 'node:async_hooks';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { encodeCursor, type Tx } from '#libs/database';
import { TIMEOUT_HEADER } from '#libs/failure';
import {
  ASSERTION_HEADER,
  AssertionSigner,
  globalId,
  newId,
  parseGlobalId,
  TokenVerifier,
  type EndedSessionsPage,
} from '#libs/identity';
import { openStream, recordEvent, type Stream } from '#libs/outbox';
import { openBudgets } from '#libs/rate-limit';
import type { RunningSubgraph } from '#libs/subgraph-kit';
import { createLogger, silent } from '#libs/telemetry';
import { sealer } from '../../test/sealer.js';
import { keepStill } from '../../test/still.js';
import { loadUsers } from './bulk.js';
import { readUsersConfig } from './config.js';
import { EndedSessionsOnce1764547200004 } from './migrations/0005-ended-sessions-once.js';
import { startUsers } from './start.js';
import { Passwords } from './write/passwords.js';
import { UserRow } from './user.entity.js';
import { forgetEndedSessions } from './write/forget-ended-sessions.js';
import { LogIn } from './write/log-in.js';
import { LogOut } from './write/log-out.js';
import { Throttle } from './write/throttle.js';

keepStill();

const secret = 's'.repeat(32);
const password = 'correct horse';
const signer = new AssertionSigner({ secrets: () => secret });

interface Answer {
  data?: Record<string, never> | null;
  errors?: { message: string; path?: (string | number)[]; extensions: { code: string } }[];
}

interface Session {
  token: string;
  user: { id: string; handle: string };
}

/** How many timers `work` has set, whatever else sets some meanwhile. */
async function timersOf<T>(work: () => Promise<T>): Promise<[T, number]> {
  const own = new AsyncLocalStorage<{ timers: number }>();
  const hook = createHook({
    init(_id, type) {
      const counted = type === 'Timeout' ? own.getStore() : undefined;
      if (counted) counted.timers += 1;
    },
  }).enable();
  const counted = { timers: 0 };
  try {
    return [await own.run(counted, work), counted.timers];
  } finally {
    hook.disable();
  }
}

/** One users service in a folder of its own. */
class World {
  folder!: string;
  stream!: Stream;
  users!: RunningSubgraph;

  constructor(
    public env: Record<string, string>,
    private readonly logger = silent,
  ) {}

  async start(): Promise<void> {
    this.folder ??= await mkdtemp(join(tmpdir(), 'tributary-users-'));
    this.stream = openStream({ logger: silent });
    // The relay looks when it is woken; its own looking would be counted among the statements.
    const config = readUsersConfig({
      ASSERTION_SECRET: secret,
      PORT: '0',
      DATA_DIR: this.folder,
      RELAY_POLL_MS: '60000',
      ...this.env,
    });
    this.users = await startUsers(config, { stream: this.stream, logger: this.logger });
  }

  async stop(): Promise<void> {
    await this.users.close();
    await this.stream.close();
  }

  async end(): Promise<void> {
    await this.stop();
    await rm(this.folder, { recursive: true });
  }

  /** `waitsMs`: how long the gateway says that it waits. */
  async ask(viewer: string | null, query: string, variables: object = {}, waitsMs = 3_000): Promise<Answer> {
    const body = JSON.stringify({ query, variables });
    const response = await fetch(this.users.url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        [ASSERTION_HEADER]: signer.sign('users', viewer, { body }),
        [TIMEOUT_HEADER]: String(waitsMs),
      },
      body,
    });
    return (await response.json()) as Answer;
  }

  /** The new person's global id. */
  async signUp(handle: string, more: object = {}): Promise<string> {
    const input = { handle, email: `${handle}@example.org`, password, displayName: handle, ...more };
    return (await this.session(SIGN_UP, { input })).user.id;
  }

  /** What a sign-up or log-in answers. */
  async session(query: string, variables: object): Promise<Session> {
    const answer = await this.ask(null, query, variables);
    const [session] = Object.values(answer.data ?? {}) as (Session | null)[];
    if (!session) throw new Error(JSON.stringify(answer));
    return session;
  }

  /** Statements and cache round trips of some work. */
  async cost(work: () => Promise<unknown>): Promise<{ sql: number; roundTrips: number }> {
    await this.users.settle();
    const { database, cache } = this.users;
    const before = [database.statements, cache.roundTrips] as const;
    await work();
    return { sql: database.statements - before[0], roundTrips: cache.roundTrips - before[1] };
  }

  /** Everything that is stored, as one text. */
  async contents(): Promise<string> {
    const tables = ['users', 'handles', 'outbox'];
    const rows = await Promise.all(
      tables.map((table) =>
        this.users.database.query(`SELECT to_jsonb(t) - 'published_at' AS row FROM ${table} t ORDER BY 1`),
      ),
    );
    return JSON.stringify(rows);
  }
}

const SIGN_UP = 'mutation SignUp($input: SignUpInput!) { signUp(input: $input) { token user { id handle } } }';
const LOG_IN = 'mutation LogIn($input: LogInInput!) { logIn(input: $input) { token user { id handle } } }';
const EDIT =
  'mutation EditProfile($input: EditProfileInput!) { editProfile(input: $input) { id handle displayName bio avatarUrl } }';
const DELETE = 'mutation DeleteAccount($input: DeleteAccountInput!) { deleteAccount(input: $input) { id state } }';
const ME = 'query Me { me { id handle email displayName } }';
const BY_HANDLE =
  'query($handle: String!) { userByHandle(handle: $handle) { id handle displayName bio avatarUrl joinedAt email } }';
const PEOPLE =
  'query People($first: Int = 20, $after: String) { users(first: $first, after: $after) { edges { node { id handle } } pageInfo { endCursor hasNextPage } } }';
const ENTITIES = 'query($r: [_Any!]!) { _entities(representations: $r) { ... on User { id handle displayName } } }';

const users = (ids: readonly unknown[]) => ({ r: ids.map((id) => ({ __typename: 'User', id })) });
const codeOf = (answer: Answer) => answer.errors?.[0]?.extensions.code;

describe('users, with its cache', () => {
  const world = new World({ CACHE: 'on' });
  beforeAll(() => world.start());
  afterAll(() => world.end());

  it('signs people up, and its token is theirs by the keys that it publishes', async () => {
    const input = { handle: 'Alice', email: 'alice@example.org', password, displayName: 'Alice' };
    const { token, user } = await world.session(SIGN_UP, { input });
    expect(user).toEqual({ id: expect.stringMatching(/^user_/), handle: 'alice' });
    const jwks = new URL('/.well-known/jwks.json', world.users.url);
    const verifier = new TokenVerifier({ keys: jwks, issuer: 'tributary', audience: 'tributary' });
    expect(await verifier.verify(token)).toEqual({ subject: user.id });
    expect(await world.ask(user.id, ME)).toEqual({
      data: { me: { id: user.id, handle: 'alice', email: 'alice@example.org', displayName: 'Alice' } },
    });
  });

  it('keeps passwords as argon2id at the published cost, and nothing else of them', async () => {
    const [row] = await world.users.database.query<{ password_hash: string }>(
      'SELECT password_hash FROM users LIMIT 1',
    );
    expect(row?.password_hash).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
    expect(await world.contents()).not.toContain(password);
  });

  it('logs in by handle, however it is written', async () => {
    const { user } = await world.session(LOG_IN, { input: { handle: 'ALICE', password } });
    expect(user.handle).toBe('alice');
  });

  it('gives a handle to one person, also when two want it at once, and asks no e-mail address whether it is known', async () => {
    const same = { email: 'alice@example.org' };
    const outcomes = await Promise.allSettled(['carl', 'carl', 'CARL'].map((handle) => world.signUp(handle, same)));
    expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected', 'rejected']);
    const again = await world.ask(null, SIGN_UP, { input: { ...same, handle: 'carl', password, displayName: 'C' } });
    expect(again).toEqual({
      data: { signUp: null },
      errors: [
        {
          message: 'The handle carl is taken; choose another one.',
          path: ['signUp'],
          extensions: { code: 'CONFLICT' },
        },
      ],
    });
  });

  it('renames: the new handle at once, the old one nobody’s, and its owner’s again on wish', async () => {
    const bob = await world.signUp('bob');
    const dan = await world.signUp('dan');
    const find = async (handle: string) => (await world.ask(null, BY_HANDLE, { handle })).data?.['userByHandle'];
    expect([await find('bob'), await find('robert')]).toEqual([expect.objectContaining({ id: bob }), null]);
    expect(await world.ask(bob, EDIT, { input: { handle: 'Robert', bio: 'née bob' } })).toMatchObject({
      data: { editProfile: { handle: 'robert', bio: 'née bob' } },
    });
    expect([await find('bob'), await find('robert')]).toEqual([
      null,
      expect.objectContaining({ id: bob, bio: 'née bob' }),
    ]);
    expect(codeOf(await world.ask(dan, EDIT, { input: { handle: 'bob' } }))).toBe('CONFLICT');
    await expect(world.signUp('bob')).rejects.toThrow(/CONFLICT/);
    expect(await world.ask(bob, EDIT, { input: { handle: 'bob' } })).toMatchObject({
      data: { editProfile: { handle: 'bob' } },
    });
    expect([await find('bob'), await find('robert')]).toEqual([expect.objectContaining({ id: bob }), null]);
    expect(await world.ask(null, LOG_IN, { input: { handle: 'robert', password } })).toMatchObject({
      data: { logIn: null },
    });
  });

  it('shows an edit to whoever reads next, though everybody had read it before', async () => {
    const frank = await world.signUp('frank');
    const read = async () => (await world.ask(null, ENTITIES, users([frank]))).data?.['_entities'];
    for (const displayName of ['F1', 'F2', 'F3']) {
      await read();
      await world.ask(frank, EDIT, { input: { displayName } });
      expect(await read()).toEqual([{ id: frank, handle: 'frank', displayName }]);
    }
  });

  it('tells the house every change, once, in order, without gaps, and nothing when nothing changed', async () => {
    const gina = await world.signUp('gina');
    await world.ask(gina, EDIT, { input: { displayName: 'G', avatarUrl: 'https://a.example/g.png' } });
    await world.ask(gina, EDIT, { input: { displayName: 'G' } });
    await world.ask(gina, EDIT, { input: {} });
    await world.ask(gina, EDIT, { input: { handle: 'gina2', avatarUrl: null } });
    await world.ask(gina, DELETE, { input: { password } });
    const uuid = parseGlobalId('user', gina);
    const told = await world.users.database.query(
      'SELECT type, aggregate_version AS v, actor, payload FROM outbox WHERE aggregate = $1 ORDER BY position',
      [`user:${uuid}`],
    );
    const by = { userId: uuid };
    expect(told).toEqual([
      { v: 1, type: 'user-registered', actor: uuid, payload: { ...by, handle: 'gina' } },
      { v: 2, type: 'profile-edited', actor: uuid, payload: { ...by, handle: 'gina', previousHandle: 'gina' } },
      { v: 3, type: 'profile-edited', actor: uuid, payload: { ...by, handle: 'gina2', previousHandle: 'gina' } },
      {
        v: 4,
        type: 'account-frozen',
        actor: uuid,
        payload: { ...by, handle: 'gina2', deletionId: expect.any(String), saga: 'orchestrated' },
      },
    ]);
  });

  it('deletes an account for everybody at once, and for good', async () => {
    const hanna = await world.signUp('hanna');
    const seen = async () => ({
      handle: (await world.ask(null, BY_HANDLE, { handle: 'hanna' })).data?.['userByHandle'],
      entity: (await world.ask(null, ENTITIES, users([hanna]))).data?.['_entities'],
      me: (await world.ask(hanna, ME)).data?.['me'],
      listed: JSON.stringify(await world.ask(null, PEOPLE, { first: 100 })).includes(hanna),
    });
    expect(await seen()).toMatchObject({
      handle: { id: hanna },
      entity: [{ id: hanna }],
      me: { id: hanna },
      listed: true,
    });
    expect(codeOf(await world.ask(hanna, DELETE, { input: { password: 'wrong horse' } }))).toBe('FORBIDDEN');
    expect(await world.ask(hanna, DELETE, { input: { password } })).toEqual({
      data: { deleteAccount: { id: expect.stringMatching(/^deletion_/), state: 'RUNNING' } },
    });
    expect(await seen()).toEqual({ handle: null, entity: [null], me: null, listed: false });
    expect(codeOf(await world.ask(hanna, EDIT, { input: { bio: 'still here?' } }))).toBe('ACCOUNT_FROZEN');
    expect(codeOf(await world.ask(hanna, DELETE, { input: { password } }))).toBe('ACCOUNT_FROZEN');
    expect(codeOf(await world.ask(null, LOG_IN, { input: { handle: 'hanna', password } }))).toBe('ACCOUNT_FROZEN');
    // Who does not know the password is told what everybody is told.
    expect(codeOf(await world.ask(null, LOG_IN, { input: { handle: 'hanna', password: 'wrong horse' } }))).toBe(
      'UNAUTHENTICATED',
    );
    await expect(world.signUp('hanna')).rejects.toThrow(/CONFLICT/);
  });

  it('tells nothing by a failed log-in: no such person, a deleted one, a wrong password are one answer for one amount of work', async () => {
    const iris = await world.signUp('iris');
    await world.signUp('jan');
    await world.ask(iris, DELETE, { input: { password } });
    const passwords = new Passwords({ atOnce: 1 });
    const budgets = await openBudgets({ redisUrl: undefined, logger: silent });
    const { database } = world.users;
    /** Counts hashes and what was waited for by the clock, and keeps the way that it went, each statement of it. */
    const workOf = async (handle: string, throttle: Throttle, verify: Passwords['verify']) => {
      const steps: string[] = [];
      const logIn = new LogIn({
        database: {
          query: (sql: string, given?: readonly unknown[]) => (steps.push(sql), database.query(sql, given)),
          transaction: (work) => (steps.push('transaction'), database.transaction(work)),
        } as typeof database,
        passwords: {
          verify: (...asked: Parameters<typeof verify>) => (steps.push('verify'), verify(...asked)),
        } as unknown as Passwords,
        throttle: {
          logIn: (...asked: Parameters<Throttle['logIn']>) => (steps.push('throttle'), throttle.logIn(...asked)),
        } as unknown as Throttle,
      });
      const before = passwords.work;
      const failing = timersOf(() =>
        logIn.run({ handle, password: 'wrong horse' }).catch((error: unknown) => error as Error & { code: string }),
      );
      const [failure, timers] = await failing;
      if (!('code' in failure)) throw new Error('it let us in');
      const { code, message } = failure;
      return { code, message, hashes: passwords.work - before, timers, steps };
    };
    const throttleOf = (name: string) =>
      new Throttle(
        { of: (budget) => budgets.of({ ...budget, name: `${name} ${budget.name}` }), close: () => Promise.resolve() },
        { logInTries: 3, signUpsPerHour: 1, renamesPerDay: 1 },
      );
    const verifies: Passwords['verify'] = (...asked) => passwords.verify(...asked);
    const throttle = throttleOf('ours');
    const attempt = (handle: string) => workOf(handle, throttle, verifies);
    const wrong = await attempt('jan');
    expect(wrong).toMatchObject({ code: 'UNAUTHENTICATED', hashes: 1 });
    expect(wrong.steps).toEqual(['throttle', expect.stringContaining('FROM handles'), 'verify']);
    expect(await attempt('nobody_at_all')).toEqual(wrong);
    expect(await attempt('iris')).toEqual(wrong);
    // Nor does being kept out: who is there and who is not are counted alike, and refused before anybody is looked for. (The first try
    // of each sets two clocks that forget it.)
    const again = { ...wrong, timers: wrong.timers - 2 };
    for (const handle of ['jan', 'nobody_at_all', 'iris'])
      expect([await attempt(handle), await attempt(handle)]).toEqual([again, again]);
    const kept = await attempt('jan');
    expect(kept).toMatchObject({ code: 'RATE_LIMITED', hashes: 0, steps: ['throttle'] });
    expect(await attempt('nobody_at_all')).toMatchObject({ code: 'RATE_LIMITED', hashes: 0, steps: ['throttle'] });
    expect(await attempt('iris')).toMatchObject({ code: 'RATE_LIMITED', hashes: 0, steps: ['throttle'] });
    // The controls: who knows that there is nobody and goes home early, sleeps instead, or as well.
    const nobodys: Record<string, Passwords['verify']> = {
      early: async (kept, ...rest) => kept !== undefined && verifies(kept, ...rest),
      asleep: async (kept, ...rest) => (kept === undefined ? delay(20, false) : verifies(kept, ...rest)),
      both: async (kept, ...rest) => (await verifies(kept, ...rest)) || (kept === undefined && delay(1, false)),
    };
    for (const [name, verify] of Object.entries(nobodys)) {
      const naive = throttleOf(name);
      expect([name, await workOf('jan', naive, verify)]).toEqual([name, wrong]);
      expect([name, await workOf('nobody_at_all', naive, verify)]).not.toEqual([name, wrong]);
    }
  });

  it('begins nothing for a gateway that waits no longer: no hash, no statement', async () => {
    const lone = await world.signUp('lone');
    const asked: readonly (readonly [string, object])[] = [
      [LOG_IN, { input: { handle: 'lone', password } }],
      [SIGN_UP, { input: { handle: 'lone2', email: 'l@example.org', password, displayName: 'l' } }],
      [EDIT, { input: { bio: 'too late' } }],
      [DELETE, { input: { password } }],
      [PEOPLE, { first: 5 }],
      ['{ unreadNotificationCount }', {}],
    ];
    const cost = await world.cost(async () => {
      for (const [query, variables] of asked)
        expect(codeOf(await world.ask(lone, query, variables, 0))).toBe('SUBGRAPH_TIMEOUT');
    });
    expect(cost).toEqual({ sql: 0, roundTrips: 0 });
    expect((await world.ask(lone, ME)).data?.['me']).toMatchObject({ id: lone });
  });

  it('shows an e-mail address to its owner and to nobody else, in any order of reading, and keeps it in no cache', async () => {
    const canary = 'canary-7f3a@example.org';
    const kim = await world.signUp('kim', { email: canary });
    const lea = await world.signUp('lea');
    const query =
      'query($r: [_Any!]!) { me { id } userByHandle(handle: "kim") { id email } _entities(representations: $r) { ... on User { id email } } users(first: 100) { edges { node { email } } } }';
    for (const viewer of [null, lea, kim, lea, null, kim]) {
      const text = JSON.stringify(await world.ask(viewer, query, users([kim, lea])));
      expect({ viewer, shown: text.includes(canary) }).toEqual({ viewer, shown: viewer === kim });
    }
    expect(JSON.stringify(await world.users.database.query('SELECT * FROM outbox'))).not.toContain(canary);
  });

  it('answers for every key: known, unknown, deleted, malformed, twice', async () => {
    const mia = await world.signUp('mia');
    const nora = await world.signUp('nora');
    await world.ask(nora, DELETE, { input: { password } });
    const ids = [mia, globalId('user', newId()), nora, 'user_x', globalId('post', newId()), 7, null, mia];
    const { data, errors } = await world.ask(null, ENTITIES, users(ids));
    const shown = { id: mia, handle: 'mia', displayName: 'mia' };
    expect(data?.['_entities']).toEqual([shown, null, null, null, null, null, null, shown]);
    expect(errors?.map(({ path, extensions }) => [path?.[1], extensions.code])).toEqual(
      [3, 4, 5, 6].map((at) => [at, 'BAD_USER_INPUT']),
    );
  });

  it('reads from the cache when it is warm: no statement, one round trip for each step', async () => {
    const oda = await world.signUp('oda');
    const page = async () => {
      await world.ask(null, BY_HANDLE, { handle: 'oda' });
      await world.ask(oda, ENTITIES, users([oda]));
    };
    await page();
    expect(await world.cost(page)).toEqual({ sql: 0, roundTrips: 3 });
  });

  it('heals when a process dies between COMMIT and its drop: the event drops again', async () => {
    const pia = await world.signUp('pia');
    const id = parseGlobalId('user', pia);
    const name = async () =>
      (await world.ask(null, BY_HANDLE, { handle: 'pia' })).data?.['userByHandle']?.['displayName'];
    await world.users.settle();
    // The first look-up keeps the handle, the second one the person.
    expect([await name(), await name()]).toEqual(['pia', 'pia']);
    // Transactions that nobody in this process hears of. Control: without an event the old name stays.
    const { source } = world.users.database;
    await source.query(`UPDATE users SET display_name = 'P', version = 2 WHERE id = $1`, [id]);
    await world.users.settle();
    expect(await name()).toBe('pia');
    await source.transaction(async (manager) => {
      const query = (text: string, values?: readonly unknown[]) => manager.query(text, [...(values ?? [])]);
      await query(`UPDATE users SET display_name = 'Pia' WHERE id = $1`, [id]);
      const payload = { userId: id, handle: 'pia', previousHandle: 'pia' };
      const event = {
        type: 'profile-edited',
        aggregate: `user:${id}`,
        aggregateVersion: 2,
        actor: id,
        payload,
      } as const;
      await recordEvent({ manager, events: [], query } as unknown as Tx, event);
    });
    await world.users.settle();
    expect(await name()).toBe('Pia');
  });

  describe('log-ins that have ended', () => {
    const rows = async (id: string) => {
      const { database } = world.users;
      const where = 'SELECT session, generation FROM ended_sessions WHERE user_id = $1 ORDER BY session';
      return database.query<{ session: string | null; generation: number | null }>(where, [id]);
    };
    const page = async (query: string): Promise<EndedSessionsPage> => {
      const url = new URL(`/ended-sessions?${query}`, world.users.url);
      const call = { method: 'GET', path: url.pathname + url.search };
      const response = await fetch(url, { headers: { [ASSERTION_HEADER]: signer.sign('users', null, call) } });
      if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
      return (await response.json()) as EndedSessionsPage;
    };
    const told = ({ sessions, people }: EndedSessionsPage) => [
      ...sessions.map(([jti]) => jti),
      ...people.map(([subject, generation]) => `${subject} ${generation}`),
    ];

    it('are one row, however often somebody logs out, and of all of a person the last time', async () => {
      const rita = await world.signUp('rita');
      const id = parseGlobalId('user', rita);
      const logOut = new LogOut({ database: world.users.database, clock: Date.now });
      for (let turn = 0; turn < 1_000; turn += 1) await logOut.run(id, 'r1', false);
      for (let turn = 0; turn < 10; turn += 1) await logOut.run(id, undefined, true);
      await logOut.run(id, 'r2', false);
      expect(await rows(id)).toEqual([
        { session: 'r2', generation: null },
        { session: null, generation: 10 },
      ]);
    });

    it('of one person are a hundred at most: one more ends them all, and they are told', async () => {
      const rufus = await world.signUp('rufus');
      const id = parseGlobalId('user', rufus);
      const logOut = new LogOut({ database: world.users.database, clock: Date.now });
      const told: number[] = [];
      for (let turn = 1; turn <= 350; turn += 1) {
        if (await logOut.run(id, `f${turn}`, false)) told.push(turn);
        // Once more is no other.
        if (turn === 100) expect(await logOut.run(id, 'f1', false)).toBe(false);
        expect((await rows(id)).length).toBeLessThanOrEqual(101);
      }
      expect(told).toEqual([101, 202, 303]);
      expect((await rows(id)).at(-1)).toEqual({ session: null, generation: 3 });
    });

    it('stay until a token that was made with the longest TOKEN_LIFETIME_S has run out, whatever it is now', async () => {
      const rosa = await world.signUp('rosa');
      const { database } = world.users;
      await world.ask(rosa, 'mutation { logOut(everywhere: true) { everywhere } }');
      const out = new LogOut({ database, clock: Date.now });
      // One that says when its token runs out, as those that users makes do.
      const tomorrow = Math.floor(Date.now() / 1_000) + 86_400;
      for (const session of ['r1', `r2_${tomorrow.toString(36)}`, `r3_${(0).toString(36).padStart(6, '0')}`])
        await out.run(parseGlobalId('user', rosa), session, false);
      const kept = await database.query(
        `SELECT left(session, 2) AS session, until > now() + interval '30 days' AS long, until < now() + interval '25 hours' AS short
         FROM ended_sessions WHERE user_id = $1 ORDER BY session`,
        [parseGlobalId('user', rosa)],
      );
      expect(kept).toEqual([
        { session: 'r1', long: true, short: false },
        { session: 'r2', long: false, short: true },
        { session: 'r3', long: true, short: false },
        { session: null, long: true, short: false },
      ]);
    });

    it('are forgotten when their tokens have run out, though nobody logs out, and not before', async () => {
      const id = newId();
      const { database } = world.users;
      const before = new LogOut({ database, clock: () => Date.now() - 31 * 86_400_000 });
      for (const session of ['s1', 's2']) await before.run(id, session, false);
      await new LogOut({ database, clock: Date.now }).run(id, 's3', false);
      expect(await rows(id)).toHaveLength(3);
      await forgetEndedSessions(database);
      expect(await rows(id)).toEqual([{ session: 's3', generation: null }]);
    });

    it('come in pages, which are all of them together; all at once for a gateway that asks for no pages', async () => {
      await world.users.database.query('DELETE FROM ended_sessions');
      await world.users.database.query(
        `INSERT INTO ended_sessions (id, user_id, session, generation, at, until)
         SELECT gen_random_uuid(), gen_random_uuid(), CASE WHEN n % 2 = 0 THEN 's' || n END, CASE WHEN n % 2 = 1 THEN n END,
           now() - n / 100 * interval '1 ms', now() + interval '1 hour' FROM generate_series(1, 10007) n`,
      );
      const whole = await page('since=1');
      expect([told(whole).length, whole.next]).toEqual([10_007, undefined]);
      const first = await page('since=1&limit=1000000');
      const second = await page(`since=1&limit=1000000&after=${first.next}`);
      expect([told(first).length, told(second).length, second.next]).toEqual([10_000, 7, undefined]);
      expect([...told(first), ...told(second)].sort()).toEqual(told(whole).sort());
      await expect(page('limit=10&after=elsewhere')).rejects.toThrow('400');
      await world.users.database.query('DELETE FROM ended_sessions');
    });

    it('of a version before, which told them many times, are once in the next', async () => {
      const runner = world.users.database.source.createQueryRunner();
      const migration = new EndedSessionsOnce1764547200004();
      const [one, other] = [newId(), newId()];
      await runner.startTransaction();
      try {
        await migration.down(runner);
        for (const [user, session, generation, s] of [
          [one, 'a', null, 10],
          [one, 'a', null, 20],
          [one, 'b', null, 10],
          [other, 'a', null, 10],
          [one, null, 1, 30],
          [one, null, 2, 20],
          [other, null, 1, 20],
        ])
          await runner.query(
            `INSERT INTO ended_sessions (id, user_id, session, generation, at, until)
             VALUES (gen_random_uuid(), $1, $2, $3, now(), now() + $4 * interval '1 s')`,
            [user, session, generation, s],
          );
        await migration.up(runner);
        await runner.commitTransaction();
      } finally {
        await runner.release();
      }
      const left = async (id: string) =>
        (await rows(id)).map(({ session, generation }) => session ?? String(generation)).sort();
      expect(await left(one)).toEqual(['2', 'a', 'b']);
      expect(await left(other)).toEqual(['1', 'a']);
    });
  });

  it('gives one person so many new handles in a day; one that they have is none', async () => {
    const rob = await world.signUp('rob');
    const rename = async (handle: string) => codeOf(await world.ask(rob, EDIT, { input: { handle, bio: handle } }));
    for (let turn = 0; turn < 12; turn += 1) expect(await rename('rob')).toBeUndefined();
    const codes: (string | undefined)[] = [];
    for (let turn = 1; turn <= 11; turn += 1) codes.push(await rename(`rob${turn}`));
    expect(codes).toEqual([...Array.from({ length: 10 }, () => undefined), 'RATE_LIMITED']);
    expect(await rename('rob10')).toBeUndefined();
    expect(codeOf(await world.ask(rob, EDIT, { input: { bio: 'still here' } }))).toBeUndefined();
  });

  it('keeps data and keys over a restart: a token stays good', async () => {
    const { token, user } = await world.session(LOG_IN, { input: { handle: 'alice', password } });
    await world.stop();
    await world.start();
    const verifier = new TokenVerifier({
      keys: new URL('/.well-known/jwks.json', world.users.url),
      issuer: 'tributary',
      audience: 'tributary',
    });
    expect(await verifier.verify(token)).toEqual({ subject: user.id });
    expect(await world.ask(user.id, ME)).toMatchObject({ data: { me: { handle: 'alice' } } });
  });
});

describe('another SIGNING_KEY', () => {
  const keyText = () =>
    generateKeyPairSync('ed25519').privateKey.export({ format: 'der', type: 'pkcs8' }).toString('base64');
  const [old, next] = [keyText(), keyText()];
  const world = new World({ SIGNING_KEY: old });
  beforeAll(async () => {
    await world.start();
    await world.signUp('alice');
  }, 180_000);
  afterAll(() => world.end());

  /** A gateway that has looked a moment ago: users are started anew with each of these, and of each a log-in is used. How many were refused? */
  async function refused(steps: readonly (Record<string, string> & { waitS?: string })[]): Promise<number[]> {
    let now = Date.now();
    const verifier = new TokenVerifier({
      keys: new URL('http://users/.well-known/jwks.json'),
      issuer: 'tributary',
      audience: 'tributary',
      // By which it knows how long ago it has looked.
      steady: () => now,
      fetch: (_url, options) => fetch(new URL('/.well-known/jwks.json', world.users.url), options as RequestInit),
    });
    const tokens: string[] = [];
    const counts: number[] = [];
    for (const { waitS = '0', ...env } of steps) {
      await world.stop();
      world.env = env;
      await world.start();
      tokens.push((await world.session(LOG_IN, { input: { handle: 'alice', password } })).token);
      const answers = await Promise.allSettled(tokens.map((token) => verifier.verify(token)));
      counts.push(answers.filter(({ status }) => status === 'rejected').length);
      now += Number(waitS) * 1_000;
    }
    return counts;
  }

  it('refuses no log-in where it is published before it signs; control: where it signs at once', async () => {
    const first = { SIGNING_KEY: old };
    const swapped = { SIGNING_KEY: next, SIGNING_KEY_BEFORE: old };
    expect(await refused([first, { ...first, SIGNING_KEY_NEXT: next, waitS: '60' }, swapped, swapped])).toEqual([
      0, 0, 0, 0,
    ]);
    expect(await refused([first, swapped])).toEqual([0, 1]);
    // Who leaves it standing as the next one has said nothing else.
    expect(await refused([{ ...swapped, SIGNING_KEY_NEXT: next }])).toEqual([0]);
  });
});

describe('users, without a cache', () => {
  const log: string[] = [];
  const world = new World({ CACHE: 'off' }, createLogger('users', 'debug', { write: (line) => void log.push(line) }));
  const crowd = Array.from({ length: 120 }, (_, n) => newId({ now: Date.UTC(2020, 0, 1) + n * 1_000 }));
  let alice: string;
  beforeAll(async () => {
    await world.start();
    await loadUsers(
      world.users.database,
      sealer,
      crowd.map((id, n) => ({
        id,
        handle: `person${n}`,
        displayName: `Person ${n}`,
        bio: '',
        email: `p${n}@example.org`,
        passwordHash: 'none',
        joinedAt: new Date(Date.UTC(2020, 0, 1) + n * 1_000),
      })),
    );
    alice = await world.signUp('alice');
  }, 180_000);
  afterAll(() => world.end());

  it.each([1, 20, 100])('needs three statements for a profile page, with %d people on it', async (count) => {
    const ids = crowd.slice(0, count).map((id) => globalId('user', id));
    const parts = [
      () => world.ask(alice, BY_HANDLE, { handle: 'person1' }),
      () => world.ask(alice, ENTITIES, users(ids)),
      () => world.ask(alice, ENTITIES, users(ids)),
    ];
    for (const part of parts) expect(await world.cost(part)).toEqual({ sql: 1, roundTrips: 0 });
  });

  it('reads nobody for a gateway that waits no longer; control: for one that does it reads', async () => {
    for (const [query, variables] of [
      [BY_HANDLE, { handle: 'person1' }],
      [ENTITIES, users([globalId('user', crowd[0]!)])],
      [ME, {}],
    ] as const) {
      const cost = (waitsMs: number) => world.cost(() => world.ask(alice, query, variables, waitsMs));
      expect([(await cost(0)).sql, (await cost(30_000)).sql > 0]).toEqual([0, true]);
      expect(codeOf(await world.ask(alice, query, variables, 0))).toBe('SUBGRAPH_TIMEOUT');
    }
  });

  it('needs a statement for each when each is asked alone (control)', async () => {
    const ids = crowd.slice(0, 20).map((id) => globalId('user', id));
    expect(await world.cost(() => Promise.all(ids.map((id) => world.ask(alice, ENTITIES, users([id])))))).toEqual({
      sql: 20,
      roundTrips: 0,
    });
  });

  it('walks through everybody in the order they joined, page by page, with one statement each', async () => {
    type Page = { edges: { node: { id: string } }[]; pageInfo: { endCursor: string; hasNextPage: boolean } };
    const seen: string[] = [];
    let after: string | null = null;
    for (let more = true; more;) {
      let page: Page | undefined;
      const variables = { first: 50, after };
      const cost = await world.cost(
        async () => (page = (await world.ask(null, PEOPLE, variables)).data?.['users'] as unknown as Page),
      );
      expect(cost.sql).toBe(1);
      if (page === undefined) throw new Error('no page');
      seen.push(...page.edges.map(({ node }) => node.id));
      after = page.pageInfo.endCursor;
      more = page.pageInfo.hasNextPage;
    }
    expect(seen).toEqual([...crowd.map((id) => globalId('user', id)), alice]);
  });

  it('lets people who came by bulk edit and tell their first event', async () => {
    const [id = ''] = crowd;
    await world.ask(globalId('user', id), EDIT, { input: { displayName: 'First' } });
    const told = await world.users.database.query('SELECT aggregate_version FROM outbox WHERE aggregate = $1', [
      `user:${id}`,
    ]);
    expect(told).toEqual([{ aggregate_version: 1 }]);
  });

  const signUp = (wrong: object) => ({
    query: SIGN_UP,
    variables: { input: { handle: 'zed', email: 'z@example.org', password, displayName: 'Z', ...wrong } },
  });
  const edit = (input: object) => ({ query: EDIT, variables: { input } });
  const people = (variables: object) => ({ query: PEOPLE, variables });
  const long = 'x'.repeat(100_000);
  it.each<[string, { query: string; variables?: object; viewer?: null }, string]>([
    ['sign-up: handle of one character', signUp({ handle: 'z' }), 'BAD_USER_INPUT'],
    ['sign-up: handle of 31 characters', signUp({ handle: 'z'.repeat(31) }), 'BAD_USER_INPUT'],
    ['sign-up: handle that is taken', signUp({ handle: 'alice' }), 'CONFLICT'],
    ['sign-up: handle that is taken, in capitals', signUp({ handle: 'ALICE' }), 'CONFLICT'],
    ['sign-up: homoglyph handle', signUp({ handle: 'аlice' }), 'BAD_USER_INPUT'],
    ['sign-up: reserved handle', signUp({ handle: 'admin' }), 'BAD_USER_INPUT'],
    ['sign-up: SQL as handle', signUp({ handle: "x'; DROP TABLE users; --" }), 'BAD_USER_INPUT'],
    ['sign-up: NUL in handle', signUp({ handle: 'ze\0d' }), 'BAD_USER_INPUT'],
    ['sign-up: password of 7', signUp({ password: '1234567' }), 'BAD_USER_INPUT'],
    ['sign-up: password of 129', signUp({ password: 'p'.repeat(129) }), 'BAD_USER_INPUT'],
    ['sign-up: huge password', signUp({ password: long }), 'BAD_USER_INPUT'],
    ['sign-up: no e-mail address', signUp({ email: 'alice' }), 'BAD_USER_INPUT'],
    ['sign-up: empty name', signUp({ displayName: '' }), 'BAD_USER_INPUT'],
    ['sign-up: zero-width name', signUp({ displayName: '\u200b\u200d' }), 'BAD_USER_INPUT'],
    ['sign-up: name of 65', signUp({ displayName: 'n'.repeat(65) }), 'BAD_USER_INPUT'],
    ['sign-up: name with NUL', signUp({ displayName: 'a\0b' }), 'BAD_USER_INPUT'],
    ['sign-up: name that turns the line around', signUp({ displayName: 'a\u202eb' }), 'BAD_USER_INPUT'],
    ['sign-up: huge name', signUp({ displayName: long }), 'BAD_USER_INPUT'],
    ['sign-up: null for a name', signUp({ displayName: null }), 'BAD_USER_INPUT'],
    ['sign-up: a field that is not there to set', signUp({ id: globalId('user', newId()) }), 'BAD_USER_INPUT'],
    ['sign-up: __proto__', signUp(JSON.parse('{"__proto__":{"admin":true}}') as object), 'BAD_REQUEST'],
    [
      'log-in: wrong password',
      { query: LOG_IN, variables: { input: { handle: 'alice', password: 'wrong horse' } } },
      'UNAUTHENTICATED',
    ],
    [
      'log-in: nobody',
      { query: LOG_IN, variables: { input: { handle: 'nobody_at_all', password } } },
      'UNAUTHENTICATED',
    ],
    [
      'log-in: empty password',
      { query: LOG_IN, variables: { input: { handle: 'alice', password: '' } } },
      'UNAUTHENTICATED',
    ],
    [
      'log-in: huge password',
      { query: LOG_IN, variables: { input: { handle: 'alice', password: long } } },
      'BAD_USER_INPUT',
    ],
    ['log-in: no handle', { query: LOG_IN, variables: { input: { handle: '', password } } }, 'BAD_USER_INPUT'],
    ['edit: nobody logged in', { ...edit({ bio: 'x' }), viewer: null }, 'UNAUTHENTICATED'],
    ['edit: handle that is taken', edit({ handle: 'person1' }), 'CONFLICT'],
    ['edit: reserved handle', edit({ handle: 'root' }), 'BAD_USER_INPUT'],
    ['edit: good name, bad handle', edit({ displayName: 'good', handle: '-' }), 'BAD_USER_INPUT'],
    ['edit: good name, taken handle', edit({ displayName: 'good', handle: 'person2' }), 'CONFLICT'],
    ['edit: null handle', edit({ handle: null }), 'BAD_USER_INPUT'],
    ['edit: null name', edit({ displayName: null }), 'BAD_USER_INPUT'],
    ['edit: bio of 257', edit({ bio: 'b'.repeat(257) }), 'BAD_USER_INPUT'],
    ['edit: half of a surrogate pair', edit({ bio: 'a\ud83d' }), 'BAD_USER_INPUT'],
    ['edit: http avatar', edit({ avatarUrl: 'http://a.example/x.png' }), 'BAD_USER_INPUT'],
    ['edit: script avatar', edit({ avatarUrl: 'javascript:alert(1)' }), 'BAD_USER_INPUT'],
    ['edit: huge avatar', edit({ avatarUrl: `https://a.example/${long}` }), 'BAD_USER_INPUT'],
    ['edit: e-mail address, which cannot be edited', edit({ email: 'x@example.org' }), 'BAD_USER_INPUT'],
    [
      'delete: nobody logged in',
      { query: DELETE, variables: { input: { password } }, viewer: null },
      'UNAUTHENTICATED',
    ],
    ['delete: wrong password', { query: DELETE, variables: { input: { password: 'wrong horse' } } }, 'FORBIDDEN'],
    ['delete: huge password', { query: DELETE, variables: { input: { password: long } } }, 'FORBIDDEN'],
    ['userByHandle: empty', { query: BY_HANDLE, variables: { handle: '' } }, 'BAD_USER_INPUT'],
    ['userByHandle: NUL', { query: BY_HANDLE, variables: { handle: 'ali\0ce' } }, 'BAD_USER_INPUT'],
    ['userByHandle: LIKE wildcards', { query: BY_HANDLE, variables: { handle: '%' } }, 'BAD_USER_INPUT'],
    ['userByHandle: huge', { query: BY_HANDLE, variables: { handle: long } }, 'BAD_USER_INPUT'],
    ['users: first -1', people({ first: -1 }), 'BAD_USER_INPUT'],
    ['users: first 101', people({ first: 101 }), 'BAD_USER_INPUT'],
    ['users: first 1e9', people({ first: 1_000_000_000 }), 'BAD_USER_INPUT'],
    ['users: first 1.5', people({ first: 1.5 }), 'BAD_USER_INPUT'],
    ['users: empty cursor', people({ after: '' }), 'BAD_USER_INPUT'],
    ['users: cursor of nothing', people({ after: 'abc' }), 'BAD_USER_INPUT'],
    ['users: cursor of no id', people({ after: encodeCursor(["' OR 1=1 --"]) }), 'BAD_USER_INPUT'],
    ['users: cursor of two parts', people({ after: encodeCursor([newId(), newId()]) }), 'BAD_USER_INPUT'],
    ['users: tampered cursor', people({ after: `${encodeCursor([newId()])}=` }), 'BAD_USER_INPUT'],
    ['users: cursor of 64 KB', people({ after: 'A'.repeat(65_536) }), 'BAD_USER_INPUT'],
  ])('%s', async (_, { query, variables, viewer }, code) => {
    const before = await world.contents();
    const answer = await world.ask(viewer === null ? null : alice, query, variables);
    expect({ code: codeOf(answer), whole: JSON.stringify(answer).length < 2_000 }).toEqual({ code, whole: true });
    expect(Object.values(answer.data ?? {}).every((value) => value === null)).toBe(true);
    expect(await world.contents()).toBe(before);
  });

  it('takes what the table above refuses when it is right (control)', async () => {
    const before = await world.contents();
    expect((await world.ask(null, signUp({}).query, signUp({}).variables)).errors).toBeUndefined();
    expect(
      (await world.ask(alice, EDIT, { input: { bio: 'b'.repeat(256), displayName: '<script>alert(1)</script>' } }))
        .errors,
    ).toBeUndefined();
    expect((await world.ask(null, PEOPLE, { first: 0 })).data).toEqual({
      users: { edges: [], pageInfo: { endCursor: null, hasNextPage: true } },
    });
    expect(await world.contents()).not.toBe(before);
  });

  it.each([
    ['a column is missing', 'RENAME COLUMN bio TO was_bio', 'RENAME COLUMN was_bio TO bio', '42703'],
    ['a row is refused', 'ADD CONSTRAINT nobody CHECK (version > 1) NOT VALID', 'DROP CONSTRAINT nobody', '23514'],
  ])('logs nothing about people when %s', async (_, breaking, mending, state) => {
    const input = { handle: 'canary', email: 'canary-9b1c@example.org', password, displayName: 'Canary' };
    const { database } = world.users;
    log.length = 0;
    await database.query(`ALTER TABLE users ${breaking}`);
    expect(codeOf(await world.ask(null, SIGN_UP, { input }))).toBe('INTERNAL_SERVER_ERROR');
    await database.query(`ALTER TABLE users ${mending}`);
    const failed = log.map((line) => JSON.parse(line) as { err?: { code: string } }).filter(({ err }) => err);
    expect(failed).toEqual([expect.objectContaining({ err: expect.objectContaining({ code: state }) as unknown })]);
    expect(log.join('')).not.toMatch(/canary|argon2|correct horse/i);
  });

  it.each([undefined, null])(
    'has no way to ask TypeORM for the row of nobody: an id of %s is no condition left out',
    async (id) => {
      const { manager } = world.users.database.source;
      const nobody = { id: id as unknown as string };
      for (const ask of [
        () => manager.findOneBy(UserRow, nobody),
        () => manager.findOne(UserRow, { where: nobody }),
        () => manager.update(UserRow, nobody, { bio: 'everybody’s' }),
        () => manager.delete(UserRow, nobody),
      ])
        await expect(ask()).rejects.toThrow();
      expect(await manager.countBy(UserRow, { bio: 'everybody’s' })).toBe(0);
    },
  );

  it('has migrations that make exactly the tables of its entities', async () => {
    const { upQueries } = await world.users.database.source.driver.createSchemaBuilder().log();
    expect(upQueries.map(({ query }) => query)).toEqual([]);
  });
});
