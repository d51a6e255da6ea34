export { requireViewer, type RequestContext } from './context.js';
export { listen, type Listening } from './listen.js';
export type { RunningSubgraph } from './running.js';
export { REPRESENTATIONS_MAX, subgraphModule, type SubgraphOptions } from './subgraph-module.js';
