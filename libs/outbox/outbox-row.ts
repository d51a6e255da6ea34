import type { DomainEvent } from '#libs/events';

/** Of the outbox, all that an event is made of. */
export const EVENT_COLUMNS = 'id, type, version, source, aggregate, aggregate_version, at, actor, payload, trace';

export interface OutboxRow {
  readonly id: string;
  readonly type: string;
  readonly version: number;
  readonly source: string;
  readonly aggregate: string;
  readonly aggregate_version: number;
  readonly at: Date;
  readonly actor: string | null;
  readonly payload: unknown;
  readonly trace: string | null;
}

/** What it holds was checked when it was recorded; a consumer checks it again against its own catalogue. */
export function eventOf(row: OutboxRow): DomainEvent {
  const { id, type, version, source, aggregate, aggregate_version: aggregateVersion, at, actor, payload } = row;
  return {
    id,
    type,
    version,
    source,
    aggregate,
    aggregateVersion,
    at: at.toISOString(),
    actor,
    payload,
    ...(row.trace === null ? {} : { trace: row.trace }),
  } as DomainEvent;
}
