import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openDatabase, type Database, type Statements, type Tx } from '#libs/database';
import { newId } from '#libs/identity';
import { countersModel, rebuild, type Counted } from '#libs/read-model';
import { eraseLeftBehind, type Saga } from '#libs/saga';
import { silent } from '#libs/telemetry';
import { withServer } from '../../../test/servers/needs.js';
import { followersCounted } from '../counters.js';
import { followersTables } from '../followers.tables.js';
import { accountFrozen, accountThawed, followsParticipant, stepAsked, userDeleted } from '../on/deletion.js';
import { eraseSlice, followsLeftBehind, partSlice, restoreSlice } from '../on/dissolve-follows.js';
import { wholeCount } from '../relation.counts.js';
import { pairOf, VERBS, type Verb } from '../relation.js';
import { lockRelations, registerPerson, storeChanges } from '../relation.store.js';
import { ChangeRelation } from './change-relation.js';
import { Waiting } from './until-heard-of.js';

const NOW = Date.parse('2026-11-20T12:00:00.000Z');
const OLD = NOW - 60_000;

describe('on the embedded database', () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'tributary-followers-'));
  semantics(() => openDatabase({ service: 'followers', dataDir, ...followersTables }));
  describe('an account that is being deleted', () =>
    deletions(() => openDatabase({ service: 'followers', dataDir, ...followersTables })));
  afterAll(() => rmSync(dataDir, { recursive: true, force: true }));
});

withServer('postgres', 'on PostgreSQL', (adminUrl) => {
  semantics(() => openScratch(adminUrl));
  underContention(() => openScratch(adminUrl));
  afterAll(async () => {
    // It waits for a checkpoint; a server that is too busy for that keeps them.
    const drops = scratch.splice(0).map((name) => asAdmin(adminUrl, `DROP DATABASE ${name} WITH (FORCE)`));
    await Promise.allSettled(drops);
  });
});

function semantics(open: () => Promise<Database>): void {
  let database: Database;
  const waits: number[] = [];
  let meanwhile: (() => Promise<void>) | undefined;
  let change: ChangeRelation;
  const person = async (made = OLD) => {
    const id = newId({ now: made });
    await database.transaction((tx) => registerPerson(tx, id));
    return id;
  };

  beforeAll(async () => {
    database = await open();
    const waiting = new Waiting(
      () => NOW,
      async (ms) => {
        waits.push(ms);
        await meanwhile?.();
      },
    );
    change = new ChangeRelation({ database, clock: () => NOW, waiting });
  });
  afterAll(() => database.close());

  it('a follow is a row, two counts and an event; the same again is nothing', async () => {
    const [a, b] = [await person(), await person()];
    await change.run('follow', a, b);
    await change.run('follow', a, b);
    expect(await followsOf(database, a)).toEqual([b]);
    expect(await countsOf(database, a)).toEqual([0, 1]);
    expect(await countsOf(database, b)).toEqual([1, 0]);
    expect(await told(database, a, b)).toEqual([`1 follow-started by ${a}`]);
    await change.run('unfollow', a, b);
    await change.run('unfollow', a, b);
    expect(await followsOf(database, a)).toEqual([]);
    expect(await countsOf(database, b)).toEqual([0, 0]);
    expect(await told(database, a, b)).toEqual([`1 follow-started by ${a}`, `2 follow-ended by ${a}`]);
  });

  it('the same again names what the same person wrote, not what the other one did since (control: the last event is theirs)', async () => {
    const [a, b] = [await person(), await person()];
    let found: Tx['found'] = [];
    const again = new ChangeRelation({
      database: {
        query: (...statement) => database.query(...statement),
        transaction: (work) =>
          database.transaction(async (tx) => {
            found = tx.found;
            return work(tx);
          }),
      },
      clock: () => NOW,
      waiting: new Waiting(
        () => NOW,
        async () => {},
      ),
    });
    const namedBy = async (verb: Verb): Promise<number[]> => {
      await again.run(verb, a, b);
      return found.map(({ aggregateVersion }) => aggregateVersion);
    };
    await change.run('follow', a, b);
    expect(await namedBy('follow')).toEqual([1]);
    await change.run('block', b, a);
    expect(await namedBy('unfollow')).toEqual([1]);
    await change.run('unblock', b, a);
    expect(await namedBy('unfollow')).toEqual([1]);
    expect((await told(database, a, b)).at(-1)).toBe(`4 block-ended by ${b}`);
    // Who has written nothing is told of nothing.
    const [c, d] = [await person(), await person()];
    await change.run('block', d, c);
    await again.run('unfollow', c, d);
    expect(found).toEqual([]);
  });

  it('fifty follows of one person by one person at once are one row and one event', async () => {
    const [a, b] = [await person(), await person()];
    await allOf(
      Array.from({ length: 50 }, () => () => change.run('follow', a, b)),
      5,
    );
    expect(await countsOf(database, b)).toEqual([1, 0]);
    expect(await told(database, a, b)).toHaveLength(1);
  });

  it('a block ends the follows of both directions, then stands, in consecutive versions', async () => {
    const [a, b] = [await person(), await person()];
    await change.run('follow', a, b);
    await change.run('follow', b, a);
    await change.run('block', b, a);
    await change.run('block', b, a);
    expect(await told(database, a, b)).toEqual([
      `1 follow-started by ${a}`,
      `2 follow-started by ${b}`,
      `3 follow-ended by ${b}`,
      `4 follow-ended by ${b}`,
      `5 block-started by ${b}`,
    ]);
    expect([await countsOf(database, a), await countsOf(database, b)]).toEqual([
      [0, 0],
      [0, 0],
    ]);
    await expect(change.run('follow', a, b)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(change.run('follow', b, a)).rejects.toMatchObject({ code: 'FORBIDDEN' });
    await change.run('unblock', b, a);
    await change.run('follow', a, b);
    expect(await countsOf(database, b)).toEqual([1, 0]);
  });

  it.each<Verb>(['follow', 'unfollow', 'block', 'unblock'])(
    '%s of oneself, or of nobody, changes nothing',
    async (verb) => {
      const a = await person();
      const before = await everything(database);
      await expect(change.run(verb, a, a)).rejects.toMatchObject({ code: 'BAD_USER_INPUT' });
      waits.length = 0;
      await expect(change.run(verb, a, newId({ now: OLD }))).rejects.toMatchObject({ code: 'NOT_FOUND' });
      expect(waits).toEqual([]);
      expect(await everything(database)).toEqual(before);
    },
  );

  it('somebody who signed up just now is waited for', async () => {
    const [a, b] = [await person(), newId({ now: NOW - 100 })];
    meanwhile = async () => {
      if (waits.length === 3) await database.transaction((tx) => registerPerson(tx, b));
    };
    waits.length = 0;
    await change.run('follow', a, b);
    meanwhile = undefined;
    expect(waits).toEqual([10, 20, 40]);
    expect(await countsOf(database, b)).toEqual([1, 0]);
  });

  it('somebody whose id was made up just now is waited for 500 ms, and is nobody', async () => {
    const a = await person();
    waits.length = 0;
    await expect(change.run('follow', a, newId({ now: NOW }))).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect(waits.reduce((sum, ms) => sum + ms, 0)).toBe(500);
  });

  it('a person who comes with a token may follow before they were heard of', async () => {
    const [a, b] = [newId({ now: NOW }), await person()];
    await change.run('follow', a, b);
    await database.transaction((tx) => registerPerson(tx, a));
    expect(await countsOf(database, a)).toEqual([0, 1]);
  });

  it('when an account is deleted its follows and blocks end, step by step, and the counts of the others stay exact', async () => {
    const leaving = await person();
    const others = await Promise.all(Array.from({ length: 7 }, () => person()));
    for (const other of others) await change.run('follow', other, leaving);
    for (const other of others.slice(0, 3)) await change.run('follow', leaving, other);
    const [blocked, blocker] = [await person(), await person()];
    await change.run('block', leaving, blocked);
    await change.run('block', blocker, leaving);

    await database.transaction((tx) => userDeleted(tx, deletion(leaving)));
    await expect(change.run('follow', others[0] ?? '', leaving)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    // Nothing is erased yet, and it is said as it will be then.
    await expect(change.run('follow', leaving, others[4] ?? '')).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });

    const participant = followsParticipant({ database, logger: silent });
    await participant.settled();
    await participant.close();
    await expect(change.run('follow', leaving, others[4] ?? '')).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });

    expect(await countsOf(database, leaving)).toEqual([0, 0]);
    expect(await told(database, leaving, others[0] ?? '')).toHaveLength(4);
    expect(await told(database, leaving, blocker)).toEqual([`1 block-started by ${blocker}`, '2 block-ended by null']);
    expect(await database.query(`SELECT FROM blocks WHERE $1 IN (blocker_id, blocked_id)`, [leaving])).toEqual([]);
    expect(await database.query('SELECT state FROM people WHERE user_id = $1', [leaving])).toEqual([{ state: 'gone' }]);
    expect(await kept(database, leaving)).toEqual([]);
    expect(await wrongCounts(database)).toBe(0);
    // A registration that comes late brings nobody back.
    await database.transaction((tx) => registerPerson(tx, leaving));
    await expect(change.run('follow', others[0] ?? '', leaving)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
}

function deletions(open: () => Promise<Database>): void {
  let database: Database;
  let participant: ReturnType<typeof followsParticipant>;
  let change: ChangeRelation;
  let people: string[];
  beforeAll(async () => {
    database = await open();
    participant = followsParticipant({ database, logger: silent });
    change = changing(database);
  });
  beforeEach(async () => {
    people = await peopleOf(database, 3);
  });
  afterAll(async () => {
    await participant.close();
    await database.close();
  });
  const blocks = async (id: string) =>
    (await database.query('SELECT FROM blocks WHERE $1 IN (blocker_id, blocked_id)', [id])).length;
  const done = () => {
    participant.wake();
    return participant.settled();
  };

  it('what an older version left of an account that is gone is found and erased, and nothing of others', async () => {
    const [gone = '', other = '', third = ''] = people;
    await database.transaction((tx) => userDeleted(tx, deletion(gone)));
    await done();
    for (const [one, two] of [
      [gone, other],
      [other, third],
    ] as const) {
      const { low, high } = pairOf(one, two);
      await database.query('INSERT INTO relations VALUES ($1, $2, 2)', [low, high]);
    }
    await database.query(`INSERT INTO parted VALUES ($1, 'follow', $1, $2, now())`, [other, gone]);
    const find = (mend: boolean) => eraseLeftBehind(database, followsLeftBehind, { mend });
    expect([await find(false), await find(true), await find(false)]).toEqual([1, 1, 0]);
    const left =
      'SELECT FROM relations WHERE $1 IN (low_id, high_id) UNION ALL SELECT FROM parted WHERE $1 IN (from_id, to_id)';
    expect([await database.query(left, [gone]), await database.query(left, [third])]).toMatchObject([[], [{}]]);
    expect(await wrongCounts(database)).toBe(0);
  });

  it('a block stands for as long as the deletion may be taken back, and no follow comes across it', async () => {
    const [away = '', blocked = '', blocker = ''] = people;
    await change.run('block', away, blocked);
    await change.run('block', blocker, away);
    await change.run('unblock', blocker, away);
    await change.run('follow', blocker, away);
    await change.run('unfollow', blocker, away);
    await change.run('block', blocker, away);
    const deletionId = newId();
    await database.transaction((tx) => accountFrozen(tx, frozen(away, deletionId)));
    await done();
    expect(await blocks(away)).toBe(2);
    await database.transaction((tx) => accountThawed(tx, thawed(away, deletionId, 'choreographed')));
    // Before anything is brought back.
    await expect(change.run('follow', blocked, away)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await done();
    expect(await blocks(away)).toBe(2);
    expect(await acrossBlocks(database)).toEqual([]);

    // The control: ended with the follows, as everything is when an account is erased, it is followed across.
    await database.transaction((tx) => partSlice(tx, { userId: away } as Parameters<typeof partSlice>[1]));
    await change.run('follow', blocked, away);
    expect(await blocks(away)).toBe(0);
  });

  it('a block that a program of before has ended comes back, and ends what was followed across it meanwhile', async () => {
    const [away = '', blocked = ''] = people;
    const deletionId = newId();
    await database.transaction((tx) => accountFrozen(tx, frozen(away, deletionId)));
    await done();
    await database.query(
      `INSERT INTO parted VALUES ($1, 'block', $1, $2, now()), ($1, 'follow', $2, $1, now()), ($1, 'follow', $1, $2, now())`,
      [away, blocked],
    );
    await database.query(`UPDATE people SET state = 'active' WHERE user_id = $1`, [away]);
    // By a program of before; ours has the block come back first.
    await expect(change.run('follow', blocked, away)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await database.transaction(async (tx) => {
      const [relation] = await lockRelations(tx, [pairOf(blocked, away)]);
      const changes = [{ type: 'follow-started' as const, from: blocked, to: away }];
      await storeChanges(tx, [{ relation: relation!, changes }], { actor: blocked, at: new Date(NOW).toISOString() });
    });
    await database.transaction((tx) => accountThawed(tx, thawed(away, deletionId)));
    await done();
    expect(await told(database, away, blocked)).toEqual([
      `1 follow-started by ${blocked}`,
      '2 follow-ended by null',
      '3 block-started by null',
    ]);
    expect(await acrossBlocks(database)).toEqual([]);
    expect(await database.query('SELECT FROM parted')).toEqual([]);
    expect(await wrongCounts(database)).toBe(0);
  });

  /** Each follows the other, and one comes back from a deletion; meanwhile somebody acts. Whom the two follow in the end. */
  async function comesBack(act: (away: string, fan: string) => Promise<unknown>): Promise<(string | undefined)[][]> {
    const [away = '', fan = ''] = people;
    await change.run('follow', away, fan);
    await change.run('follow', fan, away);
    const deletionId = newId();
    await database.transaction((tx) => accountFrozen(tx, frozen(away, deletionId)));
    await done();
    await database.transaction((tx) => accountThawed(tx, thawed(away, deletionId, 'choreographed')));
    await act(away, fan);
    await done();
    expect(await database.query('SELECT FROM parted')).toEqual([]);
    expect(await wrongCounts(database)).toBe(0);
    const nameOf = (id: string) => (id === away ? 'away' : 'fan');
    return [(await followsOf(database, away)).map(nameOf), (await followsOf(database, fan)).map(nameOf)];
  }

  it.each<[string, Verb[], 'away' | 'fan', string[][]]>([
    ['a follow that the other ended', ['unfollow'], 'fan', [['fan'], []]],
    ['a follow that who came back ended', ['unfollow'], 'away', [[], ['away']]],
    ['what a block ended', ['block', 'unblock'], 'fan', [[], []]],
    ['what a block of who came back ended', ['block', 'unblock'], 'away', [[], []]],
    ['one that was ended and began anew', ['unfollow', 'follow'], 'fan', [['fan'], ['away']]],
    ['one that was there already', ['follow'], 'fan', [['fan'], ['away']]],
  ])('%s before it was brought back is as they left it', async (_, verbs, who, follows) => {
    const found = await comesBack(async (away, fan) => {
      const [actor, target] = who === 'fan' ? [fan, away] : [away, fan];
      for (const verb of verbs) await change.run(verb, actor, target);
      const events = await told(database, away, fan);
      if (verbs[0] === 'unfollow') expect(events).toContainEqual(expect.stringMatching(`follow-ended by ${actor}`));
    });
    expect(found).toEqual(follows);
  });

  it('control: ended only where it is there, it is brought back afterwards', async () => {
    const found = await comesBack((away, fan) =>
      database.transaction(async (tx) => {
        const [relation] = await lockRelations(tx, [pairOf(away, fan)]);
        const { low, high } = relation!;
        const changes = low.userId === fan ? VERBS.unfollow(low, high) : VERBS.unfollow(high, low);
        await storeChanges(tx, [{ relation: relation!, changes }], { actor: fan, at: new Date(NOW).toISOString() });
      }),
    );
    expect(found).toEqual([['fan'], ['away']]);
  });

  it('of an account that is gone no table knows whom it knew, nor does what another’s deletion keeps', async () => {
    const [leaving = '', other = '', third = ''] = people;
    await change.run('follow', leaving, other);
    await change.run('follow', third, leaving);
    await change.run('unfollow', third, leaving);
    const [ofOther, ofLeaving] = [newId(), newId()];
    await database.transaction((tx) => accountFrozen(tx, frozen(other, ofOther)));
    await done();
    expect(await kept(database, leaving)).toEqual(['parted', 'relations']);
    await database.transaction((tx) => accountFrozen(tx, frozen(leaving, ofLeaving)));
    await database.transaction((tx) => userDeleted(tx, deletion(leaving)));
    await done();
    expect(await kept(database, leaving)).toEqual([]);
    // Whoever comes back later does not bring it back either.
    await database.query(`INSERT INTO parted VALUES ($1, 'follow', $2, $1, now())`, [other, leaving]);
    await database.transaction((tx) => accountThawed(tx, thawed(other, ofOther, 'choreographed')));
    await done();
    expect(await kept(database, leaving)).toEqual([]);
    expect(await wrongCounts(database)).toBe(0);
  });

  const ask = (userId: string, deletionId: string) =>
    database.transaction((tx) =>
      stepAsked(tx, {
        ...deletion(userId),
        type: 'deletion-step-asked',
        payload: { deletionId, userId, step: 'dissolve-follows' },
      }),
    );

  it('asked before it has heard that the account is frozen, it freezes', async () => {
    const [leaving = '', other = ''] = people;
    const deletionId = newId();
    await ask(leaving, deletionId);
    await expect(change.run('follow', leaving, other)).rejects.toMatchObject({ code: 'ACCOUNT_FROZEN' });
    await expect(change.run('follow', other, leaving)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await done();
    await database.transaction((tx) => accountThawed(tx, thawed(leaving, deletionId)));
    await change.run('follow', leaving, other);
  });

  it('asked once more for what has failed and was undone, it leaves the account as it is', async () => {
    const [leaving = '', other = ''] = people;
    const deletionId = newId();
    await change.run('follow', leaving, other);
    await database.query(
      `INSERT INTO deletion_parts (deletion_id, user_id, saga, step, state) VALUES ($1, $2, 'orchestrated', 'restore-follows', 'failed')`,
      [deletionId, leaving],
    );
    await database.transaction((tx) => accountThawed(tx, thawed(leaving, deletionId)));
    await ask(leaving, deletionId);
    await done();
    expect(await followsOf(database, leaving)).toEqual([other]);
    await change.run('unfollow', leaving, other);
  });

  it('a thaw that comes after the question of the next deletion does not thaw', async () => {
    const [leaving = '', other = ''] = people;
    const [first, second] = [newId({ now: NOW }), newId({ now: NOW + 1 })];
    await ask(leaving, second);
    await database.transaction((tx) => accountThawed(tx, thawed(leaving, first)));
    await expect(change.run('follow', leaving, other)).rejects.toMatchObject({ code: 'ACCOUNT_FROZEN' });
    await database.transaction((tx) => accountThawed(tx, thawed(leaving, second)));
    await change.run('follow', leaving, other);
  });

  it('asked again for what it is at, it tells that it goes on', async () => {
    const [leaving = ''] = people;
    const deletionId = newId();
    await ask(leaving, deletionId);
    await database.query('UPDATE deletion_parts SET slices = 1 WHERE deletion_id = $1', [deletionId]);
    await ask(leaving, deletionId);
    await done();
    const events = await database.query<{ type: string }>(
      'SELECT type FROM outbox WHERE aggregate = $1 ORDER BY aggregate_version',
      [`dissolution:${deletionId}`],
    );
    expect(events.map(({ type }) => type)).toEqual(['follows-step-goes-on', 'follows-step-ended']);
  });

  it('user-deleted says which deletion it is of, whatever their ids', async () => {
    const [leaving = ''] = people;
    const [first, second] = [newId({ now: NOW }), newId({ now: NOW - 300_000 })];
    await database.transaction((tx) => accountFrozen(tx, frozen(leaving, second)));
    await done();
    await database.query(`UPDATE deletion_parts SET state = 'done' WHERE deletion_id = $1`, [second]);
    await database.query(
      `INSERT INTO deletion_parts (deletion_id, user_id, saga, step, state) VALUES ($1, $2, 'choreographed', 'restore-follows', 'done')`,
      [first, leaving],
    );
    await database.transaction((tx) => userDeleted(tx, deletion(leaving, second)));
    await done();
    const ended = await database.query<{ line: string }>(
      `SELECT payload ->> 'step' || ' of ' || (payload ->> 'deletionId') AS line FROM outbox
       WHERE payload ->> 'userId' = $1 AND type = 'follows-step-ended' ORDER BY position`,
      [leaving],
    );
    expect(ended.map(({ line }) => line)).toEqual([`dissolve-follows of ${second}`, `erase-follows of ${second}`]);
  });
}

function underContention(open: () => Promise<Database>): void {
  const PEOPLE = 12;
  const ACTS = 600;

  it('many writers on the same people: no drift, no gap, no deadlock, and the deleted have nothing left', async () => {
    const database = await open();
    try {
      const people = Array.from({ length: PEOPLE }, () => newId({ now: OLD }));
      for (const id of people) await database.transaction((tx) => registerPerson(tx, id));
      const counted = countingAttempts(database);
      const change = new ChangeRelation({ database: counted, clock: () => NOW, waiting: new Waiting(() => NOW) });
      const participant = followsParticipant({ database: counted, logger: silent });
      const draw = drawer(7);
      const acts = Array.from({ length: ACTS }, (_, index) => async () => {
        if (index === ACTS / 2) {
          await database.transaction((tx) => userDeleted(tx, deletion(people[0] ?? '')));
          participant.wake();
        }
        const verb = (['follow', 'follow', 'follow', 'unfollow', 'block', 'unblock'] as const)[draw(6)] ?? 'follow';
        const from = draw(PEOPLE);
        const to = (from + 1 + draw(PEOPLE - 1)) % PEOPLE;
        await change.run(verb, people[from] ?? '', people[to] ?? '').catch(refused);
      });
      await allOf(acts, 10);
      await participant.settled();
      await participant.close();

      expect(await wrongCounts(database)).toBe(0);
      expect(await gaps(database)).toEqual([]);
      expect(await database.query('SELECT FROM follows WHERE $1 IN (follower_id, followee_id)', [people[0]])).toEqual(
        [],
      );
      expect(await acrossBlocks(database)).toEqual([]);
      // PostgreSQL gave up on none of them: a deadlock's victim would have been tried again.
      expect(counted.attempts).toBe(counted.transactions);
    } finally {
      await database.close();
    }
  });

  it('those who follow one person at once do not wait for each other, and are counted at every moment', async () => {
    const database = await open();
    try {
      const [celebrity = '', first = '', second = '', third = ''] = await peopleOf(database, 4);
      const change = changing(database);
      const row = () => database.query('SELECT follower_count AS n FROM people WHERE user_id = $1', [celebrity]);
      await database.transaction(async (tx) => {
        await tx.query('SELECT FROM people WHERE user_id = $1 FOR NO KEY UPDATE', [celebrity]);
        await change.run('follow', first, celebrity);
        await change.run('follow', second, celebrity);
        await change.run('unfollow', first, celebrity);
        expect([await countsOf(database, celebrity), await row()]).toEqual([[1, 0], [{ n: 0 }]]);
        expect(await wrongCounts(database)).toBe(0);

        // The control: whoever wants the row itself waits.
        const waiting = database.transaction(async (other) => {
          await other.query(`SET LOCAL lock_timeout = '50ms'`);
          await other.query('UPDATE people SET follower_count = follower_count + 1 WHERE user_id = $1', [celebrity]);
        });
        await expect(waiting).rejects.toMatchObject({ code: 'OVERLOADED' });
      });
      // Whoever counts next takes them into the row.
      await change.run('follow', third, celebrity);
      expect([await row(), await database.query('SELECT FROM count_deltas')]).toEqual([[{ n: 2 }], []]);
      expect(await wrongCounts(database)).toBe(0);
    } finally {
      await database.close();
    }
  });

  it('those who follow and are followed at once are never told that a count would be below zero', async () => {
    const database = await open();
    try {
      const [nobodyYet = '', ...ring] = await peopleOf(database, 4);
      const change = changing(database);
      const follows = async (id: string, other: string): Promise<void> => {
        for (let turn = 0; turn < 500; turn += 1) await change.run(turn % 2 === 0 ? 'follow' : 'unfollow', id, other);
      };
      await Promise.all(ring.map((id, nth) => follows(id, ring[(nth + 1) % 3]!)));
      expect(await wrongCounts(database)).toBe(0);

      // The control: PostgreSQL looks at the check before it waits for who has just counted, and looks again too late.
      const add = (statements: Statements, by: number) =>
        statements.query(
          `UPDATE people SET follower_count = follower_count + $2, follower_count_2 = follower_count_2 + $2 WHERE user_id = $1`,
          [nobodyYet, by],
        );
      await database.transaction(async (tx) => {
        await add(tx, 1);
        await expect(add(database, -1)).rejects.toMatchObject({ code: '23514' });
        await add(tx, -1);
      });
    } finally {
      await database.close();
    }
  });

  it('counts are built anew while people follow, from where a process was killed', async () => {
    const database = await open();
    try {
      const people = await peopleOf(database, 30);
      await database.query('UPDATE people SET follower_count_2 = NULL, following_count_2 = NULL');
      const change = changing(database);
      let [nth, isOver] = [0, false];
      const follow = async (): Promise<void> => {
        nth += 1;
        const [one, two] = [people[nth % 30] as string, people[(nth * 7 + 1) % 30] as string];
        if (one !== two) await change.run(nth % 4 === 0 ? 'unfollow' : 'follow', one, two);
        expect(await wrongCounts(database)).toBe(0);
      };
      const following = [1, 2, 3].map(async () => {
        while (!isOver) await follow();
      });
      const model = countersModel(followersCounted[0] as Counted, 8);
      let steps = 0;
      const onStep = async (): Promise<void> => {
        await follow();
        if (++steps === 2) throw new Error('killed');
      };
      await expect(rebuild(database, model, { mend: false, onStep })).rejects.toThrow('killed');
      const rebuilt = await rebuild(database, model, { mend: false, onStep: follow });
      expect(rebuilt).toEqual({ switched: true, differing: 0, resumed: true });
      isOver = true;
      await Promise.all(following);
      expect(nth).toBeGreaterThan(20);
      expect(await wrongCounts(database)).toBe(0);
      // And in the version of before too: whoever follows changes both.
      await database.query(`UPDATE read_models SET serving = 1 WHERE name = $1`, [model.name]);
      expect(await wrongCounts(database)).toBe(0);
    } finally {
      await database.close();
    }
  });

  it('a follow that is ended while it is being brought back stays ended', async () => {
    const database = await open();
    try {
      const [away = '', fan = ''] = await peopleOf(database, 2);
      const change = changing(database);
      await database.query(`INSERT INTO parted VALUES ($1, 'follow', $2, $1, now())`, [away, fan]);
      await database.transaction(async (tx) => {
        let isFirst = true;
        const query = async (...statement: Parameters<Tx['query']>): Promise<unknown[]> => {
          const rows = await tx.query(...statement);
          // What is to come back is known, and nothing is locked.
          if (isFirst) await change.run('unfollow', fan, away);
          isFirst = false;
          return rows;
        };
        await restoreSlice(Object.create(tx, { query: { value: query } }), {
          userId: away,
        } as Parameters<typeof restoreSlice>[1]);
      });
      expect([await followsOf(database, fan), await database.query('SELECT FROM parted')]).toEqual([[], []]);
      expect(await told(database, away, fan)).toEqual(['1 follow-started by null', `2 follow-ended by ${fan}`]);
      expect(await wrongCounts(database)).toBe(0);
    } finally {
      await database.close();
    }
  });

  it('a deletion waits for a follow that began before the account was frozen, and ends it too', async () => {
    const database = await open();
    try {
      const [leaving = '', fan = ''] = await peopleOf(database, 2);
      const [isLocked, mayGoOn] = [barrier(2), barrier(2)];
      const following = database.transaction(async (tx) => {
        const [relation] = await lockRelations(tx, [pairOf(fan, leaving)]);
        await isLocked();
        await mayGoOn();
        const changes = [{ type: 'follow-started', from: fan, to: leaving } as const];
        await storeChanges(tx, [{ relation: relation!, changes }], { actor: fan, at: new Date(NOW).toISOString() });
      });
      await isLocked();
      await database.transaction((tx) => userDeleted(tx, deletion(leaving)));
      // The control: whoever only looks finds nobody, and would be done.
      expect(await database.query('SELECT FROM follows WHERE followee_id = $1', [leaving])).toEqual([]);
      const step = { deletionId: leaving, userId: leaving };
      const sliceAt = (cursor: string) =>
        database.transaction((tx) => eraseSlice(tx, { ...step, cursor } as Parameters<typeof eraseSlice>[1]));
      const slice = sliceAt('');
      await mayGoOn();
      await following;
      let cursor = await slice;
      expect(cursor).toBe('');
      while (cursor !== undefined) cursor = await sliceAt(cursor);
      expect(await database.query('SELECT FROM follows WHERE followee_id = $1', [leaving])).toEqual([]);
      expect(await database.query('SELECT state FROM people WHERE user_id = $1', [leaving])).toEqual([
        { state: 'gone' },
      ]);
      expect(await wrongCounts(database)).toBe(0);
      await expect(changing(database).run('follow', fan, leaving)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    } finally {
      await database.close();
    }
  });

  it('an account that is thawed waits for what another’s restoring is about to leave it, and brings it back', async () => {
    const database = await open();
    try {
      const [away = '', other = ''] = await peopleOf(database, 2);
      await database.query(`UPDATE people SET state = 'frozen' WHERE user_id = $1`, [away]);
      const [isLocked, mayGoOn] = [barrier(2), barrier(2)];
      const restoring = database.transaction(async (tx) => {
        await lockRelations(tx, [pairOf(away, other)]);
        await isLocked();
        await mayGoOn();
        await tx.query(`INSERT INTO parted VALUES ($1, 'follow', $1, $2, now())`, [away, other]);
      });
      await isLocked();
      const thaw = database.transaction((tx) => accountThawed(tx, thawed(away)));
      const waits = `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`;
      let isThawed = false;
      void thaw.then(() => (isThawed = true));
      while (!isThawed && (await database.query(waits)).length === 0);
      // The control: whoever only looks finds nothing that was left.
      expect(await database.query('SELECT FROM parted WHERE owner_id = $1', [away])).toEqual([]);
      await mayGoOn();
      await Promise.all([restoring, thaw]);
      expect(await database.query('SELECT step, state FROM deletion_parts WHERE user_id = $1', [away])).toEqual([
        { step: 'restore-follows', state: 'working' },
      ]);
    } finally {
      await database.close();
    }
  });

  it('two who lock their own row first and then the other’s are a deadlock, which is seen (control)', async () => {
    const database = await open();
    try {
      const people = Array.from({ length: 2 }, () => newId({ now: OLD }));
      for (const id of people) await database.transaction((tx) => registerPerson(tx, id));
      const counted = countingAttempts(database);
      const bothHoldOne = barrier(2);
      const outcomes = await Promise.allSettled(
        [people, people.toReversed()].map((order) =>
          counted.transaction(async (tx) => {
            for (const [nth, id] of order.entries()) {
              await tx.query('SELECT FROM people WHERE user_id = $1 FOR NO KEY UPDATE', [id]);
              if (nth === 0) await bothHoldOne();
            }
          }),
        ),
      );
      // Found after a second, which is also how long a lock is waited for: one of them is tried again, or refused.
      const refusals = outcomes.filter(({ status }) => status === 'rejected').length;
      expect(counted.attempts - counted.transactions + refusals).toBeGreaterThan(0);
    } finally {
      await database.close();
    }
  });

  it('the same follows, with counts that are read, raised and written back, drift (control)', async () => {
    const database = await open();
    try {
      const people = Array.from({ length: PEOPLE }, () => newId({ now: OLD }));
      for (const id of people) await database.transaction((tx) => registerPerson(tx, id));
      const celebrity = people[0] ?? '';
      const atOnce = barrier(PEOPLE - 1);
      await Promise.allSettled(
        people.slice(1).map((follower) =>
          database.transaction(async (tx) => {
            const [row] = await tx.query<{ n: number }>('SELECT follower_count AS n FROM people WHERE user_id = $1', [
              celebrity,
            ]);
            await atOnce();
            await tx.query('INSERT INTO follows VALUES ($1, $2, now())', [follower, celebrity]);
            await tx.query('UPDATE people SET follower_count = $2 WHERE user_id = $1', [celebrity, (row?.n ?? 0) + 1]);
          }),
        ),
      );
      expect(await wrongCounts(database)).toBeGreaterThan(0);
    } finally {
      await database.close();
    }
  });
}

const scratch: string[] = [];

async function peopleOf(database: Database, count: number): Promise<string[]> {
  const people = Array.from({ length: count }, () => newId({ now: OLD }));
  for (const id of people) await database.transaction((tx) => registerPerson(tx, id));
  return people;
}

function changing(database: Database): ChangeRelation {
  const waiting = new Waiting(
    () => NOW,
    async () => {},
  );
  return new ChangeRelation({ database, clock: () => NOW, waiting });
}

async function asAdmin(adminUrl: string, statement: string): Promise<void> {
  const admin = await openDatabase({ service: 'admin', url: adminUrl, entities: [], migrations: [], poolMax: 1 });
  try {
    await admin.query(statement);
  } finally {
    await admin.close();
  }
}

/** Every transaction, and how often its work was begun. */
function countingAttempts(database: Database) {
  const counted = {
    transactions: 0,
    attempts: 0,
    query: database.query.bind(database) as Database['query'],
    afterCommit: database.afterCommit.bind(database),
    transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
      counted.transactions += 1;
      return database.transaction((tx) => {
        counted.attempts += 1;
        return work(tx);
      });
    },
  };
  return counted;
}

async function openScratch(adminUrl: string): Promise<Database> {
  const name = `followers_${newId().replaceAll('-', '')}`;
  await asAdmin(adminUrl, `CREATE DATABASE ${name}`);
  scratch.push(name);
  const url = new URL(adminUrl);
  url.pathname = `/${name}`;
  return openDatabase({ service: 'followers', url: url.href, ...followersTables, poolMax: 12 });
}

function deletion(userId: string, deletionId?: string): Parameters<typeof userDeleted>[1] {
  return {
    id: newId(),
    type: 'user-deleted',
    version: 1,
    source: 'users',
    aggregate: `user:${userId}`,
    aggregateVersion: 2,
    at: new Date(NOW).toISOString(),
    actor: userId,
    payload: { userId, handle: 'somebody', ...(deletionId === undefined ? {} : { deletionId }) },
  };
}

function frozen(userId: string, deletionId: string): Parameters<typeof accountFrozen>[1] {
  return {
    ...deletion(userId),
    type: 'account-frozen',
    payload: { deletionId, userId, handle: 'somebody', saga: 'choreographed' },
  };
}

function thawed(
  userId: string,
  deletionId = newId(),
  saga: Saga = 'orchestrated',
): Parameters<typeof accountThawed>[1] {
  return {
    ...deletion(userId),
    type: 'account-thawed',
    payload: { deletionId, userId, handle: 'somebody', saga },
  };
}

/** Tables that say of somebody that this person knew them. */
async function kept(database: Database, userId: string): Promise<string[]> {
  const rows = await database.query<{ name: string }>(
    `SELECT 'blocks' AS name FROM blocks WHERE $1 IN (blocker_id, blocked_id)
     UNION SELECT 'follows' FROM follows WHERE $1 IN (follower_id, followee_id)
     UNION SELECT 'parted' FROM parted WHERE $1 IN (owner_id, from_id, to_id)
     UNION SELECT 'relations' FROM relations WHERE $1 IN (low_id, high_id) ORDER BY name`,
    [userId],
  );
  return rows.map(({ name }) => name);
}

function acrossBlocks(database: Database): Promise<unknown[]> {
  return database.query(
    `SELECT FROM follows f JOIN blocks b ON (b.blocker_id, b.blocked_id) IN ((f.follower_id, f.followee_id), (f.followee_id, f.follower_id))`,
  );
}

async function followsOf(database: Database, id: string): Promise<string[]> {
  const rows = await database.query<{ id: string }>('SELECT followee_id AS id FROM follows WHERE follower_id = $1', [
    id,
  ]);
  return rows.map((row) => row.id);
}

async function countsOf(database: Database, id: string): Promise<number[]> {
  const [row] = await database.query<{ followers: number; following: number }>(
    `SELECT ${wholeCount('followers', 'people')} AS followers, ${wholeCount('following', 'people')} AS following
     FROM people WHERE user_id = $1`,
    [id],
  );
  return row === undefined ? [] : [row.followers, row.following];
}

async function told(database: Database, one: string, other: string): Promise<string[]> {
  const rows = await database.query<{ version: number; type: string; actor: string | null }>(
    'SELECT aggregate_version AS version, type, actor FROM outbox WHERE aggregate = $1 ORDER BY position',
    [`relation:${[one, other].toSorted().join(':')}`],
  );
  return rows.map(({ version, type, actor }) => `${version} ${type} by ${actor}`);
}

/** Everything that a write could have left behind. */
async function everything(database: Database): Promise<unknown> {
  return database.query(
    `SELECT (SELECT count(*)::int FROM people) AS people, (SELECT count(*)::int FROM relations) AS relations,
       (SELECT count(*)::int FROM outbox) AS told, (SELECT sum(follower_count)::int FROM people) AS counted`,
  );
}

async function wrongCounts(database: Database): Promise<number> {
  const rows = await database.query(
    `SELECT FROM people WHERE ${wholeCount('followers', 'people')} <> (SELECT count(*) FROM follows WHERE followee_id = user_id)
       OR ${wholeCount('following', 'people')} <> (SELECT count(*) FROM follows WHERE follower_id = user_id)`,
  );
  return rows.length;
}

/** Pairs whose events are not numbered 1, 2, 3, … in the order they were told. */
async function gaps(database: Database): Promise<unknown[]> {
  return database.query(
    `SELECT * FROM (SELECT aggregate, aggregate_version, row_number() OVER (PARTITION BY aggregate ORDER BY position) AS nth FROM outbox) AS o
     WHERE nth <> aggregate_version`,
  );
}

/** Runs all, `together` at a time. */
async function allOf(acts: (() => Promise<void>)[], together: number): Promise<void> {
  const left = acts.values();
  await Promise.all(
    Array.from({ length: together }, async () => {
      for (const act of left) await act();
    }),
  );
}

/** Resolves for everybody when the last of `count` has come. */
function barrier(count: number): () => Promise<void> {
  let open: () => void;
  const opened = new Promise<void>((resolve) => (open = resolve));
  let left = count;
  return async () => {
    if (--left === 0) open();
    await opened;
  };
}

/** A block or a deletion may refuse an act, and so may a slow machine (1 s for a lock); anything else is a fault. */
function refused(error: unknown): void {
  const code = (error as { code?: string }).code ?? '';
  if (!['FORBIDDEN', 'NOT_FOUND', 'UNAUTHENTICATED', 'ACCOUNT_FROZEN', 'OVERLOADED'].includes(code)) throw error;
}

/** Numbers below a bound, the same ones for the same seed. */
function drawer(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}
