export { keyOf, type Key } from './key.js';
export { IdempotencyKeysMigration } from './migration.js';
export { Once, type Done } from './once.js';
export { forgetKeys, forgetKeysOf, KEEP_HOURS, KeyRetention } from './retention.js';
