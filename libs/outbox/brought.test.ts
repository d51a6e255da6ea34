import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';

import { provisionServices } from '#libs/database';
import type { DomainEvent } from '#libs/events';
import { silent } from '#libs/telemetry';

import { withServer } from '../../test/servers/needs.js';
import {
  consume,
  countAsHeard,
  openStream,
  quarantined,
  recordedEvents,
  Relay,
  type Consumer,
  type Stream,
} from './index.js';
import { enter, event, openScene, person, tell, type Scene } from './scene.contract.js';

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, nth) => from + nth);
const aggregate = (nth: number) => `user:${person(nth)}`;
const wanted = (nth: number, to: number, from = 1) => ({ aggregate: aggregate(nth), from, to });

describe('events that are brought past the stream, embedded', () => broughtSuite(() => openScene()));

/** There the consumer and who brings have a connection each, and meet at the rows of the inbox. */
withServer(['postgres'], 'events that are brought past the stream, on PostgreSQL', (url) => {
  broughtSuite(async () => {
    const passwords = { users: 'secret', posts: 'secret' };
    const urls = await provisionServices(url, ['users', 'posts'], passwords, { prefix: 'brought_test_' });
    return openScene({ users: urls['users'] ?? '', posts: urls['posts'] ?? '' });
  });
});

function broughtSuite(open: () => Promise<Scene>): void {
  let scene: Scene;
  let stream: Stream;
  let consumer: Consumer;
  let opened: { close(): Promise<void> }[] = [];

  beforeAll(async () => {
    scene = await open();
  });
  afterAll(() => scene.close());

  beforeEach(begin);
  afterEach(end);

  async function begin(): Promise<void> {
    await scene.empty();
    stream = openStream({ logger: silent });
    consumer = consume({
      database: scene.posts,
      stream,
      group: 'posts',
      hear: { 'profile-edited': enter },
      logger: silent,
      pausesMs: [1, 1, 1, 1],
    });
    opened = [stream, consumer];
  }

  async function end(): Promise<void> {
    for (const one of opened.reverse()) await one.close();
  }

  it('are what the outbox retains of an aggregate up to a version, published or not', async () => {
    await tell(scene.users, [
      [1, 1],
      [2, 1],
      [1, 2],
      [1, 3],
    ]);
    await scene.users.query('UPDATE outbox SET published_at = now() WHERE aggregate_version = 1');
    const told = await recordedEvents(scene.users, [wanted(1, 2), wanted(9, 1)]);
    expect(told.map(({ aggregate: of, aggregateVersion }) => [of, aggregateVersion])).toEqual([
      [aggregate(1), 1],
      [aggregate(1), 2],
    ]);
    expect(await recordedEvents(scene.users, [])).toEqual([]);
  });

  it('of more than 200 the first are told, and whoever has heard them asks for the next', async () => {
    await tell(
      scene.users,
      Array.from({ length: 210 }, (_, nth) => [1, nth + 1] as const),
    );
    const versions = async (from: number) =>
      (await recordedEvents(scene.users, [wanted(1, 205, from)])).map((one) => one.aggregateVersion);
    expect([await versions(1), await versions(201)]).toEqual([range(1, 200), range(201, 205)]);
  });

  it('take effect before the relay has told them, and once, when it tells them; what follows them follows', async () => {
    await tell(scene.users, [
      [1, 1],
      [2, 1],
      [1, 2],
    ]);
    await consumer.hearNow(await recordedEvents(scene.users, [wanted(1, 2)]));
    expect(await scene.effects()).toEqual(['1:1', '1:2']);
    const relay = new Relay({ database: scene.users, stream, pollMs: 60_000, logger: silent });
    opened.push(relay);
    relay.start();
    await tell(scene.users, [[1, 3]]);
    await relay.settled();
    await consumer.settled();
    expect(await scene.effects()).toEqual(['1:1', '1:2', '2:1', '1:3']);
    // The control: brought by a way that no inbox sees, they take effect twice.
    const again = await recordedEvents(scene.users, [wanted(1, 3)]);
    for (const one of again) await scene.posts.transaction((tx) => enter(tx, one));
    expect((await scene.effects()).filter((effect) => effect === '1:3')).toHaveLength(2);
  });

  it('are told to whoever waits, after their transaction', async () => {
    const heard: string[] = [];
    const telling = consume({
      database: scene.posts,
      stream: openStream({ logger: silent }),
      group: 'posts',
      hear: { 'profile-edited': enter },
      logger: silent,
      heard: (events) => void heard.push(...events.map((one) => `${one.aggregateVersion}`)),
    });
    opened.push(telling);
    await telling.hearNow([event(1, 1), event(1, 2)]);
    expect(heard).toEqual(['1', '2']);
  });

  it('of an aggregate that was never heard of begin with its first, for nothing says that there was none before', async () => {
    await expect(consumer.hearNow([event(1, 2)])).rejects.toThrow('its first event was not brought');
    expect(await scene.effects()).toEqual([]);
    // The control: the stream, which lets none overtake another, may begin anywhere; what comes before then is found heard, and lost.
    await stream.publish([event(1, 2)]);
    await stream.publish([event(1, 1)]);
    await consumer.settled();
    expect(await scene.effects()).toEqual(['1:2']);
  });

  it('of what was loaded in bulk begin behind what it was loaded with, by whichever way; what was heard already stays', async () => {
    await consumer.hearNow([event(2, 1), event(2, 2)]);
    await countAsHeard(scene.posts, 'posts', [aggregate(1), aggregate(2), aggregate(3)], 1);
    await consumer.hearNow([event(1, 2), event(2, 3)]);
    await stream.publish([event(1, 2), event(3, 2), event(1, 3)]);
    await consumer.settled();
    expect(await scene.effects()).toEqual(['2:1', '2:2', '1:2', '2:3', '3:2', '1:3']);
    expect(await quarantined(scene.posts)).toEqual([]);
    // The control: loaded without, it is brought in vain.
    await expect(consumer.hearNow([event(4, 2)])).rejects.toThrow('its first event was not brought');
  });

  it.each([
    ['with a gap', [event(1, 3)], 'cannot be heard yet'],
    [
      'of which one cannot be read',
      [event(1, 2), { ...event(1, 3), payload: {} } as unknown as DomainEvent],
      'payload of profile-edited',
    ],
    ['of a newer program', [{ ...event(1, 2), version: 9 } as unknown as DomainEvent], 'came 9'],
  ])(
    '%s have no effect at all, and are not held back: the stream brings them in their turn',
    async (_, brought, why) => {
      await consumer.hearNow([event(1, 1)]);
      await expect(consumer.hearNow(brought)).rejects.toThrow(why);
      expect(await scene.effects()).toEqual(['1:1']);
      expect(await quarantined(scene.posts)).toEqual([]);
    },
  );

  it('do not pass by one that is in quarantine', async () => {
    await consumer.hearNow([event(1, 1)]);
    await stream.publish([{ ...event(1, 2), payload: {} } as unknown as DomainEvent]);
    await consumer.settled();
    await expect(consumer.hearNow([event(1, 2), event(1, 3)])).rejects.toThrow('cannot be heard yet');
    expect(await scene.effects()).toEqual(['1:1']);
  });

  it('each take effect once and in order, whenever they are brought beside the stream', async () => {
    const step = fc.record({ nth: fc.integer({ min: 1, max: 3 }), brings: fc.boolean() });
    const story = fc.record({
      steps: fc.array(step, { minLength: 4, maxLength: 24 }),
      // Until then the stream brings nothing.
      relayAt: fc.integer({ min: 0, max: 12 }),
    });
    await fc.assert(
      fc
        .asyncProperty(story, async ({ steps, relayAt }) => {
          const versions = new Map<number, number>();
          const bringing: Promise<unknown>[] = [];
          const relay = new Relay({ database: scene.users, stream, pollMs: 60_000, logger: silent });
          opened.push(relay);
          for (const [at, { nth, brings }] of steps.entries()) {
            if (at === relayAt) relay.start();
            const version = (versions.get(nth) ?? 0) + 1;
            versions.set(nth, version);
            await tell(scene.users, [[nth, version]]);
            const bring = async (): Promise<void> => {
              await consumer.hearNow(await recordedEvents(scene.users, [wanted(nth, version)]));
              expect(await scene.effects()).toContain(`${nth}:${version}`);
            };
            // Two readers at once.
            if (brings) bringing.push(bring(), bring());
          }
          await Promise.all(bringing);
          if (relayAt >= steps.length) relay.start();
          await relay.settled();
          await consumer.settled();
          const effects = await scene.effects();
          for (const [nth, version] of versions)
            expect(effects.filter((effect) => effect.startsWith(`${nth}:`))).toEqual(
              range(1, version).map((one) => `${nth}:${one}`),
            );
        })
        .beforeEach(async () => {
          await end();
          await begin();
        }),
      { numRuns: 8 },
    );
  });
}
