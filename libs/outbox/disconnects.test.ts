import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { provisionServices, type Database, type Tx } from '#libs/database';
import type { DomainEvent } from '#libs/events';
import { silent } from '#libs/telemetry';
import { startFaultProxy, type FaultProxy } from '../../test/servers/fault-proxy.js';
import { withServer } from '../../test/servers/needs.js';
import { consume, openStream, quarantined, replay, type Consumer, type Stream } from './index.js';
import { enter, event, openScene, person, type Scene } from './scene.contract.js';

withServer(['postgres'], 'an event whose effect ends the connection to the database each time', (url = '') => {
  let scene: Scene;
  let stream: Stream;
  let consumer: Consumer;
  let usersUrl = '';
  let postsUrl = '';
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
    usersUrl = urls['users'] ?? '';
    postsUrl = urls['posts'] ?? '';
    scene = await openScene({ users: usersUrl, posts: postsUrl });
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
  });
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
  });

  it('is found also when it came with others, and the server is not back before the first of them is heard alone; control: as long as they are not known again, they end it for ever', async () => {
    await consumer.close();
    await stream.close();
    await scene.empty();
    const { hostname, port } = new URL(postsUrl);
    const door: FaultProxy = await startFaultProxy({ host: hostname, port: Number(port || 5432) });
    const through = Object.assign(new URL(postsUrl), { hostname: '127.0.0.1', port: String(door.port) });
    const behindDoor = await openScene({ users: usersUrl, posts: through.href });
    let crashes = 0;
    stream = openStream({ logger: silent });
    consumer = consume({
      database: behindDoor.posts,
      stream,
      group: 'posts',
      hear: {
        // All connections end, and nobody is let in for a while: a server that recovers from the end of one of its processes.
        'profile-edited': async (tx, one) => {
          if (one.aggregate === `user:${person(2)}`) {
            crashes += 1;
            door.set({ down: true });
          }
          await enter(tx, one);
        },
      },
      logger: silent,
      pausesMs: [60_000],
    });
    try {
      const come = async (told: readonly DomainEvent[]): Promise<void> => {
        await expect(stream.publish(told)).rejects.toMatchObject({ code: 'SUBGRAPH_UNAVAILABLE' });
        door.set({});
      };
      const batch = (): DomainEvent[] => [event(1, 1), event(2, 1), event(3, 1)];
      for (let times = 1; times <= 8; times += 1) await come(batch());
      expect([crashes, await scene.effects(), await quarantined(scene.posts)]).toEqual([8, [], []]);

      const told = batch();
      // Together, and then five times alone.
      for (let times = 1; times <= 6; times += 1) await come(told);
      expect(crashes).toBe(8 + 6);
      await stream.publish(told);
      expect(await scene.effects()).toEqual(['1:1', '3:1']);
      expect(await quarantined(scene.posts)).toMatchObject([
        { tries: 1, reason: 'Its effect ends the connection to the database each time' },
      ]);
      // From then on others are heard together again.
      await stream.publish([event(4, 1), event(5, 1)]);
      expect(await scene.effects()).toEqual(['1:1', '3:1', '4:1', '5:1']);
    } finally {
      await consumer.close();
      await behindDoor.close();
      await door.close();
      await scene.empty();
    }
  });

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
  });
});
