import { readFileSync, readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { openDatabase, type Database } from '#libs/database';
import { silent } from '#libs/telemetry';
import { startPostgres, type PostgresServer } from '../../test/servers/postgres.js';
import type { Fault, Scene } from './faults.js';
import { SERVICES, type ServiceName } from './town.js';
import { until } from './until.js';

/** What is open to a server that says nothing is given up after three seconds; as long again for a busy machine. */
const GIVEN_UP_MS = 6_000;

/**
 * The primary is stopped as a machine is that hangs: nothing comes from it and nothing is refused. Its standby is promoted and gets the name.
 * Then it goes on, and is a primary as ever, with all that was open to it.
 */
export const OLD_PRIMARY: readonly Fault[] = [
  comesBack(
    'FD6',
    'the primary hangs, its synchronous standby gets its name, and it comes back as a primary: nobody uses it',
    SERVICES,
  ),
  {
    ...comesBack(
      'control-FD6',
      'the same, but the name of the database of followers leads where it did, which has to be found',
      ['users', 'posts'],
    ),
    control: true,
  },
];

function comesBack(id: string, says: string, led: readonly ServiceName[]): Fault {
  let standby: PostgresServer;
  return {
    id,
    says,
    longestMsMax: (ms) => ms + 30_000,
    async prepare({ town, databases: { admin } }) {
      standby = await startPostgres({ standbyOf: town.postgres, settings: { synchronous_commit: 'on' } });
      await admin.query(`ALTER SYSTEM SET synchronous_standby_names = '*'`);
      await admin.query('SELECT pg_reload_conf()');
      const follows = `SELECT FROM pg_stat_replication WHERE sync_state = 'sync' AND state = 'streaming'`;
      await until('the standby follows', async () => (await admin.query(follows)).length > 0);
    },
    async strike({ town, databases, ms }) {
      const before = town.postgres;
      if ((await connected(databases.admin, town.databaseUrls)) === '') throw new Error('nobody was connected to it');
      try {
        for (const pid of processesOf(before)) process.kill(pid, 'SIGSTOP');
        await sleep(ms);
        town.leadDatabases(standby, led);
        // Ours were open to the one before.
        await until('the standby is promoted', async () =>
          databases.admin.query('SELECT pg_promote()').then(
            () => true,
            () => false,
          ),
        );
        await sleep(GIVEN_UP_MS);
        for (const pid of processesOf(before)) process.kill(pid, 'SIGCONT');
        await unused(before, town.databaseUrls, ms);
      } finally {
        await before.stop();
      }
    },
  };
}

/** Throws where a service is connected to it within `ms`: whoever is not connected writes nothing. */
async function unused(server: PostgresServer, urls: Scene['town']['databaseUrls'], ms: number): Promise<void> {
  // What was sent to it before it hung is done now, and told to nobody.
  await sleep(ms / 2);
  const admin = await openAt(server, urls.admin);
  try {
    for (const end = performance.now() + ms / 2; performance.now() < end; await sleep(20)) {
      const here = await connected(admin, urls);
      if (here !== '') throw new Error(`the primary of before is still used by ${here}`);
    }
  } finally {
    await admin.close();
  }
}

/** Who of the services is. */
async function connected(admin: Database, urls: Scene['town']['databaseUrls']): Promise<string> {
  const roles = new Map(SERVICES.map((name) => [new URL(urls[name]).username, name]));
  const rows = await admin.query<{ role: string }>(
    'SELECT DISTINCT usename AS role FROM pg_stat_activity WHERE usename = ANY($1)',
    [[...roles.keys()]],
  );
  return rows.map(({ role }) => roles.get(role)).join(', ');
}

async function openAt(server: PostgresServer, url: string): Promise<Database> {
  const there = new URL(url);
  there.port = String(server.port);
  const parts = { service: 'admin', url: there.href, dataDir: '', poolMax: 1, bulk: true, logger: silent };
  return openDatabase({ ...parts, entities: [], migrations: [] });
}

/** Of its own, and of each connection. */
function processesOf({ pid }: PostgresServer): number[] {
  const children = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => {
      try {
        // Behind the name, which may have any sign in it: state and parent.
        return Number(/\) \S (\d+)/.exec(readFileSync(`/proc/${name}/stat`, 'utf8'))?.[1]) === pid;
      } catch {
        return false;
      }
    });
  return [pid, ...children.map(Number)];
}
