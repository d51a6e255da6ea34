import type { Database } from '#libs/database';
import type { Gauge } from '#libs/telemetry';

/** Whether a rebuild of a read model of this service was begun and not finished. */
export function rebuildAge(database: Database): Gauge {
  return {
    name: 'tributary_rebuild_age_seconds',
    help: 'How long ago the oldest rebuild that is not finished was begun; 0 when none is.',
    labels: { service: database.service },
    async read() {
      const [row] = await database.query<{ value: number }>(
        `SELECT coalesce(extract(epoch FROM now() - min(began_at)), 0)::float8 AS value
         FROM read_models WHERE building IS NOT NULL`,
      );
      return row?.value ?? Number.NaN;
    },
  };
}
