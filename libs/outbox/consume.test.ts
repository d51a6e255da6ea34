import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';

import type { DomainEvent } from '#libs/events';
import { silent } from '#libs/telemetry';

import { consume, openStream, quarantined, Relay, replay, type Stream, type Subscription } from './index.js';
import { enter, event, openScene, record, tell, type Scene } from './scene.contract.js';

let scene: Scene;
let stream: Stream;
let open: { close(): Promise<void> }[] = [];

beforeAll(async () => {
  scene = await openScene();
});
afterAll(() => scene.close());

afterEach(async () => {
  for (const one of open.reverse()) await one.close();
});

beforeEach(async () => {
  await scene.users.query('TRUNCATE outbox');
  await scene.posts.query('TRUNCATE inbox, quarantine, ledger');
  stream = openStream({ logger: silent });
  open = [stream];
});

function hear(options: Partial<Parameters<typeof consume>[0]> = {}): Subscription {
  const consumer = consume({
    database: scene.posts,
    stream,
    group: 'posts',
    hear: { 'profile-edited': enter },
    logger: silent,
    pausesMs: [1, 1, 1, 1, 1],
    ...options,
  });
  open.push(consumer);
  return consumer;
}

function relay(): Relay {
  const made = new Relay({ database: scene.users, stream, pollMs: 60_000, logger: silent });
  made.start();
  open.push(made);
  return made;
}

describe('from a fact to its effect', () => {
  it('a committed fact takes effect once, a rolled back one never', async () => {
    const consumer = hear();
    const outbox = relay();
    await tell(scene.users, [[1, 1]]);
    await expect(
      scene.users.transaction(async (tx) => {
        await record(tx, [[2, 1]]);
        throw new Error('changed my mind');
      }),
    ).rejects.toThrow('changed my mind');
    await tell(scene.users, [
      [1, 2],
      [3, 1],
    ]);
    await outbox.settled();
    await consumer.settled();
    expect(await scene.effects()).toEqual(['1:1', '1:2', '3:1']);
  });
});
