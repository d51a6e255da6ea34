import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { openDatabase, type Database, type Statements } from '#libs/database';
import { newId } from '#libs/identity';
import { recordEvent } from '#libs/outbox';
import { openBudgets } from '#libs/rate-limit';
import { silent } from '#libs/telemetry';
import { sealer } from '../../../test/sealer.js';
import { withServer } from '../../../test/servers/needs.js';
import { emailsOf, peopleAfter, peopleByHandles, peopleByIds } from '../read/user.queries.js';
import { UserRow } from '../user.entity.js';
import { usersTables } from '../users.tables.js';
import { DeleteAccount } from './delete-account.js';
import { EditProfile } from './edit-profile.js';
import { LogIn } from './log-in.js';
import { Passwords } from './passwords.js';
import { SignUp } from './sign-up.js';
import { Throttle } from './throttle.js';

const password = 'correct horse';

const clock = Date.now;
const passwords = new Passwords({ atOnce: 2 });
const throttle = new Throttle(await openBudgets({ redisUrl: undefined, logger: silent }), {
  logInTries: 1_000,
  signUpsPerHour: 1_000,
  renamesPerDay: 1_000,
});
let database: Database;
let signUp: SignUp;
let edit: EditProfile;

describe('many writers at once, on the embedded database', () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'tributary-users-'));
  beforeAll(async () => use(await openDatabase({ service: 'users', dataDir, ...usersTables })));
  afterAll(async () => {
    await database.close();
    rmSync(dataDir, { recursive: true });
  });
  writers();
});

withServer('postgres', 'many writers at once, on PostgreSQL', (adminUrl) => {
  const name = `users_${newId().replaceAll('-', '')}`;
  beforeAll(async () => {
    await asAdmin(`CREATE DATABASE ${name}`);
    const url = new URL(adminUrl);
    url.pathname = `/${name}`;
    use(await openDatabase({ service: 'users', url: url.href, ...usersTables, poolMax: 12 }));
  });
  afterAll(async () => {
    await database.close();
    await asAdmin(`DROP DATABASE ${name} WITH (FORCE)`);
  });
  writers();

  it('without the lock they do not: two tell the same version, and the index of the outbox refuses one (control)', async () => {
    const { id } = await person('naive');
    const naive = (displayName: string) =>
      database.transaction(async (tx) => {
        const row = await tx.manager.findOneByOrFail(UserRow, { id });
        await tx.manager.update(UserRow, { id }, { displayName, version: row.version + 1 });
        const payload = { userId: id, handle: row.handle, previousHandle: row.handle };
        await recordEvent(tx, {
          type: 'profile-edited',
          aggregate: `user:${id}`,
          aggregateVersion: row.version + 1,
          actor: id,
          payload,
        });
      });
    const outcomes = await Promise.allSettled(Array.from({ length: 12 }, (_, n) => naive(`n${n}`)));
    expect(outcomes.some(({ status }) => status === 'rejected')).toBe(true);
  });

  it('a page and a look-up touch the rows they show, not the table', async () => {
    await database.query(
      `WITH crowd AS (SELECT gen_random_uuid() AS id, 'crowd' || n AS handle FROM generate_series(1, 20000) AS n),
         held AS (INSERT INTO handles SELECT handle, id FROM crowd)
       INSERT INTO users (id, handle, display_name, email, password_hash, joined_at, version)
       SELECT id, handle, handle, 'x@example.org', 'none', now(), 0 FROM crowd`,
    );
    await database.query('ANALYZE users, handles');
    const plans: string[] = [];
    const explained: Statements = {
      async query(text, values) {
        plans.push(JSON.stringify(await database.query(`EXPLAIN ${text}`, values)));
        return [];
      },
    };
    await peopleByIds(explained, [newId(), newId()]);
    await peopleByHandles(explained, ['crowd7', 'crowd8']);
    await peopleAfter(explained, undefined, 21);
    await emailsOf(explained, sealer, [newId()]);
    await new LogIn({ database: explained as Database, passwords, throttle })
      .run({ handle: 'crowd7', password })
      .catch(() => undefined);
    expect(plans).toHaveLength(5);
    for (const plan of plans) expect(plan).not.toMatch(/Seq Scan|Sort/);
  });

  async function asAdmin(statement: string): Promise<void> {
    const client = new pg.Client({ connectionString: adminUrl });
    await client.connect();
    try {
      await client.query(statement);
    } finally {
      await client.end();
    }
  }
});

function writers(): void {
  it('one of twenty gets the handle that all want, and nothing is left of the others', async () => {
    const outcomes = await Promise.allSettled(Array.from({ length: 20 }, () => person('wanted')));
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    expect(await database.query(`SELECT count(*)::int AS people FROM users WHERE handle = 'wanted'`)).toEqual([
      { people: 1 },
    ]);
    expect(await database.query('SELECT count(*)::int AS told FROM outbox')).toEqual([{ told: 1 }]);
  });

  it('twenty edits of one person tell twenty versions, in order, without gaps', async () => {
    const { id } = await person('busy');
    await Promise.all(Array.from({ length: 20 }, (_, n) => edit.run(id, { displayName: `n${n}` })));
    expect(await versions(id)).toEqual(Array.from({ length: 21 }, (_, n) => n + 1));
  });

  it('two who swap handles: neither gets the other’s, and both keep their own', async () => {
    const [a, b] = [await person('swap_a'), await person('swap_b')];
    const outcomes = await Promise.allSettled([
      edit.run(a.id, { handle: 'swap_b' }),
      edit.run(b.id, { handle: 'swap_a' }),
    ]);
    expect(
      outcomes.map((outcome) => outcome.status === 'rejected' && (outcome.reason as { code: string }).code),
    ).toEqual(['CONFLICT', 'CONFLICT']);
  });

  it('ten deletions of one account are one, and no edit comes after it', async () => {
    const { id } = await person('leaving');
    const remove = new DeleteAccount({
      database,
      passwords,
      throttle,
      clock,
      saga: 'orchestrated',
      patience: { stepTimeoutMs: 60_000, triesMax: 5 },
    });
    const outcomes = await Promise.allSettled([
      ...Array.from({ length: 10 }, () => remove.run(id, { password })),
      ...Array.from({ length: 10 }, (_, n) => edit.run(id, { displayName: `n${n}` })),
    ]);
    expect(outcomes.slice(0, 10).filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    const told = await database.query<{ type: string }>(
      'SELECT type FROM outbox WHERE aggregate = $1 ORDER BY position',
      [`user:${id}`],
    );
    expect(told.at(-1)).toEqual({ type: 'account-frozen' });
    expect(await versions(id)).toEqual(told.map((_, n) => n + 1));
  });

  it.each([
    ['the password was changed', `password_hash = 'another'`],
    ['all log-ins were ended', 'sessions = sessions + 1'],
  ])('a deletion for which the password was right does nothing when %s meanwhile', async (what, change) => {
    const { id } = await person(what.startsWith('all') ? 'thrown_out' : 'changed');
    const verify: Passwords['verify'] = async (...tried) => {
      const isRight = await passwords.verify(...tried);
      await database.query(`UPDATE users SET ${change} WHERE id = $1`, [id]);
      return isRight;
    };
    const parts = { database, throttle, clock, saga: 'orchestrated' as const };
    const patience = { stepTimeoutMs: 60_000, triesMax: 5 };
    const meanwhile = Object.create(passwords, { verify: { value: verify } }) as Passwords;
    await expect(
      new DeleteAccount({ ...parts, patience, passwords: meanwhile }).run(id, { password }),
    ).rejects.toMatchObject({ code: 'CONFLICT' });
    expect(await database.query('SELECT frozen_at FROM users WHERE id = $1', [id])).toEqual([{ frozen_at: null }]);
  });
}

function use(opened: Database): void {
  database = opened;
  signUp = new SignUp({ database, sealer, passwords, throttle, clock });
  edit = new EditProfile({ database, throttle, clock });
}

async function person(handle: string) {
  return (await signUp.run({ handle, email: 'x@example.org', password, displayName: handle })).person;
}

async function versions(id: string): Promise<number[]> {
  const rows = await database.query<{ v: number }>(
    'SELECT aggregate_version AS v FROM outbox WHERE aggregate = $1 ORDER BY position',
    [`user:${id}`],
  );
  return rows.map(({ v }) => v);
}
