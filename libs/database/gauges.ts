import type { Gauge } from '#libs/telemetry';
import type { Database } from './database.js';

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
  ];
}
