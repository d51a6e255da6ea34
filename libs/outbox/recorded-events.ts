import type { Statements } from '#libs/database';
import type { DomainEvent } from '#libs/events';

import type { Awaited } from './caught-up.js';
import { EVENT_COLUMNS, eventOf, type OutboxRow } from './outbox-row.js';

/** Most events that are told to one reader: the newest of them. */
const EVENTS_MAX = 200;

/**
 * What this service has recorded of these aggregates, up to the versions that are named, each aggregate in its order: for whoever cannot
 * wait until the relay and the stream have brought it. Only what the outbox retains.
 */
export async function recordedEvents(database: Statements, wanted: readonly Awaited[]): Promise<DomainEvent[]> {
  if (wanted.length === 0) return [];
  const rows = await database.query<OutboxRow>(
    `SELECT ${EVENT_COLUMNS.split(', ')
      .map((column) => `o.${column}`)
      .join(', ')}
     FROM unnest($1::text[], $2::int[]) AS wanted (aggregate, version)
     JOIN outbox AS o ON o.aggregate = wanted.aggregate AND o.aggregate_version <= wanted.version
     ORDER BY o.position DESC LIMIT ${EVENTS_MAX}`,
    [wanted.map(({ aggregate }) => aggregate), wanted.map(({ version }) => version)],
  );
  return rows.reverse().map(eventOf);
}
