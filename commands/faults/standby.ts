import type { Database } from '#libs/database';
import { startPostgres, type PostgresServer } from '../../test/servers/postgres.js';
import type { Town } from './town.js';
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
