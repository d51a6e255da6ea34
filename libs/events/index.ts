export { EVENTS, type EventSource, type EventType, type Payload } from './catalogue.js';
export { check, checkEnvelope, isEventType, UnknownEvent, type Envelope } from './check.js';
export type { DomainEvent } from './event.js';
export { LISTENERS } from './listeners.js';
