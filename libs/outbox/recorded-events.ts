import type { Statements } from '#libs/database';
import type { DomainEvent } from '#libs/events';

import { EVENT_COLUMNS, eventOf, type OutboxRow } from './outbox-row.js';

/** Some versions of an aggregate, both ends among them. */
export interface Versions {
  readonly aggregate: string;
  readonly from: number;
  readonly to: number;
}

/** Most events that are told at once. */
const EVENTS_MAX = 200;

/**
 * What this service has recorded of these aggregates, each in its order: for whoever cannot wait until the relay and the stream have brought
 * it. Only what the outbox retains; of more than 200 the first, so that whoever has heard them may ask for the next.
 */
export async function recordedEvents(database: Statements, wanted: readonly Versions[]): Promise<DomainEvent[]> {
  if (wanted.length === 0) return [];
  const rows = await database.query<OutboxRow>(
    `SELECT told.* FROM unnest($1::text[], $2::int[], $3::int[]) AS wanted (of, first, last)
     CROSS JOIN LATERAL (
       SELECT position, ${EVENT_COLUMNS} FROM outbox
       WHERE aggregate = wanted.of AND aggregate_version BETWEEN wanted.first AND wanted.last
       ORDER BY aggregate_version LIMIT ${EVENTS_MAX}
     ) AS told ORDER BY told.position LIMIT ${EVENTS_MAX}`,
    [wanted.map(({ aggregate }) => aggregate), wanted.map(({ from }) => from), wanted.map(({ to }) => to)],
  );
  return rows.map(eventOf);
}
