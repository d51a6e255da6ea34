import type { Database } from '#libs/database';
import type { Gauge } from '#libs/telemetry';

/** A step that fails so often in a row does not fail by chance. */
const TRIES = 3;

/** Steps of a service that takes part which fail again and again: `reason` in `deletion_parts` says why. */
export function stuckSteps(database: Database): Gauge {
  return {
    name: 'tributary_stuck_sagas',
    help: `Steps of deletions that failed ${TRIES} times in a row and are still tried; deletion_parts has the reason. Should be 0.`,
    labels: { service: database.service },
    async read() {
      const [row] = await database.query<{ value: number }>(
        `SELECT count(*)::float8 AS value FROM deletion_parts WHERE state = 'working' AND tries >= ${TRIES}`,
      );
      return row?.value ?? Number.NaN;
    },
  };
}
