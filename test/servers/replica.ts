import pg from 'pg';
import { startPostgres, type PostgresServer } from './postgres.js';

/** How a replica lags, by what is done to it and what undoes that. */
const LAGS = {
  'stands still': [['SELECT pg_wal_replay_pause()'], ['SELECT pg_wal_replay_resume()']],
  'lags ten seconds': [
    [`ALTER SYSTEM SET recovery_min_apply_delay = '10s'`, 'SELECT pg_reload_conf()'],
    ['ALTER SYSTEM RESET recovery_min_apply_delay', 'SELECT pg_reload_conf()'],
  ],
  // How far it has replayed of what it has received says nothing of this one.
  'is cut off from its primary': [
    [`ALTER SYSTEM SET primary_conninfo = ''`, 'SELECT pg_reload_conf()'],
    ['ALTER SYSTEM SET primary_conninfo = $', 'SELECT pg_reload_conf()'],
  ],
} as const;

export type Lag = keyof typeof LAGS;

/** A real streaming replica of that server, for which no commit waits. */
export interface PostgresReplica extends PostgresServer {
  lag(how: Lag): Promise<void>;
  /** Until it does so no more. */
  heal(how: Lag): Promise<void>;
}

export async function startReplica(of: PostgresServer): Promise<PostgresReplica> {
  const server = await startPostgres({ standbyOf: of });
  const admin = new pg.Client({ connectionString: server.url });
  await admin.connect();
  const { rows } = await admin.query<{ from: string }>(
    `SELECT quote_literal(current_setting('primary_conninfo')) AS from`,
  );
  const run = async (statements: readonly string[]): Promise<void> => {
    for (const statement of statements) await admin.query(statement.replace('$', () => rows[0]!.from));
  };
  return {
    ...server,
    lag: (how) => run(LAGS[how][0]),
    heal: (how) => run(LAGS[how][1]),
    async stop() {
      await admin.end();
      await server.stop();
    },
  };
}
