import { setTimeout as sleep } from 'node:timers/promises';
import type { Database } from '#libs/database';
import { startPostgres, type PostgresServer } from '../../test/servers/postgres.js';
import type { Fault } from './fault.js';
import { SERVICES, type Town } from './town.js';
import { until } from './until.js';

/** A standby of all databases that a commit waits for, once it follows. `admin`: of the primary. */
export async function startStandby(town: Town, admin: Pick<Database, 'query'>): Promise<PostgresServer> {
  const standby = await startPostgres({ standbyOf: town.postgres, settings: { synchronous_commit: 'on' } });
  await admin.query(`ALTER SYSTEM SET synchronous_standby_names = '*'`);
  await admin.query('SELECT pg_reload_conf()');
  const follows = `SELECT FROM pg_stat_replication WHERE sync_state = 'sync' AND state = 'streaming'`;
  await until('the standby follows', async () => (await admin.query(follows)).length > 0);
  return standby;
}

export function standbyPromoted(): Fault {
  let standby: PostgresServer;
  return {
    id: 'FD5',
    says: 'the primary of all databases is lost; its synchronous standby is promoted and takes its place',
    longestMsMax: (ms) => ms + 30_000,
    async prepare({ town, databases: { admin } }) {
      standby = await startStandby(town, admin);
    },
    async strike({ town, databases, ms }) {
      for (const name of SERVICES) town.proxies.database[name].set({ down: true });
      await town.moveDatabases(standby);
      await sleep(ms);
      await databases.admin.query('SELECT pg_promote()');
      for (const name of SERVICES) town.proxies.database[name].set({});
    },
  };
}
