import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { openDatabase, type Database } from '#libs/database';
import { silent } from '#libs/telemetry';
import type { Fault, Scene } from './fault.js';
import { restarted } from './restarted.js';
import { SERVICES, type ServiceName } from './town.js';

/** Somebody else writes to the databases of services, so that PostgreSQL ends transactions of theirs for the other's sake. */
export const CONFLICTS: readonly Fault[] = [
  {
    id: 'FD9',
    says: 'a second writer locks in posts and followers what they write, in the other order: deadlocks (40P01), and they are who is ended',
    onlyTold: ['OVERLOADED'],
    async strike(scene) {
      const { town, databases, ms } = scene;
      // Before a lock is given up (1.5 s), and late enough for the other to close the circle.
      await databases.admin.query(`ALTER SYSTEM SET deadlock_timeout = '500ms'`);
      await databases.admin.query('SELECT pg_reload_conf()');
      const ended = countIn(scene, 'deadlock detected');
      await beside(town, ['posts', 'followers'], untilEnded(ms, ended), crossed);
      await databases.admin.query('ALTER SYSTEM RESET deadlock_timeout');
      await databases.admin.query('SELECT pg_reload_conf()');
      tellOf('FD9', ended());
    },
  },
  {
    id: 'FD9-serializable',
    says: 'the databases are SERIALIZABLE where nobody says otherwise, and a second writer changes the newest rows (40001)',
    onlyTold: ['OVERLOADED'],
    prepare: (scene) => isolated(scene, `SET default_transaction_isolation = 'serializable'`),
    async strike(scene) {
      const ended = countIn(scene, 'could not serialize access');
      await beside(scene.town, ['posts', 'followers'], untilEnded(scene.ms, ended), async (writer, name) => {
        const table = name === 'posts' ? 'posts' : 'relations';
        await writer.transaction(async (tx) => {
          await tx.query(
            `UPDATE ${table} SET version = version WHERE ctid IN (SELECT ctid FROM ${table} ORDER BY ctid DESC LIMIT 20)`,
          );
          await sleep(5);
        });
      });
      tellOf('FD9-serializable', ended());
    },
    tidy: (scene) => isolated(scene, 'RESET default_transaction_isolation'),
  },
];

/** For so long, and on a busy machine until somebody was ended. */
function untilEnded(ms: number, ended: () => number): () => boolean {
  let began: number | undefined;
  return () => {
    began ??= performance.now();
    const tookMs = performance.now() - began;
    return tookMs > ms && (ended() > 0 || tookMs > ms + CAME_ABOUT_MS);
  };
}

const CAME_ABOUT_MS = 20_000;

/** One more writer in each of these databases, who does it again and again until `isOver`. */
async function beside(
  { databaseUrls }: Scene['town'],
  names: readonly ServiceName[],
  isOver: () => boolean,
  once: (writer: Database, name: ServiceName) => Promise<void>,
): Promise<void> {
  const write = async (name: ServiceName): Promise<void> => {
    const url = new URL(databaseUrls.admin);
    url.pathname = new URL(databaseUrls[name]).pathname;
    const parts = { service: name, url: url.href, dataDir: '', poolMax: 1, bulk: true, logger: silent };
    const writer = await openDatabase({ ...parts, entities: [], migrations: [] });
    try {
      while (!isOver()) await once(writer, name);
    } finally {
      await writer.close();
    }
  };
  await Promise.all(names.map(write));
}

/** Waits until somebody of the service who has written waits for us to write an event, and then for what that one has written. */
async function crossed(writer: Database): Promise<void> {
  await writer.transaction(async (tx) => {
    // Who looks for a circle first is ended by it.
    await tx.query(`SET LOCAL deadlock_timeout = '60s'`);
    await tx.query('LOCK TABLE outbox IN SHARE MODE');
    for (const end = performance.now() + 300; performance.now() < end; await sleep(5)) {
      const written = await tx.query<{ name: string }>(WRITTEN_BY_WHO_WAITS);
      if (written.length === 0) continue;
      await tx.query(`LOCK TABLE ${written.map(({ name }) => name).join(', ')} IN SHARE MODE`);
      return;
    }
  });
  await sleep(50);
}

const WRITTEN_BY_WHO_WAITS = `
  SELECT DISTINCT held.relation::regclass::text AS name
  FROM pg_locks waits JOIN pg_locks held USING (pid) JOIN pg_class c ON c.oid = held.relation
  WHERE waits.relation = 'outbox'::regclass AND NOT waits.granted
    AND held.granted AND held.mode = 'RowExclusiveLock' AND c.relkind = 'r' AND held.relation <> 'outbox'::regclass
    AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())`;

async function isolated({ town, databases: { admin } }: Scene, how: string): Promise<void> {
  for (const name of SERVICES)
    await admin.query(`ALTER DATABASE ${new URL(town.databaseUrls[name]).pathname.slice(1)} ${how}`);
  await restarted(town, {});
}

/** How often PostgreSQL's log says it from now on. */
function countIn({ town }: Scene, what: string): () => number {
  const count = (): number => readFileSync(join(dirname(town.postgres.dataDir), 'log'), 'utf8').split(what).length - 1;
  const before = count();
  return () => count() - before;
}

function tellOf(id: string, ended: number): void {
  process.stderr.write(`${id}: PostgreSQL ended ${ended} transactions\n`);
  if (ended === 0) throw new Error('no transaction was ended, so it did not come about');
}
