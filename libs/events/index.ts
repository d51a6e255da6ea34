export { EVENTS, type EventSource, type EventType, type Payload } from './catalogue.js';
export type { DomainEvent } from './event.js';
