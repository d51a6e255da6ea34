export { consume, type Handlers } from './consume.js';
export { OutboxMigration } from './migration.js';
export { quarantined, replay, type Quarantined } from './quarantine.js';
export { recordEvent, recordEvents, type NewEvent } from './record-event.js';
export { Relay } from './relay.js';
export { cleanOutbox, publishAgain } from './retention.js';
export { openStream, type Stream, type Subscription } from './stream.js';
