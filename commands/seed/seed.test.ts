import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openDatabase, type Database } from '#libs/database';
import { followersTables } from '../../subgraphs/followers/followers.tables.js';
import { postsTables } from '../../subgraphs/posts/posts.tables.js';
import { usersTables } from '../../subgraphs/users/users.tables.js';
import { sealer } from '../../test/sealer.js';
import { layOutStores } from '../../test/stores.js';
import { Passwords } from '../../subgraphs/users/write/passwords.js';
import { seedDemo } from './demo.js';
import { loadWorld, rowsOf } from './load.js';
import { showProgress } from './progress.js';
import { generateWorld } from './world.js';

/** What nobody told users counts as heard there: the first event of such a post is its second. */
const HEARD_OF_POSTS = `SELECT count(*)::int FROM inbox WHERE consumer = 'users' AND aggregate LIKE 'post:%' AND aggregate_version = 1`;

describe('a generated world of 100 people, on the embedded databases', () => {
  const databases = opened();
  const world = generateWorld({ seed: 1, users: 100, posts: 1_000 });
  let progressed = 0;

  it('is stored whole, twice as once, and its progress ends at the end', async () => {
    for (let time = 1; time <= 2; time++) {
      progressed = 0;
      const progress = { add: (rows: number) => void (progressed += rows), stop: () => {} };
      await loadWorld(databases(), world, 'tributary', progress);
      expect(progressed).toBe(rowsOf(world));
      expect(await one(databases().users, 'SELECT count(*)::int FROM users')).toBe(100);
      expect(await one(databases().followers, 'SELECT count(*)::int FROM follows')).toBe(world.graph.followers.length);
      expect(await one(databases().posts, 'SELECT count(*)::int FROM follow_edges')).toBe(world.graph.followers.length);
      expect(await one(databases().posts, 'SELECT count(*)::int FROM posts')).toBe(world.writings.authors.length);
      expect(await one(databases().posts, 'SELECT count(*)::int FROM post_events')).toBe(world.writings.authors.length);
      expect(await one(databases().users, HEARD_OF_POSTS)).toBe(world.writings.authors.length);
    }
  });

  it('has counts that equal COUNT(*)', async () => {
    expect(
      await one(
        databases().followers,
        `SELECT count(*)::int FROM people WHERE follower_count <> (SELECT count(*) FROM follows WHERE followee_id = user_id)
           OR following_count <> (SELECT count(*) FROM follows WHERE follower_id = user_id)`,
      ),
    ).toBe(0);
    expect(
      await one(
        databases().posts,
        `SELECT count(*)::int FROM posts p WHERE like_count <> (SELECT count(*) FROM likes l WHERE l.post_id = p.id AND l.liked)
           OR reply_count <> (SELECT count(*) FROM posts r WHERE r.in_reply_to_id = p.id)`,
      ),
    ).toBe(0);
    expect(
      await one(
        databases().posts,
        `SELECT count(*)::int FROM people WHERE post_count <> (SELECT count(*) FROM posts WHERE author_id = people.id)`,
      ),
    ).toBe(0);
    expect(await one(databases().posts, 'SELECT sum(like_count)::int FROM posts')).toBeGreaterThan(100);
    expect(await one(databases().posts, 'SELECT sum(reply_count)::int FROM posts')).toBeGreaterThan(100);
  });
});

describe('the demo', () => {
  const databases = opened();

  it('is put in where nobody is, and only there', async () => {
    expect(await seedDemo(databases())).toBe(true);
    expect(await seedDemo(databases())).toBe(false);
  });

  it('lets alice log in by the password that is printed, with more posts than a page and four followers', async () => {
    const hash = await one(databases().users, `SELECT password_hash FROM users WHERE handle = 'alice'`);
    expect(await new Passwords({ atOnce: 1 }).verify(String(hash), 'tributary')).toBe(true);
    const id = await one(databases().users, `SELECT id FROM users WHERE handle = 'alice'`);
    expect(await one(databases().posts, 'SELECT post_count FROM people WHERE id = $1', [id])).toBe(24);
    const all = await one(databases().posts, 'SELECT count(*)::int FROM posts');
    expect(await one(databases().users, HEARD_OF_POSTS)).toBe(all);
    expect(await one(databases().followers, 'SELECT follower_count FROM people WHERE user_id = $1', [id])).toBe(4);
    expect(await one(databases().followers, 'SELECT count(*)::int FROM blocks')).toBe(1);
    expect(await one(databases().posts, 'SELECT count(*)::int FROM block_edges')).toBe(1);
  });

  it('is the same after a kill half way: what is there is not put in again', async () => {
    const before = await one(databases().posts, 'SELECT count(*)::int FROM posts');
    await databases().users.query('DELETE FROM users');
    await databases().users.query('DELETE FROM handles');
    expect(await seedDemo(databases())).toBe(true);
    expect(await one(databases().posts, 'SELECT count(*)::int FROM posts')).toBe(before);
  });
});

it('progress is a line for each tenth where there is no terminal', () => {
  const said: string[] = [];
  const out = { isTTY: false, write: (text: string) => said.push(text) } as unknown as NodeJS.WriteStream;
  const progress = showProgress(1_000, out);
  for (let step = 0; step < 100; step++) progress.add(10, 'people');
  progress.stop();
  expect(said).toHaveLength(10);
  expect(said[4]).toBe('  50 %  500 of 1,000 rows  people, 0 s left\n');
});

/** Three empty stores of their own for the tests of a `describe`. */
function opened() {
  const dataDir = mkdtempSync(join(tmpdir(), 'tributary-seed-'));
  let databases: Record<'users' | 'posts' | 'followers', Database>;
  beforeAll(async () => {
    await layOutStores(dataDir);
    const [users, posts, followers] = await Promise.all([
      openDatabase({ service: 'users', dataDir, ...usersTables }),
      openDatabase({ service: 'posts', dataDir, ...postsTables }),
      openDatabase({ service: 'followers', dataDir, ...followersTables }),
    ]);
    databases = { users, posts, followers };
  });
  afterAll(async () => {
    await Promise.all(Object.values(databases).map((database) => database.close()));
    rmSync(dataDir, { recursive: true, force: true });
  });
  return () => ({ ...databases, sealer });
}

/** The one value of the one row. */
async function one(database: Database, text: string, values: unknown[] = []): Promise<unknown> {
  const [row] = await database.query(text, values);
  return Object.values(row ?? {})[0];
}
