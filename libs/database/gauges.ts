import type { Gauge } from '#libs/telemetry';
import type { Database } from './database.js';
import type { Replica } from './replica.js';

/** How busy the connections of a service are: of its own process, so they ask nobody. */
export function databaseGauges(database: Database): Gauge[] {
  const labels = { service: database.service };
  const connections = (state: 'used' | 'idle'): Gauge => ({
    name: 'db_client_connection_count',
    help: 'Connections of the pool, by what they do.',
    labels: { ...labels, state },
    read: async () => database.connections[state],
  });
  return [
    connections('used'),
    connections('idle'),
    {
      name: 'db_client_connection_pending_requests',
      help: 'Who waits for a connection; above 0 for long, DATABASE_POOL_MAX is too small or statements are slow.',
      labels,
      read: async () => database.connections.waiting,
    },
    {
      name: 'tributary_sql_statements_total',
      help: 'Statements sent since the start.',
      labels,
      grows: true,
      read: async () => database.statements,
    },
    ...database.replicas.flatMap((replica) => replicaGauges(replica, { ...labels, replica: replica.name })),
  ];
}

function replicaGauges(replica: Replica, labels: Readonly<Record<string, string>>): Gauge[] {
  return [
    {
      name: 'tributary_replica_lag_seconds',
      help: 'Since when a replica of PostgreSQL may lack something; beyond DATABASE_REPLICA_LAG_MS it is not read.',
      labels,
      read: async () => replica.lagSeconds,
    },
    {
      name: 'tributary_replica_used',
      help: '1: reads go to this replica; 0: it lags, cannot be reached or is no replica, and the primary is read: the log says why.',
      labels,
      read: async () => (replica.isUsable ? 1 : 0),
    },
    {
      name: 'tributary_replica_reads_total',
      help: 'Statements that this replica has answered since the start.',
      labels,
      grows: true,
      read: async () => replica.reads,
    },
  ];
}
