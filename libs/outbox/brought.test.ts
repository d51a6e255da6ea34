import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';

import type { DomainEvent } from '#libs/events';
import { silent } from '#libs/telemetry';

import { consume, openStream, quarantined, recordedEvents, Relay, type Consumer, type Stream } from './index.js';
import { enter, event, openScene, person, tell, type Scene } from './scene.contract.js';

let scene: Scene;
let stream: Stream;
let consumer: Consumer;
let opened: { close(): Promise<void> }[] = [];

beforeAll(async () => {
  scene = await openScene();
});
afterAll(() => scene.close());

beforeEach(async () => {
  await begin();
});
afterEach(async () => {
  await end();
});

async function begin(): Promise<void> {
  await scene.users.query('TRUNCATE outbox, inbox, quarantine');
  await scene.posts.query('TRUNCATE inbox, quarantine, ledger');
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

const aggregate = (nth: number) => `user:${person(nth)}`;
const wanted = (nth: number, version: number) => ({ source: 'users', aggregate: aggregate(nth), version });

describe('events that are brought past the stream', () => {
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

  it('of more than 200 the newest are told', async () => {
    await tell(
      scene.users,
      Array.from({ length: 210 }, (_, nth) => [1, nth + 1] as const),
    );
    const told = await recordedEvents(scene.users, [wanted(1, 205)]);
    expect([told.length, told[0]?.aggregateVersion, told.at(-1)?.aggregateVersion]).toEqual([200, 6, 205]);
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

  it.each([
    ['with a gap', [event(1, 3)], 'cannot be heard yet'],
    [
      'of which one cannot be read',
      [event(1, 2), { ...event(1, 3), payload: {} } as unknown as DomainEvent],
      'payload of profile-edited',
    ],
    ['of a newer program', [{ ...event(1, 2), version: 9 } as unknown as DomainEvent], 'cannot be heard yet'],
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
    const story = fc.array(fc.record({ nth: fc.integer({ min: 1, max: 3 }), brings: fc.boolean() }), {
      minLength: 4,
      maxLength: 24,
    });
    await fc.assert(
      fc
        .asyncProperty(story, async (steps) => {
          const versions = new Map<number, number>();
          const bringing: Promise<unknown>[] = [];
          const relay = new Relay({ database: scene.users, stream, pollMs: 60_000, logger: silent });
          opened.push(relay);
          relay.start();
          for (const { nth, brings } of steps) {
            const version = (versions.get(nth) ?? 0) + 1;
            versions.set(nth, version);
            await tell(scene.users, [[nth, version]]);
            if (brings)
              bringing.push(recordedEvents(scene.users, [wanted(nth, version)]).then((all) => consumer.hearNow(all)));
          }
          await Promise.all(bringing);
          await relay.settled();
          await consumer.settled();
          const effects = await scene.effects();
          for (const [nth, version] of versions)
            expect(effects.filter((effect) => effect.startsWith(`${nth}:`))).toEqual(
              Array.from({ length: version }, (_, one) => `${nth}:${one + 1}`),
            );
        })
        .beforeEach(async () => {
          await end();
          await begin();
        }),
      { numRuns: 8 },
    );
  });
});
