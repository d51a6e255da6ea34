import type { EventSource, EventType, Payload } from './catalogue.js';

/** A committed fact, as it stands in the outbox, travels on the stream and is heard. */
export type DomainEvent<T extends EventType = EventType> = T extends EventType
  ? {
      /** UUIDv7; what an inbox remembers. */
      readonly id: string;
      readonly type: T;
      /** Version of the payload's shape. */
      readonly version: number;
      readonly source: EventSource;
      /** Whose order it keeps, for example `user:<uuid>`. */
      readonly aggregate: string;
      /** 1 for the aggregate's first event, then one more each, without gaps. */
      readonly aggregateVersion: number;
      /** RFC 3339, UTC, milliseconds. */
      readonly at: string;
      /** uuid of the person who did it; null for the system. */
      readonly actor: string | null;
      readonly payload: Payload<T>;
      /** The span that it comes from, as W3C's traceparent; absent: it is in no trace that is kept. */
      readonly trace?: string | undefined;
    }
  : never;
