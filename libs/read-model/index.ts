export { ReadModelMigration } from './migration.js';
export { rebuild, type Progress, type ReadModel, type Rebuilt, type Slots, type Step } from './rebuild.js';
export { DriftWatch } from './drift-watch.js';
export { recount, type Recounted } from './recount.js';
export { reconcile, rowsOf, type Counted, type Drift } from './reconcile.js';
