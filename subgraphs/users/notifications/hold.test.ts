import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Database, Tx } from '#libs/database';
import type { DomainEvent } from '#libs/events';
import { newId } from '#libs/identity';
import type { Part } from '#libs/saga';
import { withServer } from '../../../test/servers/needs.js';
import { eraseSlice } from '../on/erase-account.js';
import { blockStarted, followEnded, followStarted, holdNotified } from '../on/notify.js';
import { notificationsOf, unreadCountOf } from '../read/notification.queries.js';
import { markNotificationsRead } from '../write/mark-notifications-read.js';
import { NIL, notify, type Fact } from './facts.js';
import { holdLists } from './hold.js';
import { Scene } from './scene.contract.js';

type Tell = (tx: Tx, fact: Fact) => Promise<void>;

const held: Tell = async (tx, fact) => {
  await holdLists(tx, [fact.recipientId]);
  await notify(tx, [fact]);
};

/** By the clock alone. */
const naive: Tell = async (tx, { recipientId, id, kind, actorId, postId, at }) => {
  const values = [recipientId, id, kind, actorId, postId ?? NIL, at];
  const columns = 'recipient_id, id, kind, actor_id, post_id, at';
  await tx.query(`INSERT INTO notification_facts (${columns}) VALUES ($1, $2, $3, $4, $5, $6)`, values);
  await tx.query(`INSERT INTO notifications (slot, ${columns}) VALUES (1, $1, $2, $3, $4, $5, $6)`, values);
};

const HOUR_MS = 3_600_000;

function follow(recipientId: string, actorId: string, id = newId()): Fact {
  return { id, recipientId, kind: 'follow', actorId, postId: null, at: new Date().toISOString() };
}

async function shown(database: Database, who: string) {
  const told = await notificationsOf(database, who, { after: undefined, take: 100 });
  return { ids: told.map(({ id }) => id), unread: (await unreadCountOf(database, who)) ?? 0 };
}

/** Resolves `opened` when work is done, and then waits for `goOn` before it commits. */
function keptOpen(database: Database, work: (tx: Tx) => Promise<void>) {
  let goOn = (): void => {};
  let done = (): void => {};
  const gate = new Promise<void>((resolve) => (goOn = resolve));
  const opened = new Promise<void>((resolve) => (done = resolve));
  const ended = database.transaction(async (tx) => {
    await work(tx);
    done();
    await gate;
  });
  return { opened: Promise.race([opened, ended]), goOn, ended };
}

/** A process an hour ahead tells of one, which is read; then one of now comes. */
async function afterAClockAhead(scene: Scene, tell: Tell): Promise<number> {
  const [who = '', one = '', other = '', third = ''] = await scene.people(4);
  const { database } = scene;
  await database.transaction((tx) => tell(tx, follow(who, one, newId({ now: Date.now() + HOUR_MS }))));
  await markNotificationsRead(database, who, undefined);
  for (const actor of [other, third]) await database.transaction((tx) => tell(tx, follow(who, actor)));
  const { ids, unread } = await shown(database, who);
  expect([ids.length, new Set(ids).size]).toEqual([3, 3]);
  return unread;
}

function clocks(open: () => Promise<Scene>): void {
  let scene: Scene;
  beforeAll(async () => void (scene = await open()));
  afterAll(() => scene?.close());

  it('that are told by a clock behind another are unread', async () => {
    expect(await afterAClockAhead(scene, held)).toBe(2);
  });

  it('would be read before anybody saw them, were their ids the clock’s (control)', async () => {
    expect(await afterAClockAhead(scene, naive)).toBe(0);
  });

  it('are behind what was read, also when that is gone', async () => {
    const [who = '', one = '', other = ''] = await scene.people(3);
    const ahead = newId({ now: Date.now() + HOUR_MS });
    const { database } = scene;
    await database.transaction((tx) => held(tx, follow(who, one, ahead)));
    await markNotificationsRead(database, who, undefined);
    await scene.hear(scene.followed(one, who), scene.unfollowed(one, who), scene.followed(other, who));
    const { ids, unread } = await shown(database, who);
    expect([ids.length, unread, (ids[0] ?? '') > ahead]).toEqual([1, 1, true]);
  });

  it('of as many as a batch of 100 may concern, each post a reply with ten mentions, can be held at once', async () => {
    const people = Array.from({ length: 1_100 }, () => newId());
    await scene.database.transaction((tx) => holdLists(tx, people));
  });
}

describe('notifications, embedded', () => clocks(() => Scene.open()));

withServer('postgres', 'notifications, on PostgreSQL', (adminUrl) => {
  clocks(() => Scene.open(adminUrl));

  describe('of two transactions at once', () => {
    let scene: Scene;
    let database: Database;
    beforeAll(async () => {
      scene = await Scene.open(adminUrl);
      database = scene.database;
    });
    afterAll(() => scene?.close());

    /** Until it is done, or somebody waits. */
    const doneOrWaiting = async (work: Promise<unknown>): Promise<void> => {
      let done = false;
      void work.finally(() => (done = true)).catch(() => {});
      const waits = `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'advisory'`;
      while (!done && (await database.query(waits)).length === 0);
    };

    /** One is told and not yet committed; a later one comes; what is shown then is marked as read up to the newest. */
    const unseenAndUnread = async (tell: Tell): Promise<number[]> => {
      const [who = '', one = '', other = ''] = await scene.people(3);
      const early = keptOpen(database, (tx) => tell(tx, follow(who, one)));
      await early.opened;
      const late = database.transaction((tx) => tell(tx, follow(who, other)));
      await doneOrWaiting(late);
      const seen = (await shown(database, who)).ids;
      if (seen.length > 0) await markNotificationsRead(database, who, seen[0]);
      early.goOn();
      await Promise.all([early.ended, late]);
      const { ids, unread } = await shown(database, who);
      expect(ids).toHaveLength(2);
      return [ids.length - seen.length, unread];
    };

    it('what nobody has seen is unread, however long the other one takes', async () => {
      expect(await unseenAndUnread(held)).toEqual([2, 2]);
    });

    it('what nobody has seen is read, were each told by itself (control)', async () => {
      expect(await unseenAndUnread(naive)).toEqual([1, 0]);
    });

    /** While all is being marked as read the newest is taken back, and one comes by a clock that is behind it. */
    const unreadBesideMark = async (mark: (tx: Tx, who: string) => Promise<void>): Promise<number> => {
      const [who = '', one = '', other = ''] = await scene.people(3);
      await database.transaction((tx) => held(tx, follow(who, one, newId({ now: Date.now() + HOUR_MS }))));
      const marking = keptOpen(database, (tx) => mark(tx, who));
      await marking.opened;
      await database.transaction((tx) =>
        followEnded(tx, scene.unfollowed(one, who) as Parameters<typeof followEnded>[1]),
      );
      const late = database.transaction((tx) => held(tx, follow(who, other)));
      await doneOrWaiting(late);
      marking.goOn();
      await Promise.all([marking.ended, late]);
      return (await shown(database, who)).unread;
    };

    it('what comes while all is marked as read is unread', async () => {
      const mark = (tx: Tx, who: string) => markNotificationsRead({ transaction: (work) => work(tx) }, who, undefined);
      expect(await unreadBesideMark(mark)).toBe(1);
    });

    it('what comes while all is marked as read is read, were the list not held for that (control)', async () => {
      const mark = async (tx: Tx, who: string) =>
        void (await tx.query(
          'INSERT INTO notification_reads SELECT $1, id FROM notifications WHERE slot = 1 AND recipient_id = $1',
          [who],
        ));
      expect(await unreadBesideMark(mark)).toBe(0);
    });

    it('everybody whom a batch concerns is held until it is committed, and nobody else', async () => {
      const [author = '', liked = '', followed = '', answered = '', named = '', nobody = ''] = await scene.people(6);
      const [row] = await database.query<{ handle: string }>('SELECT handle FROM users WHERE id = $1', [named]);
      const batch = keptOpen(database, (tx) =>
        holdNotified(tx, [
          scene.liked(newId(), liked, author),
          scene.followed(author, followed),
          scene.published(author, `hello @${row?.handle}`, answered),
        ]),
      );
      await batch.opened;
      const free = await database.query<{ id: string }>(
        `SELECT id FROM unnest($1::uuid[]) AS id WHERE pg_try_advisory_xact_lock(hashtextextended('notifications ' || id, 0))`,
        [[author, liked, followed, answered, named, nobody]],
      );
      batch.goOn();
      await batch.ended;
      expect(free.map(({ id }) => id)).toEqual([author, nobody]);
    });

    it.each<[string, (who: string, other: string) => DomainEvent]>([
      ['somebody is told', (who, other) => scene.followed(other, who)],
      ['somebody is told of', (who, other) => scene.followed(who, other)],
      ['somebody has blocked', (who, other) => scene.blocked(who, other)],
      ['hides somebody', (who, other) => scene.blocked(other, who)],
    ])('what %s who is erased meanwhile is gone in the end', async (_, happened) => {
      const [who = '', other = ''] = await scene.people(2);
      const event = happened(who, other);
      const left = async (): Promise<number> => {
        const [row] = await database.query<{ n: number }>(
          `SELECT (SELECT count(*) FROM notification_facts WHERE $1 IN (recipient_id, actor_id))::int
             + (SELECT count(*) FROM notifications WHERE $1 IN (recipient_id, actor_id))::int
             + (SELECT count(*) FROM block_edges WHERE $1 IN (blocker_id, blocked_id))::int AS n`,
          [who],
        );
        return row?.n ?? 0;
      };
      const hear = async (tx: Tx): Promise<void> => {
        // As the inbox does, before its effect.
        await tx.query('SELECT pg_current_xact_id()');
        await holdNotified(tx, [event]);
        if (event.type === 'follow-started') await followStarted(tx, event);
        if (event.type === 'block-started') await blockStarted(tx, event);
      };
      let cursor: string | undefined = '';
      const slice = async (): Promise<string | undefined> => {
        const part = { userId: who, cursor } as Part;
        return (cursor = await database.transaction((tx) => eraseSlice(tx, part)));
      };

      const heard = keptOpen(database, hear);
      await heard.opened;
      await database.query('UPDATE users SET deleted_at = now() WHERE id = $1', [who]);
      while ((await slice()) === '');
      for (let times = 0; times < 3; times += 1) expect(await slice()).toMatch(/^late /);
      expect(await left()).toBe(0);
      heard.goOn();
      await heard.ended;
      // The control: an erasure that has ended by now.
      expect(await left()).toBeGreaterThan(0);
      while ((await slice()) !== undefined);
      expect(await left()).toBe(0);
      // And what comes after that is nothing.
      await database.transaction(hear);
      expect(await left()).toBe(0);
    });

    /** Runs of so many transactions at once, each of which holds all these people, begun at another one. */
    const runsOf = async (atOnce: number, hold: (tx: Tx, people: string[]) => Promise<void>): Promise<number> => {
      const people = await scene.people(atOnce);
      let runs = 0;
      const all = people.map((_, nth) =>
        database.transaction(async (tx) => {
          runs += 1;
          await hold(tx, [...people.slice(nth), ...people.slice(0, nth)]);
        }),
      );
      await Promise.allSettled(all);
      return runs;
    };

    it('nobody waits in a circle, in whatever order two batches name people', async () => {
      for (let round = 0; round < 20; round += 1) expect(await runsOf(8, holdLists)).toBe(8);
    });

    it('two wait for each other that hold people one by one (control)', async () => {
      let holding = 0;
      const oneByOne = async (tx: Tx, people: string[]): Promise<void> => {
        for (const id of people) {
          await holdLists(tx, [id]);
          holding += 1;
          while (holding < 2) await new Promise((resolve) => setTimeout(resolve, 1));
        }
      };
      // PostgreSQL finds it after a second, and one of them is run again.
      expect(await runsOf(2, oneByOne)).toBeGreaterThan(2);
    });
  });
});
