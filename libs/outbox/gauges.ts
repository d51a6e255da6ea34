import type { Database } from '#libs/database';
import type { Gauge } from '#libs/telemetry';

/** What tells whether the events of a service flow. */
export function outboxGauges(database: Database): Gauge[] {
  const labels = { service: database.service };
  const read = (text: string) => async (): Promise<number> => {
    const [row] = await database.query<{ value: number }>(text);
    return row?.value ?? Number.NaN;
  };
  return [
    {
      name: 'tributary_outbox_age_seconds',
      help: 'How long the oldest event has waited to be published; 0 when none waits.',
      labels,
      read: read(
        `SELECT coalesce(extract(epoch FROM now() - (
           SELECT at FROM outbox WHERE published_at IS NULL ORDER BY position LIMIT 1
         )), 0)::float8 AS value`,
      ),
    },
    {
      name: 'tributary_quarantined_events',
      help: 'Events that could not take effect and hold back their aggregate; npm run events -- quarantined lists them. Should be 0.',
      labels,
      read: read('SELECT count(*)::float8 AS value FROM quarantine'),
    },
  ];
}
