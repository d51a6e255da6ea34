export { Database, type CommitListener, type Recorded, type Statements, type Tx } from './database.js';
export { buildIndex } from './build-index.js';
export { byKeys, type Find } from './by-keys.js';
export { callHolder } from './data-dir-holder.js';
export { lockDataDir, type DataDirLock } from './data-dir-lock.js';
export { DatabaseNotOpened } from './not-opened.js';
export { openDatabase, type OpenDatabaseOptions } from './open-database.js';
export type { Asker, Reader } from './replicas.js';
export { provisionServices } from './provision.js';
export { buildTemplate } from './embedded/template.js';
export {
  connectionOf,
  decodeCursor,
  encodeCursor,
  pageArguments,
  type Connection,
  type CursorCheck,
  type Edge,
  type Page,
  type PageInfo,
} from './page.js';
export { databaseGauges } from './gauges.js';
export { isReadOnly } from './trouble.js';
