import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import type { Database } from '#libs/database';
import { check, underWay, type Violations } from '../../commands/faults/checker.js';
import { Crowd, noticed } from '../../commands/faults/crowd.js';
import type { Stores } from '../../commands/faults/drift.js';
import { BACK, deletes, GONE, leaver, leftOf } from '../../commands/faults/leaver.js';
import { startWorld, type World } from '../world.js';

/** Whatever `npm run faults` would not find, it could not fail at: each invariant is broken here once, behind everybody's back. */
describe('what is compared after each fault', () => {
  let world: World;
  let stores: Stores;
  let crowd: Crowd;
  beforeAll(async () => {
    world = await startWorld({ CACHE: 'off' });
    stores = { users: world.users.database, posts: world.posts.database, followers: world.followers.database };
    crowd = new Crowd(world.gateway.url);
    await crowd.gather(3);
    crowd.start();
    const done = (kind: string): number => crowd.ops.filter((op) => op.kind === kind && op.outcome === 'ok').length;
    while (done('publish') < 9 || done('like') < 3 || done('follow') < 3 || done('read') < 3)
      await new Promise((resolve) => setTimeout(resolve, 20));
    await crowd.stop();
    await world.settle();
  }, 180_000);
  afterAll(() => world?.close());

  it('finds nothing where nothing is wrong', async () => {
    expect(await underWay(stores)).toBe(0);
    expect(await broken(stores)).toEqual([]);
  });

  const broken = async (there: Stores): Promise<string[]> =>
    Object.entries(await check(there, crowd)).flatMap(([id, n]) => (n > 0 ? id : []));

  /** What is broken by it is looked at by its own transaction, which then never happened. */
  async function brokenBy(
    service: keyof Stores,
    statement: string,
    values: readonly unknown[] = [],
  ): Promise<string[]> {
    const undone = new Error('undone');
    let found: string[] = [];
    await stores[service]
      .transaction(async (tx) => {
        await tx.query(statement, values);
        found = await broken({ ...stores, [service]: tx as unknown as Database });
        throw undone;
      })
      .catch((error: unknown) => {
        if (error !== undone) throw error;
      });
    return found;
  }

  const LAST = '(SELECT max(id::text)::uuid FROM posts)';
  it.each<[string, keyof Stores, string, readonly (keyof Violations)[]]>([
    ['an acknowledged post is another', 'posts', `UPDATE posts SET body = body || '?' WHERE id = ${LAST}`, ['I1']],
    [
      'an acknowledged like is gone',
      'posts',
      'UPDATE likes SET liked = false WHERE (post_id, user_id) IN (SELECT post_id, user_id FROM likes LIMIT 1)',
      ['I1', 'I4', 'I6', 'I7'],
    ],
    ['the event of a post is gone', 'posts', `DELETE FROM outbox WHERE aggregate = 'post:' || ${LAST}`, ['I2', 'I7']],
    [
      'a post was repeated and done again',
      'posts',
      `WITH twin AS (
         INSERT INTO posts (id, author_id, body, created_at, version, state)
         SELECT gen_random_uuid(), author_id, body, created_at, version, state FROM posts WHERE id = ${LAST} RETURNING id)
       INSERT INTO outbox (id, type, version, source, aggregate, aggregate_version, at, actor, payload, published_at)
       SELECT gen_random_uuid(), type, version, source, 'post:' || twin.id, aggregate_version, at, actor,
         jsonb_set(payload, '{postId}', to_jsonb(twin.id)), published_at
       FROM outbox, twin WHERE aggregate = 'post:' || ${LAST}`,
      ['I2', 'I4', 'I5', 'I6'],
    ],
    [
      'an event was never given to the stream',
      'posts',
      `UPDATE outbox SET published_at = NULL WHERE aggregate = 'post:' || ${LAST}`,
      ['I3'],
    ],
    [
      'somebody was told of a like twice',
      'users',
      `INSERT INTO notifications (slot, recipient_id, id, kind, actor_id, post_id, at)
       SELECT slot, recipient_id, gen_random_uuid(), kind, actor_id, post_id, at FROM notifications WHERE kind = 'like' LIMIT 1`,
      ['I4'],
    ],
    [
      'somebody was not told of a like',
      'users',
      `DELETE FROM notifications WHERE id = (SELECT id FROM notifications WHERE kind = 'like' LIMIT 1)`,
      ['I4'],
    ],
    [
      'a copy has a follow that is not so',
      'posts',
      'INSERT INTO follow_edges SELECT id, id, true FROM people LIMIT 1',
      ['I4'],
    ],
    ['a home timeline lacks its posts', 'posts', 'DELETE FROM home_entries', ['I4']],
    ['users has never heard of a post', 'users', `DELETE FROM inbox WHERE aggregate LIKE 'post:%'`, ['I5']],
    [
      'posts has not heard the last of two people',
      'posts',
      `UPDATE inbox SET aggregate_version = aggregate_version - 1 WHERE aggregate LIKE 'relation:%'`,
      ['I5'],
    ],
    ['a count is one too many', 'posts', `UPDATE posts SET like_count = like_count + 1 WHERE id = ${LAST}`, ['I6']],
  ])('finds that %s', async (_what, service, statement, found) => {
    expect(await brokenBy(service, statement)).toEqual(found);
  });

  it('finds that an acknowledged follow is another', async () => {
    const last = crowd.ops.findLast(({ kind, outcome }) => kind === 'follow' && outcome === 'ok')?.follow;
    const found = await brokenBy(
      'followers',
      last?.begins === true
        ? 'DELETE FROM follows WHERE follower_id = $1 AND followee_id = $2'
        : 'INSERT INTO follows VALUES ($1, $2, now())',
      [last?.followerId, last?.followeeId],
    );
    expect(found).toEqual(['I1', 'I4', 'I6', 'I7']);
  });

  it('whoever had to ask again has noticed, though all were answered in the end', async () => {
    const lost = new Set<unknown>();
    const passOn = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
      const { 'content-type': type, authorization, 'idempotency-key': key } = request.headers;
      const headers = Object.entries({ 'content-type': type, authorization, 'idempotency-key': key });
      const answer = await fetch(world.gateway.url, {
        method: 'POST',
        headers: headers.filter((one): one is [string, string] => typeof one[1] === 'string'),
        body: await text(request),
      });
      const body = await answer.text();
      if (key === undefined || lost.has(key)) return void response.writeHead(answer.status).end(body);
      lost.add(key);
      request.socket.destroy();
    };
    const line = createServer((request, response) => void passOn(request, response));
    await new Promise<void>((resolve) => line.listen(0, '127.0.0.1', resolve));
    const cutOff = new Crowd(`http://127.0.0.1:${(line.address() as AddressInfo).port}`);
    await cutOff.gather(2);
    cutOff.start();
    while (noticed(cutOff.ops).length === 0) await new Promise((resolve) => setTimeout(resolve, 20));
    await cutOff.stop();
    line.close();
    expect(cutOff.ops.filter(({ outcome }) => outcome !== 'ok')).toEqual([]);
    await world.settle();
    expect(await check(stores, cutOff)).toMatchObject({ I1: 0, I2: 0 });
  });

  it('finds that somebody was told what belongs to somebody else', async () => {
    await stores.posts.query(`UPDATE posts SET body = 'canary-of_others@example.com'`);
    crowd.start();
    while (crowd.foreign === 0) await new Promise((resolve) => setTimeout(resolve, 20));
    await crowd.stop();
    expect(await broken(stores)).toContain('I8');
  });

  it('an account that is half gone is neither gone nor as it was', async () => {
    const what = (): Promise<object> => leftOf(stores, leaving.id);
    const leaving = await leaver({ graphql: world.gateway.url });
    await world.settle();
    const { freezes: _, thaws: _thaws, ...before } = BACK;
    expect(await what()).toMatchObject(before);
    expect(await what()).not.toEqual(GONE);
    await deletes({ graphql: world.gateway.url }, leaving);
    await world.settle();
    expect(await what()).toEqual(GONE);
    await stores.followers.query(
      `INSERT INTO follows SELECT $1, user_id, now() FROM people WHERE user_id <> $1 AND state = 'active' LIMIT 1`,
      [leaving.id],
    );
    expect(await what()).not.toEqual(GONE);
  });
});
