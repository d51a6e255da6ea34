import type { DomainEvent, Envelope, EventSource } from '#libs/events';
import { SettingsError } from '#libs/settings';

import type { Lease, Range } from './leases.js';

/** Carries events from the relays to the groups that hear them, at least once, each aggregate in order. */
export interface Stream {
  /**
   * Resolves when the events are safe: in one process, when every group has handled them; in Redis, when it has them. With
   * `expected` they are of one source and one range of its aggregates.
   */
  publish(events: readonly DomainEvent[], expected?: Expected): Promise<void>;
  /**
   * `handle` gets at most 100 events, in order, and one call at a time per group and source. When it rejects, the same
   * events come again, before any later ones.
   */
  subscribe(group: string, sources: readonly EventSource[], handle: HandleEvents): Subscription;
  /** Only of a stream that may lose what it took. */
  readonly marks?: Marks;
  /**
   * That this source's events are told from the database of this id; rejects with `StreamOfAnother` where they are of another one.
   * Only of a stream that others may have as well.
   */
  own?(source: EventSource, database: string): Promise<void>;
  /** How long the oldest event of a source waits that the group has not handled; 0: none does. */
  unheardMs?(source: EventSource, group: string): Promise<number>;
  /** How many events of a source it holds, heard or not. */
  kept?(source: EventSource): Promise<number>;
  /** Only of a stream that keeps events: forgets what everybody has heard. Called often; does it now and then, and never rejects. */
  trim?(source: EventSource): Promise<void>;
  close(): Promise<void>;
}

/**
 * Which life of the stream this is, the highest position of the source's outbox that it was given of one range, and how many batches.
 * They are counted because a position says nothing of the lower ones, which come later where their transaction was slow.
 */
export interface Mark {
  readonly life: string;
  readonly highest: number;
  readonly batches: number;
}

/** What the publisher knows; `positions` are the events', in their order. */
export interface Expected extends Mark {
  readonly range: Range;
  readonly token: number;
  readonly positions: readonly number[];
}

/** The stream carries what another database told: that of another graph, or the one in whose place this one is. A mistake of settings. */
export class StreamOfAnother extends SettingsError {
  override readonly name = 'StreamOfAnother';
  /** The same without the words of a start that failed. */
  readonly says: string;

  /** `place`: without user and password. */
  constructor(source: EventSource, place: string) {
    const says =
      `REDIS_URL: the Redis at ${place} carries the events of another database of ${source}; two graphs on one Redis take each other's events. ` +
      'Give each a Redis of its own, or a database of its own in it (redis://…/1), in the REDIS_URL of all its programs. Where this database has ' +
      'taken the place of the other, stop all programs that use that Redis, empty it (redis-cli FLUSHDB), and start them again.';
    super([says]);
    this.says = says;
  }
}

/** `publish` took nothing, because the stream is not the one, or not as far, as the publisher knows. */
export class StreamLostEvents extends Error {}

/** Nothing was taken, because the stream has seen a higher token: another relay has the range by now. */
export class LeaseLost extends Error {
  constructor(
    source: EventSource,
    readonly token: number,
  ) {
    super(`a relay with token ${token} publishes this range of ${source}`);
  }
}

/**
 * What a relay that takes a range finds; `last`: the batch that was added last, and by which token. Without `ids` where a program that
 * kept none added it: it is told again then.
 */
export interface Found {
  readonly mark: Mark | undefined;
  readonly last: { readonly token: number; readonly positions: readonly number[]; readonly ids: readonly string[] };
}

export interface Marks {
  /** From now on nobody with a lower token adds anything of this range or a former one; rejects with `LeaseLost` where a higher one was here. */
  take(source: EventSource, lease: Lease): Promise<Found>;
  /** Rejects with `LeaseLost` where a higher token was here: what is found then is another relay's to judge. */
  read(source: EventSource, lease: Lease): Promise<Mark | undefined>;
  /** Begins a new life of the stream, after `batches`, if the mark is still as it was `found`; answers what it is then. */
  begin(source: EventSource, range: Range, found: Mark | undefined, batches: number): Promise<Mark>;
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
