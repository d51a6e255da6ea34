import type { Database } from '#libs/database';
import { rebuildAge } from '#libs/read-model';
import { stuckSteps } from '#libs/saga';
import type { Gauge } from '#libs/telemetry';

/** Whether rebuilds of the counts end, and steps of deletions. */
export function followersGauges(database: Database): Gauge[] {
  return [rebuildAge(database), stuckSteps(database)];
}
