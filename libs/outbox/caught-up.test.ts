import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Envelope } from '#libs/events';
import { newId } from '#libs/identity';
import { silent } from '#libs/telemetry';
import { CaughtUp } from './index.js';
import { openScene, person, type Scene } from './scene.contract.js';

let scene: Scene;
beforeAll(async () => {
  scene = await openScene();
});
afterAll(() => scene.close());

let next = 0;
const fresh = (): string => `user:${person(++next)}`;
const LONG_MS = 60_000;

async function hears(aggregate: string, version: number, agoMs = 0): Promise<void> {
  await scene.posts.query(
    `INSERT INTO inbox (consumer, aggregate, aggregate_version, event_id, handled_at)
     VALUES ('posts', $1, $2, $3, now() - $4 * interval '1 ms')
     ON CONFLICT (consumer, aggregate) DO UPDATE SET aggregate_version = $2, handled_at = excluded.handled_at`,
    [aggregate, version, newId(), agoMs],
  );
}

const caughtUp = (now?: () => number) =>
  new CaughtUp({
    database: scene.posts,
    group: 'posts',
    sources: ['users'],
    logger: silent,
    ...(now === undefined ? {} : { now }),
  });
const of = (aggregate: string, version = 1) => ({ source: 'users', aggregate, version });

describe('a reader who has written elsewhere', () => {
  it('waits for nothing of a service that is not heard here', async () => {
    const before = scene.posts.statements;
    const standing = await caughtUp().wait([{ source: 'followers', aggregate: fresh(), version: 1 }], LONG_MS);
    expect(standing).toEqual({ behind: [], justHeard: false });
    expect(scene.posts.statements).toBe(before);
  });

  it('goes on when the effect is committed, also by another process, and is told that its caches may still be there', async () => {
    const aggregate = fresh();
    const waiting = caughtUp().wait([of(aggregate)], LONG_MS);
    await hears(aggregate, 1);
    expect(await waiting).toEqual({ behind: [], justHeard: true });
  });

  it('is not told so when this process has seen it for longer than it takes to drop a cache, and asks no more', async () => {
    let nowMs = 0;
    const [aggregate, service] = [fresh(), caughtUp(() => nowMs)];
    await hears(aggregate, 1);
    const told = async (version = 1) => (await service.wait([of(aggregate, version)], LONG_MS)).justHeard;
    expect(await told()).toBe(true);
    nowMs = 4_999;
    expect(await told()).toBe(true);
    // Each version has its own drop.
    await hears(aggregate, 2);
    expect(await told(2)).toBe(true);
    nowMs = 9_998;
    expect(await told(2)).toBe(true);
    nowMs = 9_999;
    expect(await told(2)).toBe(false);
    const before = scene.posts.statements;
    expect([await told(1), await told(2)]).toEqual([false, false]);
    expect(scene.posts.statements).toBe(before);
  });

  it('is told so when the transaction that has heard it began long before it was committed', async () => {
    const aggregate = fresh();
    await hears(aggregate, 1, 10_000);
    expect(await caughtUp().wait([of(aggregate)], LONG_MS)).toEqual({ behind: [], justHeard: true });
    // The control: by the row alone, whose time is that of BEGIN, it would be long over.
    const byRow = `SELECT handled_at < now() - interval '5 s' AS dropped FROM inbox WHERE aggregate = $1`;
    expect(await scene.posts.query(byRow, [aggregate])).toEqual([{ dropped: true }]);
  });

  it('goes on without a statement when this process has heard it', async () => {
    const [aggregate, service] = [fresh(), caughtUp()];
    service.heard([{ aggregate, aggregateVersion: 3 } as Envelope]);
    const before = scene.posts.statements;
    expect(await service.wait([of(aggregate, 3)], LONG_MS)).toEqual({ behind: [], justHeard: false });
    expect(scene.posts.statements).toBe(before);
  });

  it('goes on without a statement when this process has written it', async () => {
    const [aggregate, service] = [fresh(), caughtUp()];
    service.wrote([of(aggregate, 2)]);
    const before = scene.posts.statements;
    expect(await service.wait([of(aggregate, 2)], LONG_MS)).toEqual({ behind: [], justHeard: false });
    expect(scene.posts.statements).toBe(before);
  });

  it('is woken by what this process hears while it waits', async () => {
    const [aggregate, service] = [fresh(), caughtUp()];
    const waiting = service.wait([of(aggregate)], LONG_MS);
    service.heard([{ aggregate, aggregateVersion: 1 } as Envelope]);
    expect(await waiting).toEqual({ behind: [], justHeard: false });
  });

  it('is told what has not come when its time is over; an earlier version is not enough', async () => {
    const [come, not] = [fresh(), fresh()];
    await hears(come, 5, 10_000);
    await hears(not, 1, 10_000);
    const standing = await caughtUp().wait([of(come, 5), of(not, 2)], 100);
    expect(standing.behind).toEqual([of(not, 2)]);
  });

  it('shares its statement with all who wait', async () => {
    const [aggregate, service] = [fresh(), caughtUp()];
    const before = scene.posts.statements;
    const waiting = Array.from({ length: 200 }, () => service.wait([of(aggregate)], LONG_MS));
    await hears(aggregate, 1);
    await Promise.all(waiting);
    expect(scene.posts.statements - before).toBeLessThan(20);
  });

  it('who comes when the last one has just gone on is asked for too', async () => {
    const service = caughtUp();
    for (let turn = 0; turn < 20; turn += 1) {
      const aggregate = fresh();
      await hears(aggregate, 1);
      expect(await service.wait([of(aggregate)], LONG_MS)).toMatchObject({ behind: [] });
    }
  });

  it('is let go when the service stops', async () => {
    const [aggregate, service] = [fresh(), caughtUp()];
    const waiting = service.wait([of(aggregate)], LONG_MS);
    await service.close();
    expect((await waiting).behind).toEqual([of(aggregate)]);
  });
});
