export { ReadModelMigration } from './migration.js';
export { BUILDING, rebuild, type Progress, type ReadModel, type Rebuilt, type Slots, type Step } from './rebuild.js';
export { rebuildAge } from './gauges.js';
export { DriftWatch } from './drift-watch.js';
export { answering, inBoth } from './count-versions.js';
export { countersModel } from './counters-model.js';
export { reconcile, recount, rowsOf, type Count, type Counted, type Drift } from './reconcile.js';
