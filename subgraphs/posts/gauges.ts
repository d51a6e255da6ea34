import type { Database } from '#libs/database';
import { rebuildAge } from '#libs/read-model';
import { stuckSteps } from '#libs/saga';
import type { Gauge } from '#libs/telemetry';

/** How far what posts derives is behind what it is derived from, and whether its steps of deletions can be done. */
export function postsGauges(database: Database): Gauge[] {
  const lag = (model: string, help: string, text: string): Gauge => ({
    name: 'tributary_read_model_lag_seconds',
    help,
    labels: { service: database.service, model },
    async read() {
      const [row] = await database.query<{ value: number }>(text);
      return row?.value ?? Number.NaN;
    },
  });
  return [
    lag(
      'home-timeline',
      'How long the oldest post has been on its way into home timelines; 0 when none is.',
      `SELECT coalesce(extract(epoch FROM now() - min(since)), 0)::float8 AS value FROM timeline_work`,
    ),
    lag(
      'trending',
      'The age of the trending posts; about TRENDING_REFRESH_S at most.',
      `SELECT extract(epoch FROM now() - min(made_at))::float8 AS value
       FROM trending_slices WHERE slot = (SELECT serving FROM read_models WHERE name = 'trending')`,
    ),
    rebuildAge(database),
    stuckSteps(database),
  ];
}
