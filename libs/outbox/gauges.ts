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
    // One is what anybody has to look at, the other what ends by itself when an update does.
    ...[
      { why: 'fails', isNewer: false },
      { why: 'newer', isNewer: true },
    ].map(({ why, isNewer }) => ({
      name: 'tributary_quarantined_events',
      help: 'Events that could not take effect, with those behind them; of a newer program, or because they fail: npm run events -- quarantined. Should be 0.',
      labels: { ...labels, why },
      read: read(
        `SELECT count(*)::float8 AS value FROM (
           SELECT coalesce(first_value(newer) OVER (PARTITION BY consumer, aggregate ORDER BY aggregate_version), false) AS newer
           FROM quarantine
         ) AS held WHERE newer = ${isNewer}`,
      ),
    })),
  ];
}
