import { ANSWERS } from './answers.js';
import { CLOCKS } from './clocks.js';
import { CONFLICTS } from './conflicts.js';
import { CONTROL } from './control.js';
import { DATABASES } from './databases.js';
import type { Fault } from './fault.js';
import { KEPT_VALUES } from './kept-values.js';
import { OLD_PRIMARY } from './old-primary.js';
import { PROCESSES } from './processes.js';
import { REDIS_GROUPS } from './redis-groups.js';
import { REDIS, redisPromoted } from './redis.js';
import { REPLICAS } from './replicas.js';
import { SCARCE } from './scarce.js';
import { SERVICES_LOST } from './services.js';
import { standbyPromoted } from './standby.js';
import { STREAM } from './stream.js';
import { SUPERGRAPH } from './supergraph.js';

/**
 * Each fault of the table that concerns all of it together, by their kinds; what moves a server to another place comes last. What concerns one part alone is shown by that part's tests: coverage.ts.
 */
export const FAULTS: readonly Fault[] = [
  ...PROCESSES,
  ...REDIS,
  ...DATABASES,
  ...REPLICAS,
  ...SERVICES_LOST,
  ...ANSWERS,
  ...STREAM,
  ...SUPERGRAPH,
  ...SCARCE,
  ...KEPT_VALUES,
  ...CONFLICTS,
  ...CLOCKS,
  ...REDIS_GROUPS,
  redisPromoted(),
  standbyPromoted(),
  ...OLD_PRIMARY,
  CONTROL,
];
