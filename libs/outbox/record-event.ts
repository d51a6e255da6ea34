import { crashPoint } from '#libs/crash-point';
import type { Recorded, Tx } from '#libs/database';
import { check, EVENT_BYTES_MAX, EVENTS, type DomainEvent, type EventType, type Payload } from '#libs/events';
import { newId } from '#libs/identity';
import { currentSpan } from '#libs/telemetry';

export interface NewEvent<T extends EventType = EventType> {
  readonly type: T;
  /** Whose order it keeps, for example `user:<uuid>`. */
  readonly aggregate: string;
  /** 1 for the aggregate's first event, then one more each: a column of the row that the writer holds locked. */
  readonly aggregateVersion: number;
  readonly actor: string | null;
  readonly payload: Payload<T>;
  /** RFC 3339, UTC, milliseconds; now, when absent. */
  readonly at?: string;
}

/** Tells the others a fact, in the transaction that stores the fact: both are committed, or neither. */
export function recordEvent<T extends EventType>(tx: Tx, event: NewEvent<T>): Promise<void> {
  return recordEvents(tx, [event]);
}

/** The same for many facts of one transaction, in their order, by one statement. */
export async function recordEvents<T extends EventType>(tx: Tx, events: readonly NewEvent<T>[]): Promise<void> {
  if (events.length === 0) return;
  const facts = events.map(stamped);
  await tx.query(
    `INSERT INTO outbox (id, type, version, source, aggregate, aggregate_version, at, actor, payload, trace)
     SELECT id, type, version, source, aggregate, aggregate_version, at, actor, payload, $10::text
     FROM unnest($1::uuid[], $2::text[], $3::int[], $4::text[], $5::text[], $6::int[], $7::timestamptz[], $8::uuid[], $9::jsonb[])
       WITH ORDINALITY AS fact (id, type, version, source, aggregate, aggregate_version, at, actor, payload, nth)
     ORDER BY nth`,
    [
      facts.map((fact) => fact.id),
      facts.map((fact) => fact.type),
      facts.map((fact) => fact.version),
      facts.map((fact) => fact.source),
      facts.map((fact) => fact.aggregate),
      facts.map((fact) => fact.aggregateVersion),
      facts.map((fact) => fact.at),
      facts.map((fact) => fact.actor),
      facts.map(payloadOf),
      currentSpan()?.traceparent ?? null,
    ],
  );
  crashPoint('write:recorded');
  tx.events.push(...facts);
}

/**
 * For a write that found all as asked: whoever repeats one whose answer was lost is shown what it brought about, as if it was written
 * now. So the last event of the aggregate is named, as far as the outbox retains it; what was loaded in bulk has none, and nobody
 * would ever hear of it. Of an aggregate that several people write, only what `actor` wrote is named: each can read what they are told.
 */
export async function foundAsAsked(tx: Tx, aggregate: string, actor?: string): Promise<void> {
  const rows = await tx.query<Recorded>(
    `SELECT source, aggregate, aggregate_version AS "aggregateVersion" FROM outbox
     WHERE aggregate = $1 AND ($2::uuid IS NULL OR actor = $2) ORDER BY aggregate_version DESC LIMIT 1`,
    [aggregate, actor ?? null],
  );
  tx.found.push(...rows);
}

function payloadOf({ type, payload }: DomainEvent): string {
  const text = JSON.stringify(payload);
  const bytes = Buffer.byteLength(text);
  if (bytes <= EVENT_BYTES_MAX - ENVELOPE_BYTES_MAX) return text;
  throw new RangeError(
    `The payload of an event has at most ${EVENT_BYTES_MAX - ENVELOPE_BYTES_MAX} bytes; came ${type} with ${bytes}`,
  );
}

/** Around the payload: ids, names, a time. */
const ENVELOPE_BYTES_MAX = 1_000;

function stamped(event: NewEvent): DomainEvent {
  const { version, source } = EVENTS[event.type];
  const at = event.at ?? new Date().toISOString();
  return check({ ...event, id: newId(), version, source, at });
}
