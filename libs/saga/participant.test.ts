import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { openDatabase, provisionServices, type Database } from '#libs/database';
import { newId } from '#libs/identity';
import { outboxMigrations } from '#libs/outbox';
import { silent } from '#libs/telemetry';
import { withServer } from '../../test/servers/needs.js';
import { stuckSteps } from './gauges.js';
import { LATE, othersOfNow } from './late.js';
import { eraseLeftBehind } from './left-behind.js';
import { PARTS_INDEXES, PARTS_PROGRESS, PARTS_TABLE, type Part } from './part.js';
import { beginStep, partOf, Participant, type Begun } from './participant.js';

type Step = 'go' | 'back' | 'erase';

let dataDir: string;
let database: Database;
/** `<step>` of each slice, and `<step> <outcome> <version>` of each end, in their order. */
let happened: string[];
/** Slices that each step has left. */
let left: Record<Step, number>;
let fails: Step | undefined;
let participant: Participant<Step>;
/** So much has happened when the process ends. */
let endsAt: number | undefined;

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'saga-'));
  database = await openDatabase({
    service: 'posts',
    dataDir,
    entities: [],
    migrations: [...outboxMigrations],
    logger: silent,
  });
  for (const statement of [PARTS_TABLE, ...PARTS_INDEXES, ...PARTS_PROGRESS]) await database.query(statement);
});
afterAll(async () => {
  await database.close();
  await rm(dataDir, { recursive: true });
});
beforeEach(async () => {
  await database.query('DELETE FROM deletion_parts');
  [happened, left, fails] = [[], { go: 0, back: 0, erase: 0 }, undefined];
  participant = participantOn(database);
});

describe('a service that takes part in deletions', () => {
  it('works a step off slice by slice, and tells its end once; asked again, it tells it again', async () => {
    left.go = 3;
    await begin('go', first);
    await worked();
    expect(happened).toEqual(['go', 'go', 'go', 'go', 'go done 1']);
    await begin('go', first);
    await worked();
    expect(happened.slice(5)).toEqual(['go', 'go done 2']);
  });

  it('undoes what fails for good, and only then says so', async () => {
    [fails, left.back] = ['go', 1];
    await begin('go', first);
    await worked();
    expect(happened).toEqual(['go', 'go', 'go', 'back', 'back', 'go failed 1']);
  });

  it('never gives up on what has no way back', async () => {
    fails = 'erase';
    await begin('erase', first);
    await slices(10);
    fails = undefined;
    await worked();
    expect(happened.at(-1)).toBe('erase done 1');
    expect(happened).not.toContain('back');
  });

  it('is on a gauge from the third time in a row that a step has failed, until it is done', async () => {
    const stuck = stuckSteps(database);
    fails = 'erase';
    await begin('erase', first);
    await slices(2);
    expect(await stuck.read()).toBe(0);
    await slices(1);
    expect(await stuck.read()).toBe(1);
    fails = undefined;
    await worked();
    expect(await stuck.read()).toBe(0);
  });

  it('does not begin again what it has undone: it was asked before anybody heard that it had failed', async () => {
    fails = 'go';
    await begin('go', first);
    await worked();
    fails = undefined;
    expect(await begin('go', first, true, 'back')).toEqual({ late: true });
    await worked();
    expect(happened.at(-1)).toBe('go failed 1');
    // To undo it and to erase are begun all the same, and so is what is still being done.
    expect([await begin('back', first), await begin('erase', first)]).toEqual([{}, {}]);
    await worked();
    expect(happened.at(-1)).toBe('erase done 2');
    // The control: not knowing what undoes it, it does it, and nobody asks to undo it again.
    const others = newId();
    fails = 'go';
    await begin('go', second, true, undefined, others);
    await worked();
    fails = undefined;
    await begin('go', second, true, undefined, others);
    await worked();
    expect(happened.at(-1)).toBe('go done 2');
  });

  it('does not turn an erasure round that was begun while the step before it failed for the last time', async () => {
    fails = 'go';
    let isBegun = false;
    const late = {
      transaction: database.transaction.bind(database) as Database['transaction'],
      query: (async (text: string, values?: unknown[]) => {
        // The statement that turns it round.
        if (/^UPDATE deletion_parts SET .*\bstep = /.test(text) && happened.length === 3 && !isBegun) {
          isBegun = true;
          await begin('erase', first);
        }
        return database.query(text, values);
      }) as Database['query'],
    };
    participant = participantOn(late);
    await begin('go', first);
    await worked();
    expect(happened).toEqual(['go', 'go', 'go', 'erase', 'erase done 1']);
  });
});

describe('asked again for what it is at', () => {
  it('it tells that it goes on, once for all that was done since', async () => {
    left.go = 2;
    await begin('go', first);
    expect(await begin('go', first)).toEqual({});
    await slices(1);
    expect(await begin('go', first)).toEqual({ goesOn: 1 });
    expect(await begin('go', first)).toEqual({});
    await slices(1);
    expect(await begin('go', first)).toEqual({ goesOn: 2 });
    left.go = 0;
    await worked();
    expect(happened.at(-1)).toBe('go done 3');
  });

  it('no version is spent where the caller tells nothing, nor for slices of the step before', async () => {
    left.go = 2;
    await begin('go', first);
    await slices(1);
    expect(await begin('go', first, false)).toEqual({});
    await slices(1);
    expect(await begin('erase', first)).toEqual({});
    expect(await begin('erase', first)).toEqual({});
    await worked();
    expect(happened.at(-1)).toBe('erase done 1');
  });

  it('it tells nothing while it only fails', async () => {
    [fails, left.go] = ['go', 5];
    await begin('go', first);
    await slices(2);
    expect(await begin('go', first)).toEqual({});
  });
});

describe('of several deletions of one account', () => {
  it('the later one takes over, and what comes late of the earlier is nothing', async () => {
    await begin('back', first);
    await begin('go', second);
    expect(await states()).toEqual(['back done', 'go working']);
    await begin('back', first);
    await begin('go', first);
    expect(await states()).toEqual(['back done', 'go working']);
    expect(await database.transaction((tx) => partOf<Step>(tx, userId))).toMatchObject({ deletionId: second });
  });

  it('an erasure is not left again, and is begun whichever deletion it comes from', async () => {
    await begin('go', second);
    await begin('erase', first);
    for (const step of ['go', 'back'] as const) for (const id of [first, second, third]) await begin(step, id);
    expect(await states()).toEqual(['erase working', 'go done']);
    await worked();
    await begin('back', third);
    expect(await states()).toEqual(['erase done', 'go done']);
  });
});

describe('an erasure that waits for whoever is open', () => {
  /** Not given out in the life of this database. */
  const OPEN = '4000000000';
  const answer = (place: string): Promise<string | undefined> => database.transaction((tx) => othersOfNow(tx, place));

  it('does so for half a minute, however often it looks', async () => {
    const now = Date.now();
    expect(await answer(`${OPEN} ${now - 25_000}`)).toBe(`${OPEN} ${now - 25_000}`);
    expect(await answer(`${OPEN} ${now - 31_000}`)).toBeUndefined();
    // One of before, which counted.
    const [xid, began] = (await answer(`${OPEN} 299`))!.split(' ');
    expect([xid, Math.abs(Number(began) - now) < 10_000]).toEqual([OPEN, true]);
    // The control: they are all over.
    expect(await answer((await answer(''))!)).toBeUndefined();
  });

  it('has one moment with the others of a look at what was left behind, after all that each of them had left is gone', async () => {
    const cursors: string[] = [];
    await eraseLeftBehind<Step>(
      database,
      {
        accounts: `SELECT id FROM unnest(ARRAY['${first}', '${second}']::uuid[]) AS id WHERE id > $1 LIMIT $2`,
        step: 'erase',
        slice: async (_, { cursor }) => {
          cursors.push(cursor);
          return cursor === '' ? LATE : undefined;
        },
      },
      { mend: true },
    );
    expect(cursors).toEqual(['', '', expect.stringMatching(/^late \d+ \d+$/), cursors[2]]);
  });
});

withServer('postgres', 'a step that another process is at', (adminUrl) => {
  let shared: Database;
  /** Transactions, each of them a look at the deletion. */
  let looks: number;
  beforeAll(async () => {
    const prefix = `test_${newId().replaceAll('-', '').slice(-12)}_`;
    const url = (await provisionServices(adminUrl, ['posts'], { posts: 'posts' }, { prefix }))['posts'];
    const migrations = [...outboxMigrations];
    shared = await openDatabase({ service: 'posts', url, dataDir, entities: [], migrations, logger: silent });
    for (const statement of [PARTS_TABLE, ...PARTS_INDEXES, ...PARTS_PROGRESS]) await shared.query(statement);
  });
  afterAll(() => shared?.close());
  beforeEach(async () => {
    await shared.query('DELETE FROM deletion_parts');
    await shared.transaction((tx) =>
      beginStep<Step>(tx, {
        deletionId: first,
        userId,
        saga: 'choreographed',
        step: 'go',
        last: 'erase',
        tells: false,
      }),
    );
    looks = 0;
  });

  const counting: Pick<Database, 'query' | 'transaction'> = {
    query: (...asked) => shared.query(...asked),
    transaction: (work) => {
      looks += 1;
      return shared.transaction(work);
    },
  };
  const looked = async (times: number): Promise<void> => {
    while (looks < times) await new Promise((resolve) => setTimeout(resolve, 5));
  };
  /** Holds the deletion as a slice does, until another one has looked for work so often. Answers how often it had by the end. */
  function whileHeld(other: Participant<Step>, times: number, pauseMs = 0): Promise<number> {
    return shared.transaction(async (tx) => {
      await tx.query('SELECT FROM deletion_parts FOR UPDATE');
      other.wake();
      await looked(times);
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
      return looks;
    });
  }

  it('is looked at again after a pause, and done when that one is gone', async () => {
    // Long beside what a busy machine takes for the 200 ms.
    const other = participantOn(counting, { heldMs: 2_000 });
    expect(await whileHeld(other, 1, 200)).toBe(1);
    while (happened.length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
    await other.close();
    expect(happened).toEqual(['go', 'go done 1']);
    expect(looks).toBeLessThan(4);
  });

  it('is looked at without an end where there is no pause (control)', async () => {
    const other = participantOn(counting, { heldMs: 0 });
    await whileHeld(other, 10);
    await other.close();
  });
});

const userId = newId();
const [first, second, third] = [1, 2, 3].map((now) => newId({ now })) as [string, string, string];

function begin(step: Step, deletionId: string, tells = true, undo?: Step, who = userId): Promise<Begun> {
  return database.transaction((tx) =>
    beginStep<Step>(tx, { deletionId, userId: who, saga: 'orchestrated', step, last: 'erase', tells, undo }),
  );
}

function participantOn(
  on: Pick<Database, 'query' | 'transaction'>,
  { heldMs }: { heldMs?: number } = {},
): Participant<Step> {
  const slice = async (_: unknown, { step }: Part<Step>) => {
    happened.push(step);
    if (happened.length === endsAt) void participant.close();
    if (fails === step) throw new Error('broken by the test');
    left[step] -= 1;
    return left[step] < 0 ? undefined : `${left[step]} left`;
  };
  return new Participant<Step>({
    database: on,
    steps: { go: { slice, undo: 'back' }, back: { slice }, erase: { slice } },
    tell: async (_, { step }, version, outcome) => void happened.push(`${step} ${outcome} ${version}`),
    logger: silent,
    pausesMs: [1, 1],
    lookMs: 10,
    ...(heldMs === undefined ? {} : { heldMs }),
  });
}

async function worked(): Promise<void> {
  await participant.settled();
  await participant.close();
  participant = participantOn(database);
}

/** Some slices and no more, as of a step that takes long. */
async function slices(count: number): Promise<void> {
  endsAt = happened.length + count;
  participant.wake();
  while (happened.length < endsAt) await new Promise((resolve) => setTimeout(resolve, 5));
  await participant.close();
  participant = participantOn(database);
  endsAt = undefined;
}

async function states(): Promise<string[]> {
  const rows = await database.query<{ line: string }>(
    `SELECT step || ' ' || state AS line FROM deletion_parts ORDER BY deletion_id`,
  );
  return rows.map(({ line }) => line);
}
