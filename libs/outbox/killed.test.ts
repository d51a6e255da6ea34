import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { openDatabase, provisionServices, type Database } from '#libs/database';
import { silent } from '#libs/telemetry';

import { withServer } from '../../test/servers/needs.js';
import { startRedis, type RedisServer } from '../../test/servers/redis.js';
import { outboxMigrations } from './index.js';

const CHILD = fileURLToPath(new URL('killed.child.mjs', import.meta.url));
const BUILT = fileURLToPath(new URL('../../dist/libs/outbox/index.js', import.meta.url));

const FACTS = 120;
const POINTS = [
  'after the fact is committed, before it is published',
  'after it is published, before it is marked',
  'before the effect is committed',
  'after the effect, before it is acknowledged',
] as const;

interface Run {
  readonly outbox: boolean;
  readonly inbox: boolean;
  readonly points: readonly (typeof POINTS)[number][];
}
const EVERYWHERE: Run = { outbox: true, inbox: true, points: POINTS };

interface Place {
  readonly urls?: Record<string, string>;
  readonly redisUrl?: string;
}

describe('killed with the embedded database and the stream in one process', () => {
  it('at every point: nothing is lost, doubled or reordered', async () => {
    expect(await outcome(EVERYWHERE, {})).toEqual({ kills: 4, lost: 0, doubled: 0, reordered: 0 });
  }, 120_000);

  it('control: publishing after COMMIT without an outbox loses a fact', async () => {
    const { kills, lost } = await outcome({ outbox: false, inbox: true, points: POINTS.slice(0, 1) }, {});
    expect([kills, lost]).toEqual([1, 1]);
  }, 120_000);

  it('control: a consumer without an inbox doubles an effect', async () => {
    const { kills, lost, doubled } = await outcome({ outbox: true, inbox: false, points: POINTS.slice(3) }, {});
    expect([kills, lost]).toEqual([1, 0]);
    expect(doubled).toBeGreaterThan(0);
  }, 120_000);
});

withServer(['postgres', 'redis'], 'killed on PostgreSQL and Redis', (url) => {
  let redis: RedisServer;
  beforeAll(async () => {
    redis = await startRedis();
  });
  afterAll(() => redis.stop());

  it('at every point: nothing is lost, doubled or reordered', async () => {
    const passwords = { users: 'secret', posts: 'secret' };
    const urls = await provisionServices(url, ['users', 'posts'], passwords, { prefix: 'killed_' });
    const place = { urls, redisUrl: redis.url };
    expect(await outcome(EVERYWHERE, place)).toEqual({ kills: 4, lost: 0, doubled: 0, reordered: 0 });
  }, 120_000);
});

/** Runs the pair, killed once at each point and started again, to its end; then compares what was committed with what took effect. */
async function outcome(run: Run, place: Place) {
  if (!existsSync(BUILT)) throw new Error('the libraries are not built: start the tests by npm test');
  const dataDir = await mkdtemp(join(tmpdir(), 'killed-'));
  try {
    await withStores(place, dataDir, async (users, posts) => {
      await users.query('DROP TABLE IF EXISTS facts');
      await posts.query('DROP TABLE IF EXISTS ledger');
      for (const store of [users, posts]) await store.query('TRUNCATE outbox, inbox, quarantine');
      await users.query('CREATE TABLE facts (aggregate text, version int)');
      await posts.query('CREATE TABLE ledger (nth bigint GENERATED ALWAYS AS IDENTITY, aggregate text, version int)');
    });
    let kills = 0;
    for (const [nth, killAt] of run.points.entries()) {
      if ((await child({ ...place, ...run, dataDir, facts: 20 * (nth + 1), killAt })) === 'SIGKILL') kills += 1;
    }
    expect(await child({ ...place, ...run, dataDir, facts: FACTS })).toBe(0);
    let compared = { lost: 0, doubled: 0, reordered: 0 };
    await withStores(place, dataDir, async (users, posts) => {
      const committed = await users.query<Fact>('SELECT aggregate, version FROM facts');
      compared = compare(committed, await posts.query<Fact>('SELECT aggregate, version FROM ledger ORDER BY nth'));
    });
    return { kills, ...compared };
  } finally {
    await rm(dataDir, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }
}

interface Fact {
  readonly aggregate: string;
  readonly version: number;
}

function compare(committed: readonly Fact[], effects: readonly Fact[]) {
  expect(committed).toHaveLength(FACTS);
  const last = new Map<string, number>();
  const seen = new Set<string>();
  let [doubled, reordered] = [0, 0];
  for (const { aggregate, version } of effects) {
    const key = `${aggregate} ${version}`;
    if (seen.has(key)) doubled += 1;
    else if (version <= (last.get(aggregate) ?? 0)) reordered += 1;
    seen.add(key);
    last.set(aggregate, Math.max(version, last.get(aggregate) ?? 0));
  }
  const lost = committed.filter(({ aggregate, version }) => !seen.has(`${aggregate} ${version}`)).length;
  return { lost, doubled, reordered };
}

async function withStores(place: Place, dataDir: string, work: (users: Database, posts: Database) => Promise<void>) {
  const open = (service: string) =>
    openDatabase({
      service,
      url: place.urls?.[service],
      dataDir,
      entities: [],
      migrations: [...outboxMigrations],
      logger: silent,
    });
  const [users, posts] = [await open('users'), await open('posts')];
  try {
    await work(users, posts);
  } finally {
    await users.close();
    await posts.close();
  }
}

/** Its exit code, or the signal that ended it. */
function child(order: object): Promise<number | string | null> {
  return new Promise((resolve, reject) => {
    // Without NODE_OPTIONS: nothing of the test runner's may reach it.
    const env = { PATH: process.env['PATH'] };
    const started = spawn(process.execPath, [CHILD, JSON.stringify(order)], {
      env,
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    started.once('error', reject).once('exit', (code, signal) => resolve(signal ?? code));
  });
}
