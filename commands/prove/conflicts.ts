import { openDatabase, type Database, type Tx } from '#libs/database';
import { NO_TABLES, type Place } from './places.js';
import { untilItFails, wrong, zeros, type Figure, type Proof, type Row, type Setup } from './proof.js';

const WRITERS = 8;

/**
 * Two who decide by what both have read. Lost update: both write what they made of the same value. Write skew: each changes
 * another row, and what both relied on holds no longer. At READ COMMITTED both happen; a version in the row, or
 * SERIALIZABLE, is the cure, and PostgreSQL's 40001 and 40P01 are tried again at most three times.
 */
export const conflicts: Proof = {
  name: 'conflicts',
  says: 'lost update, write skew and deadlock: at READ COMMITTED they happen, versions and SERIALIZABLE cure them',
  run: async (setup) => {
    const rows: Row[] = [];
    for (const place of setup.places) rows.push(...(await run(setup, place)));
    return rows;
  },
};

async function run(setup: Setup, place: Place): Promise<Row[]> {
  const site = await place.prepare({ posts: NO_TABLES });
  const open = { service: 'posts', url: site.urls?.['posts'], dataDir: site.dataDir, ...NO_TABLES };
  // On a busy machine PostgreSQL finds a deadlock later than a request waits for a lock: nobody is given up here.
  const database = await openDatabase({ ...open, poolMax: WRITERS, bulk: true });
  const rounds = setup.quick ? 10 : 50;
  // The embedded database has one session: a transaction sees no other. Only what is read before it can be stale.
  const hasSessions = place.name === 'servers';
  const progress = setup.progress(hasSessions ? 6 : 2, 'ways');
  try {
    await database.query('CREATE TABLE counter (id int PRIMARY KEY, n int NOT NULL, version int NOT NULL)');
    await database.query('CREATE TABLE doctors (id int PRIMARY KEY, on_call boolean NOT NULL)');
    const rows: Row[] = [];
    const show = async (claim: string, work: () => Promise<readonly Figure[]>): Promise<void> => {
      const row = async (): Promise<Row> => ({
        claim,
        place: place.name,
        over: `${rounds} × ${WRITERS} writers`,
        figures: await work(),
      });
      rows.push(claim.startsWith('control: ') ? await untilItFails(setup, row) : await row());
      progress.add(1, claim);
    };
    await show('control: read, then written back', async () =>
      wrong({ lost: (await lostUpdates(database, rounds, writtenBack)).lost }, 'lost'),
    );
    await show('a version compared where it is written', async () => {
      const { lost, stored, attempts } = await lostUpdates(database, rounds, compared);
      return [...zeros({ lost }), atLeast('stored', stored, rounds * WRITERS), atLeast('tries', attempts, stored + 1)];
    });
    if (!hasSessions) return rows;
    await show('SERIALIZABLE, tried again ≤ 3 times, then told', async () => {
      const { lost, stored, attempts } = await lostUpdates(database, rounds, serializable);
      // The first of each round gets through; more than one try each is what PostgreSQL's 40001 had tried again.
      return [...zeros({ lost }), atLeast('stored', stored, rounds), atLeast('tries', attempts, rounds * WRITERS + 1)];
    });
    await show('control: write skew at READ COMMITTED', async () =>
      wrong({ skewed: (await skewed(database, rounds, 'READ COMMITTED')).skewed }, 'skewed'),
    );
    await show('write skew at SERIALIZABLE', async () => {
      const { skewed: nobody, decided, attempts } = await skewed(database, rounds, 'SERIALIZABLE');
      // Both may decide, one of them at the second try, when it sees that the other has gone.
      return [
        ...zeros({ skewed: nobody }),
        atLeast('decided', decided, rounds * 2),
        atLeast('tries', attempts, rounds * 2 + 1),
      ];
    });
    await show('deadlocks: the victim is tried again', () => deadlocks(database));
    return rows;
  } finally {
    progress.stop();
    await database.close();
    await site.clear();
  }
}

/** Where everybody was refused, nothing would be lost either. */
function atLeast(name: string, value: number, least: number): Figure {
  return { name, value, must: { atLeast: least } };
}

/** Adds one to the counter; resolves when that is stored, rejects when it is told that it is not. `tried` is told of each try. */
type Add = (database: Database, tried: () => void) => Promise<unknown>;

async function lostUpdates(database: Database, rounds: number, add: Add) {
  let [lost, stored, attempts] = [0, 0, 0];
  const tried = (): void => void (attempts += 1);
  for (let round = 0; round < rounds; round++) {
    await database.query('TRUNCATE counter');
    await database.query('INSERT INTO counter VALUES (1, 0, 1)');
    const outcomes = await Promise.allSettled(Array.from({ length: WRITERS }, () => add(database, tried)));
    const acknowledged = outcomes.filter(({ status }) => status === 'fulfilled').length;
    const [row] = await database.query<{ n: number }>('SELECT n FROM counter');
    lost += acknowledged - (row?.n ?? 0);
    stored += acknowledged;
  }
  return { lost, stored, attempts };
}

const READ = 'SELECT n, version FROM counter WHERE id = 1';
type Counter = { n: number; version: number };

async function writtenBack(database: Database): Promise<void> {
  const [row] = await database.query<Counter>(READ);
  await database.query('UPDATE counter SET n = $1 WHERE id = 1', [(row?.n ?? 0) + 1]);
}

async function compared(database: Database, tried: () => void): Promise<void> {
  // Each time somebody else has got through, so there are as many tries as writers.
  for (let attempt = 1; attempt <= WRITERS; attempt++) {
    tried();
    const [row] = await database.query<Counter>(READ);
    const stored = await database.query(
      'UPDATE counter SET n = $1, version = version + 1 WHERE id = 1 AND version = $2 RETURNING 1',
      [(row?.n ?? 0) + 1, row?.version],
    );
    if (stored.length === 1) return;
  }
  throw new Error('CONFLICT');
}

async function serializable(database: Database, tried: () => void): Promise<void> {
  await database.transaction(async (tx) => {
    tried();
    await isolated(tx, 'SERIALIZABLE');
    const [row] = await tx.query<Counter>(READ);
    await tx.query('UPDATE counter SET n = $1 WHERE id = 1', [(row?.n ?? 0) + 1]);
  });
}

type Isolation = 'READ COMMITTED' | 'SERIALIZABLE';

function isolated(tx: Tx, level: Isolation): Promise<unknown> {
  return tx.query(`SET TRANSACTION ISOLATION LEVEL ${level}`);
}

/** Two doctors are on call; each goes home if the other stays. skewed: rounds in which nobody was left; decided: who was not refused. */
async function skewed(database: Database, rounds: number, level: Isolation) {
  let [nobody, decided, attempts] = [0, 0, 0];
  for (let round = 0; round < rounds; round++) {
    await database.query('TRUNCATE doctors');
    await database.query('INSERT INTO doctors VALUES (1, true), (2, true)');
    const bothHaveLooked = meeting(2);
    const outcomes = await Promise.allSettled(
      [1, 2].map((id) =>
        database.transaction(async (tx) => {
          attempts += 1;
          await isolated(tx, level);
          const others = await tx.query('SELECT FROM doctors WHERE on_call AND id <> $1', [id]);
          await bothHaveLooked();
          if (others.length > 0) await tx.query('UPDATE doctors SET on_call = false WHERE id = $1', [id]);
        }),
      ),
    );
    decided += outcomes.filter(({ status }) => status === 'fulfilled').length;
    if ((await database.query('SELECT FROM doctors WHERE on_call')).length === 0) nobody += 1;
  }
  return { skewed: nobody, decided, attempts };
}

/** Two lock two rows in opposite order. Without another try one of each pair would be refused. */
async function deadlocks(database: Database): Promise<readonly Figure[]> {
  await database.query('TRUNCATE doctors');
  await database.query('INSERT INTO doctors VALUES (1, true), (2, true)');
  let attempts = 0;
  const bothHoldOne = meeting(2);
  const outcomes = await Promise.allSettled(
    [
      [1, 2],
      [2, 1],
    ].map((order) =>
      database.transaction(async (tx) => {
        attempts += 1;
        for (const [nth, id] of order.entries()) {
          await tx.query('SELECT FROM doctors WHERE id = $1 FOR UPDATE', [id]);
          if (nth === 0) await bothHoldOne();
        }
      }),
    ),
  );
  const refused = outcomes.filter(({ status }) => status === 'rejected').length;
  return [
    { name: 'refused', value: refused, must: { be: 0 } },
    { name: 'victims tried again', value: attempts - 2, must: { atLeast: 1 } },
  ];
}

/** Resolves when so many have called it; after that at once. */
function meeting(count: number): () => Promise<void> {
  let missing = count;
  let open = (): void => undefined;
  const all = new Promise<void>((resolve) => {
    open = resolve;
  });
  return async () => {
    if (--missing <= 0) open();
    await all;
  };
}
