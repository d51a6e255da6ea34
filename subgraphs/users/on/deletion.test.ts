import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { openDatabase, type Database, type Tx } from '#libs/database';
import { EVENTS, type DomainEvent, type EventType, type Payload } from '#libs/events';
import { newId, timeOf } from '#libs/identity';
import { eraseLeftBehind, type Saga } from '#libs/saga';
import { silent } from '#libs/telemetry';
import { sealer } from '../../../test/sealer.js';
import { loadUsers } from '../bulk.js';
import type { Ended } from '../deletion.js';
import { beginDeletion, newDeletionId } from '../deletion.store.js';
import { stuckDeletions } from '../gauges.js';
import { NIL } from '../notifications/facts.js';
import { usersTables } from '../users.tables.js';
import { deletionWork } from './deletion.js';
import { usersLeftBehind } from './erase-account.js';
import { heardBy } from './heard.js';
import { LateSteps } from './late-steps.js';

/** Whatever was asked is late at once. */
const PATIENCE = { stepTimeoutMs: 0, triesMax: 3 };
const HEARD = heardBy(PATIENCE);

let dataDir: string;
let database: Database;
let people = 0;

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'users-'));
  database = await openDatabase({ service: 'users', dataDir, logger: silent, ...usersTables });
});
afterAll(async () => {
  await database.close();
  await rm(dataDir, { recursive: true });
});

describe('a step of another service that is not answered in time', () => {
  it('is asked for again, then all is brought back; the answer that comes after that is nothing', async () => {
    const { id } = await begin();
    expect(await asked(id)).toEqual(['withdraw-posts']);
    for (let tries = 1; tries < PATIENCE.triesMax; tries++) await look();
    expect(await shown(id)).toMatch(/^RUNNING DONE RUNNING PENDING/);
    await look();
    expect(await shown(id)).toMatch(/^COMPENSATING DONE UNDOING PENDING/);
    expect(await asked(id)).toEqual(['withdraw-posts', 'withdraw-posts', 'withdraw-posts', 'restore-posts']);
    // There is no other way than back: that is asked for until it is answered.
    for (let tries = 0; tries < 2 * PATIENCE.triesMax; tries++) await look();
    expect(await shown(id)).toMatch(/^COMPENSATING DONE UNDOING/);

    await answer(id, 'restore-posts');
    expect(await shown(id)).toBe('REVERTED UNDONE UNDONE PENDING PENDING PENDING PENDING');
    const told = await events();
    await answer(id, 'withdraw-posts');
    await answer(id, 'restore-posts');
    await goesOn(id, 'withdraw-posts');
    await look();
    expect(await shown(id)).toBe('REVERTED UNDONE UNDONE PENDING PENDING PENDING PENDING');
    expect(await events()).toEqual(told);
  });

  it('is waited for as long as it goes on, there and back', async () => {
    const { id } = await begin();
    for (let times = 0; times < 4 * PATIENCE.triesMax; times++) {
      await look();
      await goesOn(id, 'withdraw-posts');
      expect(await shown(id)).toMatch(/^RUNNING DONE RUNNING PENDING/);
    }
    await database.query(`UPDATE account_deletion_steps SET at = at - interval '1 hour' WHERE deletion_id = $1`, [id]);
    expect((await stuckDeletions(database, 600)).map((one) => one.id)).not.toContain(id);
    await answer(id, 'withdraw-posts');
    await answer(id, 'dissolve-follows', 'failed');
    expect(await shown(id)).toMatch(/^COMPENSATING DONE UNDOING FAILED/);
    await look();
    await goesOn(id, 'restore-posts');
    await answer(id, 'restore-posts');
    expect(await shown(id)).toMatch(/^REVERTED/);
  });

  it('is given up by a clock that is not told, however far it has come (control)', async () => {
    const { id } = await begin();
    for (let times = 0; times < PATIENCE.triesMax; times++) await look();
    expect(await shown(id)).toMatch(/^COMPENSATING/);
  });
});

describe('an account that is erased', () => {
  it.each<Saga>(['orchestrated', 'choreographed'])(
    'loses, %s, what users keeps of it in transactions of 200 rows',
    async (saga) => {
      const [{ id, userId }, other] = [await begin(saga), await account()];
      await fill(userId, other);
      const counted = counting(database);
      const work = deletionWork({ database: counted, logger: silent, patience: PATIENCE });
      await work.settled();
      const before = counted.transactions;
      await answer(id, 'withdraw-posts');
      await answer(id, 'dissolve-follows');
      await answer(id, 'erase-posts');
      await answer(id, 'erase-follows');
      await work.settled();
      await work.close();
      expect(await shown(id)).toBe('DONE DONE DONE DONE DONE DONE DONE');
      expect(await kept(userId)).toEqual({ facts: 0, list: 0, reads: 0, blocks: 0, words: 0 });
      expect(await kept(other)).toMatchObject({ facts: 1, list: 1, reads: 1, words: 1 });
      // 2,500 of each: told to this person, told of this person, blocked, blocking, in quarantine.
      const full = 5 * Math.floor(MANY / 200);
      expect(counted.transactions - before).toBeGreaterThanOrEqual(full);
      expect(counted.transactions - before).toBeLessThan(full + 10);
      await database.query('DELETE FROM quarantine');
    },
  );

  it('may have left something when an older program erased it, which is found and erased, and nobody else’s is', async () => {
    const [gone, leaving, there] = [await account(), await begin(), await account()];
    await fill(gone, there);
    await database.query('INSERT INTO notification_reads VALUES ($1, $1)', [leaving.userId]);
    const find = (mend: boolean) => eraseLeftBehind(database, usersLeftBehind, { mend });
    expect(await find(true)).toBe(0);
    const erase = `UPDATE users SET deleted_at = now() WHERE id = ANY($1::uuid[])`;
    await database.query(erase, [[gone, leaving.userId]]);
    // Of one that is being erased there may be something.
    await hear('user-deleted', { userId: leaving.userId, handle: '', deletionId: leaving.id, saga: 'orchestrated' });
    expect([await find(false), await find(true), await find(true)]).toEqual([1, 1, 0]);
    expect(await kept(gone)).toEqual({ facts: 0, list: 0, reads: 0, blocks: 0, words: 0 });
    expect(await kept(there)).toMatchObject({ facts: 1, list: 1, reads: 1 });
    expect(await kept(leaving.userId)).toMatchObject({ reads: 1 });
    await database.query('DELETE FROM quarantine');
  });

  it('is not done before that is: the others’ answers alone do not end it', async () => {
    const { id } = await begin();
    for (const step of ['withdraw-posts', 'dissolve-follows', 'erase-posts', 'erase-follows'] as const)
      await answer(id, step);
    expect(await shown(id)).toBe('RUNNING DONE DONE DONE RUNNING DONE DONE');
    const work = deletionWork({ database, logger: silent, patience: PATIENCE });
    await work.settled();
    await work.close();
    expect(await shown(id)).toMatch(/^DONE/);
  });

  it('tells by which deletion, and a clock that is set back between two of them does not change which came last', async () => {
    const now = Date.now();
    const { id: first, userId } = await begin('choreographed', now);
    await answer(first, 'dissolve-follows', 'failed');
    await answer(first, 'restore-posts');
    expect(await shown(first)).toMatch(/^REVERTED/);
    const { id: second } = await begin('choreographed', now - 300_000, userId);
    expect(second > first).toBe(true);
    expect(timeOf(second)).toBe(now + 1);
    expect(newId({ now: now - 300_000 }) > first).toBe(false); // the control
    await answer(second, 'withdraw-posts');
    await answer(second, 'dissolve-follows');
    const [told] = await database.query(`SELECT payload FROM outbox WHERE type = 'user-deleted' AND aggregate = $1`, [
      `user:${userId}`,
    ]);
    expect(told).toEqual({ payload: expect.objectContaining({ deletionId: second, saga: 'choreographed' }) });
  });
});

async function account(): Promise<string> {
  const id = newId();
  people += 1;
  const texts = { handle: `p${people}`, displayName: 'P', bio: '', email: 'p@example.org', passwordHash: 'x' };
  await loadUsers(database, sealer, [{ id, ...texts, joinedAt: new Date() }]);
  return id;
}

async function begin(
  saga: Saga = 'orchestrated',
  now = Date.now(),
  whose?: string,
): Promise<{ id: string; userId: string }> {
  const userId = whose ?? (await account());
  const id = await database.transaction(async (tx) => {
    const [row] = await tx.query<{ version: number }>('SELECT version FROM users WHERE id = $1', [userId]);
    const deletionId = await newDeletionId(tx, userId, now);
    const version = (row?.version ?? 0) + 1;
    await beginDeletion(tx, { id: deletionId, userId, saga }, { handle: 'p', version }, PATIENCE);
    return deletionId;
  });
  return { id, userId };
}

/** One look of a clock that does not look by itself. */
async function look(): Promise<void> {
  const late = new LateSteps({
    ...PATIENCE,
    stepTimeoutMs: 60_000,
    database: { ...on(database), afterCommit: () => {} },
    logger: silent,
  });
  await database.query('UPDATE account_deletion_steps SET due_at = now() WHERE due_at IS NOT NULL');
  await late.look();
  await late.close();
}

async function answer(id: string, step: Ended['step'], outcome: Ended['outcome'] = 'done'): Promise<void> {
  await hear(step.endsWith('posts') ? 'posts-step-ended' : 'follows-step-ended', {
    deletionId: id,
    userId: id,
    step,
    outcome,
  } as Payload<'posts-step-ended'>);
}

async function goesOn(deletionId: string, step: 'withdraw-posts' | 'restore-posts'): Promise<void> {
  await hear('posts-step-goes-on', { deletionId, userId: deletionId, step });
}

async function hear<T extends EventType>(type: T, payload: Payload<T>): Promise<void> {
  const { version, source } = EVENTS[type];
  const at = new Date().toISOString();
  const event = { id: newId(), type, version, source, aggregate: 'x', aggregateVersion: 1, at, actor: null, payload };
  await database.transaction((tx) =>
    (HEARD[type] as (tx: Tx, event: DomainEvent) => Promise<void>)(tx, event as unknown as DomainEvent),
  );
}

async function shown(id: string): Promise<string> {
  const [row] = await database.query<{ line: string }>(
    `SELECT d.state || ' ' || string_agg(s.state, ' ' ORDER BY nth) AS line
     FROM account_deletions d JOIN account_deletion_steps s ON s.deletion_id = d.id WHERE d.id = $1 GROUP BY d.id`,
    [id],
  );
  return row?.line ?? '';
}

async function asked(id: string): Promise<string[]> {
  const rows = await database.query<{ step: string }>(
    `SELECT payload ->> 'step' AS step FROM outbox WHERE aggregate = $1 ORDER BY position`,
    [`deletion:${id}`],
  );
  return rows.map(({ step }) => step);
}

function events(): Promise<unknown[]> {
  return database.query('SELECT id FROM outbox ORDER BY position');
}

const MANY = 2_500;

/** 2,500 rows of each kind that a person may have caused, and one of each of somebody else's. */
async function fill(userId: string, other: string): Promise<void> {
  const fact = `INSERT INTO notification_facts (recipient_id, kind, actor_id, post_id, id, at)`;
  await database.query(
    `${fact} SELECT $1, 'follow', gen_random_uuid(), '${NIL}', gen_random_uuid(), now() FROM generate_series(1, ${MANY})`,
    [userId],
  );
  await database.query(
    `${fact} SELECT gen_random_uuid(), 'follow', $1, '${NIL}', gen_random_uuid(), now() FROM generate_series(1, ${MANY})`,
    [userId],
  );
  await database.query(
    `${fact} VALUES ($1, 'follow', gen_random_uuid(), '${NIL}', gen_random_uuid(), now()) ON CONFLICT DO NOTHING`,
    [other],
  );
  await database.query(
    `INSERT INTO notifications (slot, recipient_id, id, kind, actor_id, post_id, at)
     SELECT 1, recipient_id, id, kind, actor_id, post_id, at FROM notification_facts WHERE $1 IN (recipient_id, actor_id) OR recipient_id = $2`,
    [userId, other],
  );
  await database.query('INSERT INTO notification_reads SELECT id, id FROM unnest($1::uuid[]) AS id', [[userId, other]]);
  await database.query(
    `INSERT INTO block_edges SELECT $1, gen_random_uuid() FROM generate_series(1, ${MANY})
     UNION ALL SELECT gen_random_uuid(), $1 FROM generate_series(1, ${MANY})`,
    [userId],
  );
  await database.query(
    `INSERT INTO quarantine (consumer, aggregate, aggregate_version, event, tries, reason, due_at)
     SELECT 'users', 'post:' || n, 1, jsonb_build_object('payload', jsonb_build_object('body', 'words', 'authorId',
       CASE WHEN n = 7 THEN $2 ELSE $1 END)), 9, 'x', now() FROM generate_series(1, ${MANY}) AS n`,
    [userId, other],
  );
}

async function kept(userId: string): Promise<unknown> {
  const [row] = await database.query(
    `SELECT (SELECT count(*)::int FROM notification_facts WHERE $1 IN (recipient_id, actor_id)) AS facts,
       (SELECT count(*)::int FROM notifications WHERE $1 IN (recipient_id, actor_id)) AS list,
       (SELECT count(*)::int FROM notification_reads WHERE user_id = $1) AS reads,
       (SELECT count(*)::int FROM block_edges WHERE $1 IN (blocker_id, blocked_id)) AS blocks,
       (SELECT count(*)::int FROM quarantine WHERE event -> 'payload' ->> 'authorId' = $1::text AND event -> 'payload' ->> 'body' <> '') AS words`,
    [userId],
  );
  return row;
}

function on(store: Database): Pick<Database, 'query' | 'transaction'> {
  return { query: store.query.bind(store), transaction: store.transaction.bind(store) };
}

function counting(store: Database) {
  const counted = {
    ...on(store),
    afterCommit: store.afterCommit.bind(store),
    transactions: 0,
    transaction: <T>(work: (tx: Tx) => Promise<T>): Promise<T> => {
      counted.transactions += 1;
      return store.transaction(work);
    },
  };
  return counted;
}
