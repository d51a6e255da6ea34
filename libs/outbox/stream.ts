import type { DomainEvent, Envelope, EventSource } from '#libs/events';

/** Carries events from the relays to the groups that hear them, at least once, each aggregate in order. */
export interface Stream {
  /** Resolves when the events are safe: in one process, when every group has handled them; in Redis, when it has them. */
  publish(events: readonly DomainEvent[]): Promise<void>;
  /**
   * `handle` gets at most 100 events, in order, and one call at a time per group and source. When it rejects, the same
   * events come again, before any later ones.
   */
  subscribe(group: string, sources: readonly EventSource[], handle: HandleEvents): Subscription;
  close(): Promise<void>;
}

export type HandleEvents = (events: readonly Envelope[]) => Promise<void>;

export interface Subscription {
  /** Resolves when the group has handled everything that was published before; rejects after `deadlineMs` (10 s). */
  settled(deadlineMs?: number): Promise<void>;
  /** Waits for the events in hand. */
  close(): Promise<void>;
}

/** Which groups must have heard a source's event before it may be forgotten. */
export type Listeners = Partial<Record<EventSource, readonly string[]>>;

/** Most events that one `handle` gets. */
export const TOGETHER = 100;
