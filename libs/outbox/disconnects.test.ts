import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { provisionServices, type Database, type Tx } from '#libs/database';
import type { DomainEvent } from '#libs/events';
import { silent } from '#libs/telemetry';
import { withServer } from '../../test/servers/needs.js';
import { consume, openStream, quarantined, replay, type Consumer, type Stream } from './index.js';
import { enter, event, openScene, person, type Scene } from './scene.contract.js';

withServer(['postgres'], 'an event whose effect ends the connection to the database each time', (url = '') => {
  let scene: Scene;
  let stream: Stream;
  let consumer: Consumer;
  let ends = 0;
  let isMended = false;

  /** As an effect does that has PostgreSQL run out of memory, but to one connection alone. */
  const hear = async (tx: Tx, one: DomainEvent): Promise<void> => {
    if (one.aggregate === `user:${person(1)}` && !isMended) {
      ends += 1;
      await tx.query('SELECT pg_terminate_backend(pg_backend_pid())');
    }
    await enter(tx, one);
  };

  beforeAll(async () => {
    const passwords = { users: 'secret', posts: 'secret' };
    const urls = await provisionServices(url, ['users', 'posts'], passwords, { prefix: 'ends_test_' });
    scene = await openScene({ users: urls['users'] ?? '', posts: urls['posts'] ?? '' });
    await scene.empty();
    stream = openStream({ logger: silent });
    consumer = consume({
      database: scene.posts,
      stream,
      group: 'posts',
      hear: { 'profile-edited': hear },
      logger: silent,
      pausesMs: [1, 1, 1, 1],
      lookMs: 50,
    });
  }, 60_000);
  afterAll(async () => {
    await consumer?.close();
    await stream?.close();
    await scene?.close();
  });

  it('goes to quarantine, and the others go on; control: until it has ended it five times, it holds them all up', async () => {
    const told = [event(1, 1), event(2, 1), event(1, 2)];
    for (let times = 1; times <= 5; times += 1) {
      await expect(stream.publish(told)).rejects.toMatchObject({ code: 'SUBGRAPH_UNAVAILABLE' });
      expect([await scene.effects(), await quarantined(scene.posts)]).toEqual([[], []]);
    }
    const before = ends;
    await stream.publish(told);
    expect(await scene.effects()).toEqual(['2:1']);
    await consumer.settled(60_000);
    // The first try was counted when it came there.
    expect(ends - before).toBe(4);
    expect(await quarantined(scene.posts)).toEqual([
      expect.objectContaining({
        tries: 5,
        behind: 1,
        reason: 'Its effect ends the connection to the database each time',
      }),
    ]);
    isMended = true;
    await replay(scene.posts, 'posts');
    while ((await scene.effects()).length < 3) await new Promise((resolve) => setTimeout(resolve, 20));
    expect(await scene.effects()).toEqual(['2:1', '1:1', '1:2']);
  }, 90_000);

  it('is not one that meets a database that goes away before its effect, however often', async () => {
    await consumer.close();
    await stream.close();
    let left = 8;
    const leaving: Pick<Database, 'query' | 'transaction'> = {
      query: (text, values) => scene.posts.query(text, values),
      transaction: (work) =>
        scene.posts.transaction(async (tx) => {
          if (left-- > 0) await tx.query('SELECT pg_terminate_backend(pg_backend_pid())');
          return work(tx);
        }),
    };
    stream = openStream({ logger: silent });
    consumer = consume({
      database: leaving as Database,
      stream,
      group: 'posts',
      hear: { 'profile-edited': enter },
      logger: silent,
    });
    for (let times = 1; times <= 8; times += 1)
      await expect(stream.publish([event(3, 1)])).rejects.toMatchObject({ code: 'SUBGRAPH_UNAVAILABLE' });
    await stream.publish([event(3, 1)]);
    expect(await quarantined(scene.posts)).toEqual([]);
    expect((await scene.effects()).at(-1)).toBe('3:1');
  }, 60_000);
});
