export { EVENTS, type Catalogue, type EventSource, type EventType, type Payload } from './catalogue.js';
export {
  check,
  checkEnvelope,
  checkOf,
  EVENT_BYTES_MAX,
  isEventType,
  kindOf,
  NewerEvent,
  UnknownEvent,
  type Envelope,
} from './check.js';
export type { DomainEvent } from './event.js';
export { LISTENERS } from './listeners.js';
