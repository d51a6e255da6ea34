import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';

import type { Database } from '#libs/database';
import { EVENTS, type Catalogue, type DomainEvent } from '#libs/events';
import { readGauges, silent } from '#libs/telemetry';

import {
  consume,
  openStream,
  outboxGauges,
  quarantined,
  recordEvent,
  Relay,
  replay,
  type Handlers,
  type Stream,
  type Subscription,
} from './index.js';
import { enter, event, openScene, person, record, tell, type Scene } from './scene.contract.js';

let scene: Scene;
let stream: Stream;
let opened: { close(): Promise<void> }[] = [];

beforeAll(async () => {
  scene = await openScene();
});
afterAll(() => scene.close());

beforeEach(async () => {
  await scene.empty();
  stream = openStream({ logger: silent });
  opened = [stream];
});
afterEach(async () => {
  for (const one of opened.reverse()) await one.close();
});

function hear(options: Partial<Parameters<typeof consume>[0]> = {}): Subscription {
  const consumer = consume({
    database: scene.posts,
    stream,
    group: 'posts',
    hear: { 'profile-edited': enter },
    logger: silent,
    pausesMs: [1, 1, 1, 1],
    ...options,
  });
  opened.push(consumer);
  return consumer;
}

/** As `consume` is seen by a stream: hands over events and waits until what can be tried has been. */
async function bring(consumer: Subscription, ...events: readonly DomainEvent[]): Promise<void> {
  await stream.publish(events);
  await consumer.settled();
}

describe('from a fact to its effect', () => {
  it('a committed fact takes effect once and in order, a rolled back one never', async () => {
    const consumer = hear();
    const relay = new Relay({ database: scene.users, stream, pollMs: 60_000, logger: silent });
    opened.push(relay);
    relay.start();
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
    await relay.settled();
    await consumer.settled();
    expect(await scene.effects()).toEqual(['1:1', '1:2', '3:1']);
  });

  it('a fact that is not told is on a gauge by its age, until it is', async () => {
    const age = outboxGauges(scene.users).find(({ name }) => name === 'tributary_outbox_age_seconds')!;
    expect(await age.read()).toBe(0);
    hear();
    const relay = new Relay({ database: scene.users, stream, pollMs: 60_000, logger: silent });
    opened.push(relay);
    await tell(scene.users, [
      [1, 1],
      [2, 1],
    ]);
    await scene.users.query(`UPDATE outbox SET at = now() - interval '90 s' WHERE aggregate LIKE '%1'`);
    expect(await age.read()).toBeCloseTo(90, -1);
    await relay.settled();
    expect(await age.read()).toBe(0);
  });

  it('takes effect in the order of the stream, also between aggregates of one batch', async () => {
    const consumer = hear();
    await bring(consumer, event(1, 1), event(1, 2), event(1, 3), event(2, 1), event(3, 1), event(2, 2));
    expect(await scene.effects()).toEqual(['1:1', '1:2', '1:3', '2:1', '3:1', '2:2']);
  });

  it('refuses a payload that is not what the catalogue says, and the fact with it', async () => {
    const wrong = { userId: 'alice', handle: 'alice', previousHandle: 'a' };
    await expect(
      scene.users.transaction(async (tx) => {
        const fact = { aggregate: 'user:alice', aggregateVersion: 1, actor: null, payload: wrong };
        await recordEvent(tx, { type: 'profile-edited', ...fact });
      }),
    ).rejects.toThrow('payload of profile-edited: userId');
    expect(await scene.users.query('SELECT FROM outbox')).toEqual([]);
  });

  it('refuses an event of 10 MB where it is recorded, and the fact with it', async () => {
    const big = { userId: person(1), handle: 'x'.repeat(10_000_000), previousHandle: 'x' };
    const telling = scene.users.transaction((tx) =>
      recordEvent(tx, {
        type: 'profile-edited',
        aggregate: `user:${person(1)}`,
        aggregateVersion: 1,
        actor: null,
        payload: big,
      }),
    );
    await expect(telling).rejects.toThrow('at most 261144 bytes; came profile-edited with 10000');
    expect(await scene.users.query('SELECT FROM outbox')).toEqual([]);
  });

  it('with keys of prototypes in it comes to its handler as its fields and nothing else', async () => {
    const heard: DomainEvent[] = [];
    const consumer = hear({ hear: { 'profile-edited': (_, one) => Promise.resolve(void heard.push(one)) } });
    const evil = '"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}},';
    const sent = event(1, 1);
    await bring(consumer, JSON.parse(JSON.stringify(sent).replaceAll('{', `{${evil}`)) as DomainEvent);
    expect(heard).toEqual([sent]);
    for (const [came, meant] of [
      [heard[0]!, sent],
      [heard[0]!.payload, sent.payload],
    ]) {
      expect(Object.keys(came!)).toEqual(Object.keys(meant!));
      expect(Object.getPrototypeOf(came)).toBe(Object.prototype);
    }
  });

  it('lets only one of two writers tell an aggregate’s next event', async () => {
    await tell(scene.users, [[1, 1]]);
    await expect(tell(scene.users, [[1, 1]])).rejects.toThrow('outbox_aggregate_version');
  });

  it('what goes first goes before every effect of its transaction, with all that has one, and out of quarantine again', async () => {
    const calls: string[][] = [];
    let failures = 2;
    const consumer = hear({
      hear: {
        first: async (_, events) => void calls.push(events.map(numbers)),
        'profile-edited': async (tx, one) => {
          calls.push([`effect ${numbers(one)}`]);
          if (numbers(one) === '9:1' && failures-- > 0) throw new Error('not yet');
          await enter(tx, one);
        },
      },
    });
    await bring(consumer, event(1, 1), event(2, 1), event(1, 2));
    expect(calls.splice(0)).toEqual([['1:1', '2:1', '1:2'], ['effect 1:1'], ['effect 2:1'], ['effect 1:2']]);
    // What was heard before has no effect. With the other, alone, and out of quarantine.
    await bring(consumer, event(1, 2), event(9, 1));
    expect(calls).toEqual(Array.from({ length: 3 }, () => [['9:1'], ['effect 9:1']]).flat());
    expect(await scene.effects()).toEqual(['1:1', '2:1', '1:2', '9:1']);
  });

  it('effects that one statement can have are had together: each aggregate once in a call, in order', async () => {
    const calls: string[][] = [];
    const consumer = consume({
      database: scene.posts,
      stream,
      group: 'posts',
      hear: {
        'profile-edited': {
          many: async (tx, events) => {
            calls.push(events.map(numbers));
            for (const one of events) await enter(tx, one);
          },
        },
      },
      logger: silent,
    });
    opened.push(consumer);
    const told = [event(1, 1), event(2, 1), event(1, 2), event(3, 1), event(1, 3)];
    await stream.publish(told);
    await consumer.settled();
    expect(calls).toEqual([['1:1', '2:1'], ['1:2', '3:1'], ['1:3']]);
    expect(await scene.effects()).toEqual(told.map(numbers));
    // Told again, nothing is new.
    await stream.publish(told);
    await consumer.settled();
    expect(calls).toHaveLength(3);
  });

  it('a service that hears itself, on its one connection, does not lock itself out', async () => {
    const heard: string[] = [];
    const consumer = hear({
      database: scene.users,
      group: 'users',
      hear: {
        'profile-edited': async (tx, { aggregateVersion }) => {
          heard.push(`edited ${aggregateVersion}`);
          // An effect may tell something itself.
          const payload = { userId: person(9), handle: 'gone' };
          if (aggregateVersion === 1)
            await recordEvent(tx, {
              type: 'user-deleted',
              aggregate: `user:${person(9)}`,
              aggregateVersion: 1,
              actor: null,
              payload,
            });
        },
        'user-deleted': async () => void heard.push('deleted'),
      },
    });
    const relay = new Relay({ database: scene.users, stream, pollMs: 60_000, logger: silent });
    opened.push(relay);
    relay.start();
    await Promise.all([1, 2, 3, 4, 5].map((nth) => tell(scene.users, [[nth, nth]])));
    await relay.settled();
    await consumer.settled();
    expect(heard.sort()).toEqual(['deleted', 'edited 1', 'edited 2', 'edited 3', 'edited 4', 'edited 5']);
  });
});

describe('an event that comes again', () => {
  it('has no second effect, whether alone, among others or after later ones', async () => {
    let again = 0;
    const consumer = hear({ heardAgain: (events) => void (again += events) });
    const [one, two, other] = [event(1, 1), event(1, 2), event(2, 1)];
    await bring(consumer, one, two);
    expect(again).toBe(0);
    await bring(consumer, one);
    expect(again).toBe(1);
    await bring(consumer, two, other, two);
    expect(again).toBe(3);
    expect(await scene.effects()).toEqual(['1:1', '1:2', '2:1']);
  });

  it('control: a consumer without an inbox doubles it', async () => {
    const naive = stream.subscribe('posts', ['users'], async (events) => {
      for (const one of events) await scene.posts.transaction((tx) => enter(tx, one as DomainEvent));
    });
    const one = event(1, 1);
    await stream.publish([one]);
    await stream.publish([one]);
    await naive.settled();
    expect(await scene.effects()).toEqual(['1:1', '1:1']);
  });

  it('has its effect once when two processes of a group handle it at the same time', async () => {
    const second = openStream({ logger: silent });
    opened.push(second);
    hear();
    hear({ stream: second });
    const told = Array.from({ length: 60 }, (_, nth) => event(nth % 20, 1 + Math.floor(nth / 20)));
    await Promise.all([stream.publish(told), second.publish(told)]);
    expect([...(await scene.effects())].sort()).toEqual(told.map((one) => numbers(one)).sort());
  });

  it('has no effect and holds nothing back when it cannot be read any more, also in quarantine from before; said once', async () => {
    const said: object[] = [];
    const logger = { ...silent, warn: (fields: object) => void said.push(fields) };
    const consumer = hear({ logger });
    const [one, two] = [event(1, 1), event(1, 2)];
    // As they were agreed when they were heard.
    const once = (heard: DomainEvent): DomainEvent =>
      ({ ...heard, payload: { was: 'agreed' } }) as unknown as DomainEvent;
    await bring(consumer, one, two);
    await scene.posts.query(
      `INSERT INTO quarantine (consumer, aggregate, aggregate_version, event, tries, reason, due_at)
       VALUES ('posts', $1, 1, $2, 0, 'payload of profile-edited', now())`,
      [one.aggregate, JSON.stringify(once(one))],
    );
    await bring(consumer, once(one), once(two), event(1, 3));
    expect(await scene.effects()).toEqual(['1:1', '1:2', '1:3']);
    expect(await quarantined(scene.posts)).toEqual([]);
    expect(said).toEqual([expect.objectContaining({ err: expect.objectContaining({ name: 'UnknownEvent' }) })]);
    // Control: one that is new waits for somebody.
    await bring(consumer, once(event(1, 4)));
    expect(await quarantined(scene.posts)).toHaveLength(1);
  });

  it('is told to afterCommit again: the process may have died before its caches were dropped', async () => {
    const dropped: string[] = [];
    scene.posts.afterCommit(async (events) => void dropped.push(...events.map((one) => one.id)));
    const consumer = hear();
    const one = event(1, 1);
    await bring(consumer, one);
    await bring(consumer, one);
    expect(dropped).toEqual([one.id, one.id]);
  });
});

describe('an event whose handler fails', () => {
  it('leaves nothing behind, is tried again, and holds back only its own aggregate', async () => {
    let failures = 2;
    const consumer = hear({
      hear: {
        'profile-edited': async (tx, came) => {
          await enter(tx, came);
          if (came.payload.userId === person(2) && failures-- > 0) throw new Error('not yet');
        },
      },
    });
    await bring(consumer, event(1, 1), event(2, 1), event(2, 2), event(3, 1), event(1, 2), event(2, 3));
    const effects = await scene.effects();
    const of = (nth: number) => effects.filter((one) => one.startsWith(`${nth}:`));
    expect([of(1), of(2), of(3)]).toEqual([['1:1', '1:2'], ['2:1', '2:2', '2:3'], ['3:1']]);
  });

  it('stays in quarantine after five tries, later events of its aggregate behind it, until it is replayed', async () => {
    let broken = true;
    let tries = 0;
    const consumer = hear({
      hear: {
        'profile-edited': async (tx, came) => {
          if (broken && came.payload.userId === person(2)) throw new Error(`cannot ${++tries}`);
          await enter(tx, came);
        },
      },
    });
    await stream.publish([event(2, 1)]);
    await consumer.settled();
    expect(tries).toBe(5);
    await bring(consumer, event(2, 2), event(1, 1), event(2, 3));
    expect(tries).toBe(5);
    expect(await scene.effects()).toEqual(['1:1']);
    expect(await quarantined(scene.posts)).toEqual([
      expect.objectContaining({ group: 'posts', tries: 5, reason: 'cannot 5', behind: 2 }),
    ]);
    broken = false;
    expect(await replay(scene.posts, 'posts', `user:${person(2)}`)).toBe(3);
    await consumer.settled();
    expect(await scene.effects()).toEqual(['1:1', '2:1', '2:2', '2:3']);
    expect(await quarantined(scene.posts)).toEqual([]);
  });

  it('keeps its count of tries when the process starts anew', async () => {
    let tries = 0;
    const hopeless = {
      'profile-edited': async () => {
        tries += 1;
        throw new Error('never');
      },
    };
    const first = hear({ hear: hopeless, pausesMs: [60_000, 60_000, 60_000, 60_000] });
    await stream.publish([event(1, 1)]);
    await first.close();
    expect(tries).toBe(1);
    await scene.posts.query('UPDATE quarantine SET due_at = now()');
    const second = hear({ hear: hopeless });
    await second.settled();
    expect(tries).toBe(5);
  });

  it('control: a consumer that tries until it succeeds holds back everybody', async () => {
    const naive = stream.subscribe('posts', ['users'], async (events) => {
      for (const one of events) {
        if (one.aggregate === `user:${person(1)}`) throw new Error('never');
        await scene.posts.transaction((tx) => enter(tx, one as DomainEvent));
      }
    });
    for (let tries = 1; tries <= 5; tries++) {
      await expect(stream.publish([event(1, 1), event(2, 1)])).rejects.toThrow('never');
    }
    await naive.settled();
    expect(await scene.effects()).toEqual([]);
  });

  describe('by the database and not by the event', () => {
    let failing: string[];
    let calls: number;
    beforeEach(() => {
      failing = [];
      calls = 0;
    });
    const entering = async (...[tx, came]: Parameters<typeof enter>): Promise<void> => {
      calls += 1;
      const state = failing.shift();
      if (state !== undefined)
        await tx.query(`DO $$ BEGIN RAISE EXCEPTION 'not now' USING ERRCODE = '${state}'; END $$`);
      await enter(tx, came);
    };
    /** Whose trouble it is cannot be seen any more; so it is counted. */
    const naive: typeof entering = async (...heard) => {
      await entering(...heard).catch((error: Error) => Promise.reject(new Error(error.message)));
    };
    const [SHUTDOWN, READ_ONLY, LOST, LOCKED, CANCELED] = ['57P01', '25006', '08006', '55P03', '57014'];

    it('is brought again by the stream until the database is there again, and is not in quarantine meanwhile', async () => {
      const consumer = hear({ hear: { 'profile-edited': entering } });
      const told = [event(1, 1), event(2, 1)];
      // Met by both together, then by the first alone; by the first alone from when a connection has ended under both.
      failing = [CANCELED, READ_ONLY, SHUTDOWN, LOST, READ_ONLY, SHUTDOWN].map(String);
      for (let times = 0; times < 4; times += 1) {
        await expect(stream.publish(told)).rejects.toMatchObject({ code: 'SUBGRAPH_UNAVAILABLE' });
        expect(await quarantined(scene.posts)).toEqual([]);
      }
      await bring(consumer, ...told);
      expect(await scene.effects()).toEqual(['1:1', '2:1']);
    });

    it('is tried again in quarantine until the database is there again', async () => {
      const consumer = hear({ hear: { 'profile-edited': entering }, troubleMs: 1 });
      failing = [CANCELED, LOCKED, SHUTDOWN, READ_ONLY, LOCKED, LOST, LOCKED].map(String);
      await bring(consumer, event(1, 1));
      expect([calls, await scene.effects()]).toEqual([8, ['1:1']]);
      expect(await quarantined(scene.posts)).toEqual([]);
    });

    it('waits for its next try, which is the second', async () => {
      const consumer = hear({ hear: { 'profile-edited': entering }, troubleMs: 4_000 });
      failing = [CANCELED, LOCKED].map(String);
      await stream.publish([event(1, 1)]);
      while (calls < 2) await new Promise((resolve) => setTimeout(resolve, 5));
      const row = `SELECT tries, due_at - now() BETWEEN '0.4 s' AND '4 s' AS soon FROM quarantine`;
      let seen: { tries: number; soon: boolean } | undefined;
      await eventually(async () => {
        [seen] = await scene.posts.query<{ tries: number; soon: boolean }>(row);
        return seen?.soon === true;
      });
      expect(seen).toEqual({ tries: 1, soon: true });
      await consumer.settled();
      expect(await scene.effects()).toEqual(['1:1']);
    });

    it.each([
      ['control: counted, five of them leave a good event there', naive, [SHUTDOWN, LOCKED, LOST, LOCKED, READ_ONLY]],
      ['a statement that takes too long is counted', entering, Array.from({ length: 5 }, () => CANCELED)],
    ])('%s', async (_, handler, states) => {
      const consumer = hear({ hear: { 'profile-edited': handler }, troubleMs: 1 });
      failing = states.map(String);
      await bring(consumer, event(1, 1));
      expect([calls, await scene.effects()]).toEqual([5, []]);
      expect(await quarantined(scene.posts)).toEqual([expect.objectContaining({ tries: 5 })]);
    });
  });

  it('is left to the stream, which brings it again, when there is no database to hold it', async () => {
    const gone = { transaction: () => Promise.reject(new Error('no database')), query: () => Promise.resolve([]) };
    const first = hear({ database: gone as unknown as Database });
    await expect(stream.publish([event(1, 1)])).rejects.toThrow('no database');
    await first.close();
    await bring(hear(), event(1, 1));
    expect(await scene.effects()).toEqual(['1:1']);
  });
});

describe('an event that is not the next of its aggregate', () => {
  it('waits for the one before it', async () => {
    const consumer = hear({ pausesMs: [20, 200, 1_000, 5_000] });
    await bring(consumer, event(1, 1));
    await stream.publish([event(1, 3), event(1, 4), event(2, 1)]);
    expect(await scene.effects()).toEqual(['1:1', '2:1']);
    await bring(consumer, event(1, 2));
    expect(await scene.effects()).toEqual(['1:1', '2:1', '1:2', '1:3', '1:4']);
  });

  it('stays in quarantine when that one never comes, saying what is missing', async () => {
    const consumer = hear();
    await bring(consumer, event(1, 1), event(1, 3));
    expect(await scene.effects()).toEqual(['1:1']);
    expect(await quarantined(scene.posts)).toEqual([
      expect.objectContaining({ tries: 5, reason: 'version 3 came; handled so far: 1' }),
    ]);
  });

  it('leaves quarantine by itself when that one comes late, with all that lined up behind it', async () => {
    const consumer = hear();
    await bring(consumer, event(1, 1), event(1, 4), event(1, 5));
    expect(await quarantined(scene.posts)).toEqual([expect.objectContaining({ tries: 5, behind: 1 })]);
    await bring(consumer, event(1, 2));
    expect(await scene.effects()).toEqual(['1:1', '1:2']);
    await bring(consumer, event(1, 3));
    expect(await scene.effects()).toEqual(['1:1', '1:2', '1:3', '1:4', '1:5']);
    expect(await quarantined(scene.posts)).toEqual([]);
  });

  it('is the beginning when nothing was ever heard of the aggregate: what was before is not told', async () => {
    const consumer = hear();
    await bring(consumer, event(1, 7), event(1, 8));
    expect(await scene.effects()).toEqual(['1:7', '1:8']);
  });
});

describe('an event of a newer program', () => {
  it('of a type that is known and that nobody here hears is passed over, and counts in its aggregate’s order', async () => {
    const consumer = hear();
    await bring(consumer, event(1, 1), registered(1, 2), event(1, 3));
    expect(await scene.effects()).toEqual(['1:1', '1:3']);
  });

  const { 'profile-edited': edited, ...before } = EVENTS;
  const raised: Catalogue = { ...EVENTS, 'profile-edited': { ...edited, version: 2, before: { 1: edited.payload } } };
  const both: Handlers = { 'user-registered': enter, 'profile-edited': enter };

  describe.each<[string, Catalogue, Catalogue, number, string]>([
    ['type', before, EVENTS, 1, 'no event type profile-edited here'],
    ['version', EVENTS, raised, 2, 'profile-edited is version 1 here; came 2'],
  ])('of a %s that is not known', (_, older, newer, version, reason) => {
    const newOne = (...of: [number, number]) => ({ ...event(...of), version }) as DomainEvent;
    /** Beside another: nothing comes to it by its stream. */
    const beside = (options: Parameters<typeof hear>[0]): Subscription => {
      const own = openStream({ logger: silent });
      opened.push(own);
      return hear({ stream: own, ...options });
    };
    const has = (...effects: string[]): Promise<void> =>
      eventually(async () => (await scene.effects()).join(' ') === effects.join(' '));

    it('holds back its own aggregate until the program is replaced, which hears it by itself', async () => {
      const warned: unknown[] = [];
      const logger = { ...silent, warn: (fields: object) => void warned.push(fields) };
      const former = hear({ catalogue: older, hear: both, logger });
      const wrong = { ...registered(4, 1), payload: { userId: 'x' } } as unknown as DomainEvent;
      await bring(former, registered(1, 1), newOne(1, 2), registered(1, 3), newOne(2, 1), registered(3, 1), wrong);
      expect(await scene.effects()).toEqual(['1:1', '3:1']);
      const held = { tries: 5, reason };
      expect(await quarantined(scene.posts)).toEqual([
        expect.objectContaining({ ...held, behind: 1 }),
        expect.objectContaining({ ...held, behind: 0 }),
        expect.objectContaining({ tries: 5, reason: expect.stringContaining('payload of user-registered') }),
      ]);
      expect(await figures()).toEqual({ fails: 1, newer: 3 });
      // Of its type and version once, and of the wrong one.
      expect(warned).toHaveLength(2);
      // Replayed there it is not tried in vain.
      await replay(scene.posts, 'posts');
      await former.settled();
      expect((await quarantined(scene.posts)).map(({ tries }) => tries)).toEqual([5, 5, 5]);
      expect(await figures()).toEqual({ fails: 1, newer: 3 });
      await former.close();

      hear({ catalogue: newer, hear: both });
      await eventually(async () => (await scene.effects()).length === 5);
      expect((await scene.effects()).filter((one) => one.startsWith('1:'))).toEqual(['1:1', '1:2', '1:3']);
      // The control: what fails for another reason waits for somebody.
      expect(await quarantined(scene.posts)).toHaveLength(1);
      expect(await figures()).toEqual({ fails: 1, newer: 0 });
    });

    it('is heard by a program that runs beside the one before it, which still reads', async () => {
      const former = hear({ catalogue: older, hear: both });
      beside({ catalogue: newer, hear: both, lookMs: 20 });
      await stream.publish([registered(1, 1), newOne(1, 2)]);
      await has('1:1', '1:2');
      await stream.publish([newOne(1, 3), registered(1, 4)]);
      await has('1:1', '1:2', '1:3', '1:4');
      await former.settled();
      expect(await quarantined(scene.posts)).toEqual([]);
    });

    it('is passed over by a program that knows it and does not hear it', async () => {
      hear({ catalogue: older, hear: { 'user-registered': enter } });
      // A version of a type that it does not hear is nothing to it.
      await stream.publish([registered(1, 1), newOne(1, 2), registered(1, 3)]);
      beside({ catalogue: newer, hear: { 'user-registered': enter } });
      await has('1:1', '1:3');
      expect(await quarantined(scene.posts)).toEqual([]);
    });

    it('is passed over by a program that knew it, and never heard by the one after it (control)', async () => {
      const knowing = hear({ catalogue: newer, hear: { 'user-registered': enter } });
      await bring(knowing, registered(1, 1), newOne(1, 2), registered(1, 3));
      await knowing.close();
      await bring(hear({ catalogue: newer, hear: both }), newOne(1, 2));
      expect(await scene.effects()).toEqual(['1:1', '1:3']);
    });
  });

  it('that a program of before the mark has held back is released too, and stays where it cannot be read', async () => {
    const [good, wrong] = [event(1, 1), { ...event(2, 1), payload: { userId: 'x' } }].map((one) => ({
      ...one,
      version: 2,
    }));
    for (const [one, reason] of [
      [good, 'profile-edited is version 1 here; came 2'],
      [wrong, 'profile-edited is version 1 here; came 2'],
      // The control: what is too old, and what its handler could not do.
      [event(3, 1), 'profile-edited is version 2 here; came 1'],
      [event(4, 1), 'a name is version 1 here; came 2'],
    ] as const)
      await scene.posts.query(
        `INSERT INTO quarantine (consumer, aggregate, aggregate_version, event, tries, reason, due_at)
         VALUES ('posts', $1, 1, $2, 5, $3, now())`,
        [one!.aggregate, JSON.stringify(one), reason],
      );
    const released: unknown[] = [];
    const logger = { ...silent, info: (fields: { events?: number }) => void released.push(fields.events) };
    const looking = hear({ catalogue: raised, logger, lookMs: 10 });
    await eventually(async () =>
      (await quarantined(scene.posts)).some(({ reason }) => reason.startsWith('payload of')),
    );
    await looking.settled();
    expect(await scene.effects()).toEqual(['1:1']);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(released).toEqual([2]);
    expect((await quarantined(scene.posts)).map(({ reason }) => reason.slice(0, 20))).toEqual([
      'payload of profile-e',
      'profile-edited is ve',
      'a name is version 1 ',
    ]);
  });

  it('among a hundred others is held back in their transaction, and they are heard together', async () => {
    let transactions = 0;
    const counting = {
      query: scene.posts.query.bind(scene.posts),
      transaction: (work: Parameters<Database['transaction']>[0]) => {
        transactions += 1;
        return scene.posts.transaction(work);
      },
    } as unknown as Database;
    const consumer = hear({ database: counting });
    const told = Array.from({ length: 99 }, (_, nth) => event(nth + 1, 1));
    const newer = { ...event(50, 2), version: 2 } as DomainEvent;
    await stream.publish([...told, newer]);
    expect([transactions, (await scene.effects()).length]).toEqual([1, 99]);
    expect(await quarantined(scene.posts)).toEqual([expect.objectContaining({ tries: 5, event: newer })]);
    // It comes again, and what is behind it comes.
    await bring(consumer, newer, event(50, 3));
    expect(await quarantined(scene.posts)).toEqual([expect.objectContaining({ event: newer, behind: 1 })]);
    // The control: what cannot be read is found out by hearing each of them alone.
    transactions = 0;
    await stream.publish([event(1, 2), { ...event(2, 2), payload: { userId: 'x' } } as unknown as DomainEvent]);
    expect(transactions).toBeGreaterThan(3);
  });

  it('of many lines some are looked at and released at a time, so that no statement takes longer the more there are', async () => {
    const unheard = { ...event(0, 1), type: 'toCome' };
    await scene.posts.query(
      `INSERT INTO quarantine (consumer, aggregate, aggregate_version, event, tries, reason, due_at, newer)
       SELECT 'posts', aggregate, 1, $1::jsonb || jsonb_build_object('aggregate', aggregate), 5, 'no event type toCome here', now(), true
       FROM (SELECT 'line:' || n AS aggregate FROM generate_series(1, 2500) AS n) AS of`,
      [JSON.stringify(unheard)],
    );
    const slices: number[] = [];
    const counting = {
      transaction: scene.posts.transaction.bind(scene.posts),
      query: async (...asked: Parameters<Database['query']>) => {
        const rows = await scene.posts.query<{ events?: number }>(...asked);
        if (asked[0].startsWith('WITH slice')) slices.push(rows[0]!.events!);
        else expect(rows.length).toBeLessThanOrEqual(500);
        return rows;
      },
    } as unknown as Database;
    // The last line of all, user:…, is come to.
    let failures = 1;
    const failing: Handlers = {
      'profile-edited': async (...heard) => {
        if (failures-- > 0) throw new Error('not yet');
        await enter(...heard);
      },
    };
    const former = hear({ database: counting, hear: failing });
    await bring(former, event(1, 1));
    expect([await scene.effects(), slices]).toEqual([['1:1'], [0, 0, 0]]);
    await former.close();

    const newer = { ...EVENTS, toCome: EVENTS['profile-edited'] };
    const knowing = hear({ database: counting, catalogue: newer });
    await eventually(async () => slices.length === 6);
    await knowing.close();
    expect(slices).toEqual([0, 0, 0, 1_000, 1_000, 500]);
    expect((await figures())['newer']).toBe(0);
  });

  it('of a known type but another version, or with another payload, is kept in quarantine at once', async () => {
    const consumer = hear();
    const newer = { ...event(1, 1), version: 2 } as DomainEvent;
    const wrong = { ...event(2, 1), payload: { userId: 'x' } } as unknown as DomainEvent;
    const toCome = { ...event(4, 1), at: '2999-01-01T00:00:00.000Z' } as DomainEvent;
    await bring(consumer, newer, event(1, 2), wrong, event(3, 1), toCome);
    expect(await scene.effects()).toEqual(['3:1']);
    expect((await quarantined(scene.posts)).map(({ reason, behind }) => [reason, behind])).toEqual([
      ['profile-edited is version 1 here; came 2', 1],
      [expect.stringContaining('payload of profile-edited'), 0],
      ['at: 2999-01-01T00:00:00.000Z is more than a day ahead of the clock here', 0],
    ]);
  });
});

function registered(nth: number, version: number): DomainEvent<'user-registered'> {
  const { payload, ...told } = event(nth, version);
  return { ...told, type: 'user-registered', payload: { userId: payload.userId, handle: payload.handle } };
}

/** Of what is in quarantine, as an alarm sees it. */
async function figures(): Promise<Record<string, number>> {
  const gauges = outboxGauges(scene.posts).filter(({ name }) => name === 'tributary_quarantined_events');
  return Object.fromEntries((await readGauges(gauges)).map(({ gauge, value }) => [gauge.labels?.['why'], value]));
}

function numbers(one: DomainEvent): string {
  return `${Number(one.aggregate.slice(-12))}:${one.aggregateVersion}`;
}

/** 10 s at most. */
async function eventually(holds: () => Promise<boolean>): Promise<void> {
  for (const deadline = performance.now() + 10_000; !(await holds());) {
    if (performance.now() > deadline) throw new Error(`in vain: ${holds.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
