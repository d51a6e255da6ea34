import { describe, expect, it } from '@jest/globals';

import { InProcessStream } from './in-process-stream.js';
import { event } from './scene.contract.js';
import { firsts, gate, numbers, streamContract } from './stream.contract.js';

streamContract(async (listeners) => new InProcessStream({ listeners, absentMs: 20 }));

describe('the stream in one process', () => {
  it('publishes only when every group has handled the events', async () => {
    const stream = new InProcessStream({ listeners: {} });
    const go = gate();
    stream.subscribe('quick', ['users'], async () => undefined);
    stream.subscribe('slow', ['users'], () => go.passed);
    let published = false;
    const publishing = stream.publish([event(1, 1)]).then(() => {
      published = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(published).toBe(false);
    go.open();
    await publishing;
    await stream.close();
  });

  it('refuses to publish while a listener has not subscribed, or has left: the events stay in the outbox', async () => {
    const stream = new InProcessStream({ listeners: { users: ['posts'] }, absentMs: 1 });
    await expect(stream.publish([event(1, 1)])).rejects.toThrow('group posts to hear the events of users');
    const subscription = stream.subscribe('posts', ['users'], async () => undefined);
    await stream.publish([event(1, 1)]);
    await subscription.close();
    await expect(stream.publish([event(1, 2)])).rejects.toThrow('group posts to hear the events of users');
    await stream.close();
  });

  it('control: a stream that publishes to whoever is there loses the events for a group that starts late', async () => {
    const stream = new InProcessStream({ listeners: {}, absentMs: 1 });
    await stream.publish([event(1, 1)]);
    const taken: string[] = [];
    stream.subscribe('posts', ['users'], async (events) => void taken.push(...events.map(numbers)));
    await stream.publish([event(1, 2)]);
    expect(taken).toEqual(['1:2']);
    await stream.close();
  });

  it('ends a call at the first refusal: a later event of the same call is not handled before the earlier one', async () => {
    const stream = new InProcessStream({ listeners: {} });
    const taken: string[] = [];
    let calls = 0;
    stream.subscribe('posts', ['users'], async (events) => {
      if (calls++ === 0) throw new Error('the database blinked');
      taken.push(...events.map(numbers));
    });
    const told = Array.from({ length: 150 }, (_, nth) => event(nth % 100, nth < 100 ? 1 : 2));
    await expect(stream.publish(told)).rejects.toThrow('the database blinked');
    expect(taken).toEqual([]);
    await stream.publish(told);
    expect(firsts(taken)).toEqual(told.map(numbers));
    await stream.close();
  });

  it('takes at most its bound of calls that wait', async () => {
    const stream = new InProcessStream({ listeners: {}, callsMax: 2 });
    const go = gate();
    stream.subscribe('posts', ['users'], () => go.passed);
    const taken = [stream.publish([event(1, 1)]), stream.publish([event(2, 1)])];
    await expect(stream.publish([event(3, 1)])).rejects.toThrow('the stream is full');
    go.open();
    await Promise.all(taken);
    await stream.close();
  });
});
