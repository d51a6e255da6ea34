export { requireViewer, type RequestContext } from './context.js';
export { REPRESENTATIONS_MAX } from './entities.js';
export { listen, type Listening } from './listen.js';
export type { RunningSubgraph } from './running.js';
export { subgraphModule, type SubgraphOptions } from './subgraph-module.js';
