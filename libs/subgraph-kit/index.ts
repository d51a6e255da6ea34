export { requireViewer, type RequestContext } from './context.js';
export { REPRESENTATIONS_MAX } from './entities.js';
export { listen, type Listening } from './listen.js';
export { writingFor, type Writable } from './read-your-writes.js';
export { runProgram } from './run-program.js';
export type { RunningSubgraph } from './running.js';
export { missingSecrets, serviceSettings, type ServiceConfig } from './service-settings.js';
export { startService, type EntityDrops, type ModuleParts, type Service, type ServiceParts } from './start-service.js';
export { subgraphModule, type SubgraphOptions } from './subgraph-module.js';
