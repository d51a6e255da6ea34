import type { Toxics } from '../../test/servers/fault-proxy.js';
import { REQUEST_MS } from './bars.js';
import { during, halfOpen } from './doors.js';
import type { Fault } from './fault.js';

/** FG: the way from the gateway to posts. What comes on it and is wrong is in answers.ts. */
export const SERVICES_LOST: readonly Fault[] = [
  { ...service('FG1', 'posts refuses connections', { down: true }), onlyTold: ['SUBGRAPH_UNAVAILABLE'] },
  { ...service('FG2', 'posts answers eight seconds late', { latency: 8_000 }), requestMsMax: REQUEST_MS },
  {
    ...halfOpen('FG2-half', 'connections from the gateway to posts are half open', ({ service: { posts } }) => posts),
    requestMsMax: REQUEST_MS,
  },
  service('FG4', 'answers of posts are cut by a reset after 300 bytes', { limitData: 300 }),
  { ...service('FG9', 'answers of posts come in pieces of 7 bytes', { slicer: 7 }), unnoticed: true },
];

function service(id: string, says: string, toxics: Toxics): Fault {
  return during(id, says, ({ service: { posts } }) => posts, toxics);
}
