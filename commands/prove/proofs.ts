import { conflicts } from './conflicts.js';
import { entityCache } from './entity-cache.js';
import { events } from './events.js';
import { handlers } from './handlers.js';
import { hotCounts } from './hot-counts.js';
import { leases } from './leases.js';
import type { Proof } from './proof.js';
import { sagas } from './sagas.js';
import { speed } from './speed.js';
import { timelines } from './timelines.js';
import { timelineSpeed } from './timeline-speed.js';

/** What `npm run prove` shows, in this order. A new proof is a file and a line here. */
export const PROOFS: readonly Proof[] = [
  events,
  handlers,
  leases,
  conflicts,
  sagas,
  entityCache,
  timelines,
  speed,
  timelineSpeed,
  hotCounts,
];
