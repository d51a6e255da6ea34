export { consume, type Handlers } from './consume.js';
export { LEASE_MS } from './leases.js';
export { OutboxMigration, outboxMigrations } from './migration.js';
export { openStream } from './open-stream.js';
export { quarantined, replay, type Quarantined } from './quarantine.js';
export { recordEvent, recordEvents, type NewEvent } from './record-event.js';
export { Relay } from './relay.js';
export { cleanOutbox, KEEP_DAYS, publishAgain } from './retention.js';
export type { Stream, Subscription } from './stream.js';
