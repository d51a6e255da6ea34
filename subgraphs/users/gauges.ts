import type { Database } from '#libs/database';
import { rebuildAge } from '#libs/read-model';
import type { Gauge } from '#libs/telemetry';

/** A deletion of which nothing was heard for so long is stuck. */
export const STUCK_S = 600;

/** Whether deletions of accounts end, and rebuilds. */
export function usersGauges(database: Database): Gauge[] {
  return [
    rebuildAge(database),
    {
      name: 'tributary_stuck_sagas',
      help: `Deletions of accounts of which nothing was heard for ${STUCK_S / 60} minutes; npm run reconcile lists them. Should be 0.`,
      labels: { service: database.service },
      read: async () => (await stuckDeletions(database, STUCK_S)).length,
    },
  ];
}

export interface StuckDeletion {
  readonly id: string;
  readonly userId: string;
  readonly saga: string;
  readonly state: string;
  /** What it waits for. */
  readonly steps: string;
  /** Seconds since a step last changed, or was heard to go on. */
  readonly quietS: number;
}

/** The longest quiet first, at most 1,000. */
export function stuckDeletions(database: Pick<Database, 'query'>, quietS: number): Promise<StuckDeletion[]> {
  return database.query<StuckDeletion>(
    `SELECT d.id, d.user_id AS "userId", d.saga, d.state, s.steps,
       round(extract(epoch FROM now() - s.last))::int AS "quietS"
     FROM account_deletions d CROSS JOIN LATERAL (
       SELECT max(greatest(at, heard_at)) AS last, coalesce(string_agg(name, ', ' ORDER BY nth) FILTER (WHERE state IN ('RUNNING', 'UNDOING')), '') AS steps
       FROM account_deletion_steps WHERE deletion_id = d.id
     ) s
     WHERE d.state IN ('RUNNING', 'COMPENSATING') AND s.last <= now() - $1 * interval '1 s'
     ORDER BY s.last LIMIT 1000`,
    [quietS],
  );
}
