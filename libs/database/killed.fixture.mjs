// A process of its own, for tests that kill it: node killed.fixture.mjs <what> <folder>, beside the compiled libraries.
import { lockDataDir } from './data-dir-lock.js';

class CreateRows1700000000000 {
  up(runner) {
    return runner.query('CREATE TABLE rows (id int PRIMARY KEY, twin int NOT NULL)');
  }
}

/** Loaded only by who needs it: with TypeORM a process takes 0.3 s of a processor to start, and thirty of them only take a lock. */
async function opened(dataDir) {
  const { openDatabase } = await import('#libs/database');
  return openDatabase({ service: 'users', dataDir, entities: [], migrations: [CreateRows1700000000000] });
}

const deeds = {
  /** Holds the lock until it is killed, or prints why it did not get it. */
  async lock(folder) {
    try {
      await lockDataDir(folder);
      process.stdout.write('locked\n');
      setInterval(() => {}, 1_000);
    } catch (error) {
      process.stdout.write(`${error.message}\n`);
    }
  },

  /** Holds it and answers whoever calls. */
  async answer(folder) {
    const lock = await lockDataDir(folder);
    await lock.answer((caller) => caller.end(String(process.pid)));
    process.stdout.write('answering\n');
    setInterval(() => {}, 1_000);
  },

  /** Writes two rows per transaction and prints the number of each that was acknowledged. */
  async write(folder) {
    const database = await opened(folder);
    const [{ next }] = await database.query('SELECT coalesce(max(id), 0)::int + 1 AS next FROM rows');
    for (let id = next; ; id += 2) {
      await database.transaction(async (tx) => {
        await tx.query('INSERT INTO rows VALUES ($1, $2)', [id, id + 1]);
        await tx.query('INSERT INTO rows VALUES ($1, $2)', [id + 1, id]);
      });
      process.stdout.write(`${id}\n`);
    }
  },

  /** Opens and lets go, as a program does that was stopped. */
  async open(folder) {
    const database = await opened(folder);
    process.stdout.write(`${(await database.query('SELECT count(*)::int AS n FROM rows'))[0].n} rows\n`);
    await database.close();
  },
};

const [, , what, folder] = process.argv;
await deeds[what](folder);
