export { keyOf, type Key } from './key.js';
export { IdempotencyKeysMigration, WrittenCallsMigration } from './migration.js';
export { Once, type Done } from './once.js';
export { forgetCalls, forgetKeys, forgetKeysOf, KEEP_HOURS, KeyRetention } from './retention.js';
export { CALLS_KEPT_MS, takeForWriting } from './written-calls.js';
