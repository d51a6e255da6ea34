import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';

import type { DomainEvent, Envelope } from '#libs/events';
import { newId } from '#libs/identity';

import { event } from './scene.contract.js';
import { TOGETHER, type HandleEvents, type Listeners, type Stream, type Subscription } from './stream.js';

const LISTENERS: Listeners = { users: ['posts'], followers: [], posts: [] };

/** What every stream promises. `open` gives streams over the same (empty) transport; `world` is one process after another. */
export function streamContract(open: (listeners: Listeners) => Promise<Stream>): void {
  let stream: Stream;
  let subscriptions: Subscription[];

  beforeEach(async () => {
    stream = await open(LISTENERS);
    subscriptions = [];
  });
  afterEach(async () => {
    for (const subscription of subscriptions) await subscription.close();
    await stream.close();
  });

  function subscribe(group: string, handle: HandleEvents, sources: ('users' | 'posts' | 'followers')[] = ['users']) {
    const subscription = stream.subscribe(group, sources, handle);
    subscriptions.push(subscription);
    return subscription;
  }

  /** As the relay does: until it is taken. */
  async function publish(events: readonly DomainEvent[]): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await stream.publish(events);
      } catch (error) {
        if (attempt === 100) throw error;
        await sleep(5);
      }
    }
  }

  describe('a stream', () => {
    it('tells how long a group has not handled what it was told', async () => {
      const [begun, go] = [gate(), gate()];
      const posts = subscribe('posts', async () => {
        begun.open();
        await go.passed;
      });
      expect(await stream.unheardMs?.('users', 'posts')).toBe(0);
      const told = publish([event(1, 1)]);
      await begun.passed;
      await sleep(20);
      expect(await stream.unheardMs?.('users', 'posts')).toBeGreaterThanOrEqual(10);
      expect(await stream.unheardMs?.('posts', 'posts')).toBe(0);
      go.open();
      await told;
      await posts.settled();
      expect(await stream.unheardMs?.('users', 'posts')).toBe(0);
    });

    it('gives every group all events of its sources in order, at most a hundred at a time', async () => {
      const posts: Envelope[][] = [];
      const followers: Envelope[][] = [];
      const one = subscribe('posts', async (events) => void posts.push([...events]), ['users', 'followers']);
      const two = subscribe('followers', async (events) => void followers.push([...events]));
      const told = Array.from({ length: 250 }, (_, nth) => event(nth % 7, 1 + Math.floor(nth / 7)));
      await publish(told.slice(0, 200));
      await publish(told.slice(200));
      const relation = follow(1);
      await publish([relation]);
      await one.settled();
      await two.settled();
      expect(posts.flat().filter(({ source }) => source === 'users')).toEqual(told);
      expect(posts.flat().filter(({ source }) => source === 'followers')).toEqual([relation]);
      expect(followers.flat()).toEqual(told);
      expect(Math.max(...posts.map((events) => events.length))).toBeLessThanOrEqual(TOGETHER);
    });

    it('gives refused events again, before any later ones', async () => {
      const taken: string[] = [];
      let refusals = 0;
      const subscription = subscribe('posts', async (events) => {
        if (refusals++ < 3) throw new Error('not now');
        taken.push(...events.map(numbers));
      });
      const later = publish([event(1, 1), event(2, 1)]).then(() => publish([event(1, 2)]));
      await later;
      await subscription.settled();
      expect(firsts(taken)).toEqual(['1:1', '2:1', '1:2']);
    });

    it('calls a group for one source never twice at once', async () => {
      let now = 0;
      let most = 0;
      const subscription = subscribe('posts', async () => {
        most = Math.max(most, ++now);
        await sleep(1);
        now -= 1;
      });
      await Promise.all(Array.from({ length: 20 }, (_, nth) => publish([event(nth, 1)])));
      await subscription.settled();
      expect(most).toBe(1);
    });

    it('keeps what was published while a group was away, from the group’s first day on', async () => {
      const taken: string[] = [];
      const early = publish([event(1, 1)]);
      const first = subscribe('posts', async (events) => void taken.push(...events.map(numbers)));
      await early;
      await first.settled();
      await first.close();
      const meanwhile = publish([event(1, 2)]);
      const second = subscribe('posts', async (events) => void taken.push(...events.map(numbers)));
      await meanwhile;
      await second.settled();
      expect(taken).toEqual(['1:1', '1:2']);
    });

    it('waits with closing a subscription for the events in hand, and gives none after', async () => {
      const taken: string[] = [];
      const [begun, go] = [gate(), gate()];
      const subscription = subscribe('posts', async (events) => {
        begun.open();
        await go.passed;
        taken.push(...events.map(numbers));
      });
      const told = stream.publish([event(1, 1)]);
      await begun.passed;
      const closed = subscription.close().then(() => taken.push('closed'));
      go.open();
      await closed;
      await told.catch(() => undefined);
      expect(taken).toEqual(['1:1', 'closed']);
      const refused = stream.publish([event(1, 2)]).catch(() => undefined);
      await refused;
      expect(taken).toEqual(['1:1', 'closed']);
    });

    it('is settled when what was published has been handled, and says what it waits for', async () => {
      const [begun, go] = [gate(), gate()];
      const subscription = subscribe('posts', async () => {
        begun.open();
        await go.passed;
      });
      const told = publish([event(1, 1)]);
      await begun.passed;
      await expect(subscription.settled(20)).rejects.toThrow(/waited in vain for group posts/);
      go.open();
      await told;
      await subscription.settled();
    });

    it('under refusals at random, tells each aggregate’s events for the first time in order', async () => {
      const taken: string[] = [];
      let random = 7;
      const subscription = subscribe('posts', async (events) => {
        random = (random * 16_807) % 2_147_483_647;
        if (random % 3 === 0) throw new Error('bad luck');
        taken.push(...events.map(numbers));
      });
      for (let version = 1; version <= 20; version++) {
        const batch = Array.from({ length: 30 }, (_, nth) => event(nth, version));
        await publish(batch);
      }
      await subscription.settled(15_000);
      for (let nth = 0; nth < 30; nth++) {
        const versions = firsts(taken).filter((one) => one.startsWith(`${nth}:`));
        expect(versions).toEqual(Array.from({ length: 20 }, (_, before) => `${nth}:${before + 1}`));
      }
    });

    it('publishes nothing once it is closed', async () => {
      await stream.close();
      await expect(stream.publish([event(1, 1)])).rejects.toThrow();
    });
  });
}

/** `<person>:<version>` */
export function numbers(event: Envelope): string {
  return `${Number(event.aggregate.slice(-12))}:${event.aggregateVersion}`;
}

/** What an inbox would let through. */
export function firsts(taken: readonly string[]): string[] {
  return [...new Set(taken)];
}

export function gate(): { passed: Promise<void>; open: () => void } {
  let open = (): void => undefined;
  const passed = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { passed, open };
}

function follow(nth: number): DomainEvent<'follow-ended'> {
  const [followerId, followeeId] = [newId(), newId()];
  return {
    id: newId(),
    type: 'follow-ended',
    version: 1,
    source: 'followers',
    aggregate: `relation:${followerId}:${followeeId}`,
    aggregateVersion: nth,
    at: new Date().toISOString(),
    actor: null,
    payload: { followerId, followeeId },
  };
}
