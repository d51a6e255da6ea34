import type { Statements, Tx } from '#libs/database';
import type { Envelope } from '#libs/events';

/**
 * new: the aggregate's next event, from now on remembered as heard; heard: it or a later one took effect before;
 * waits: an earlier event of the aggregate is held back or has not come.
 */
export type Arrival = { readonly is: 'new' | 'heard' } | { readonly is: 'waits'; readonly why: string };

export interface Arrivals {
  readonly arrivals: ReadonlyMap<Envelope, Arrival>;
  /** An event that had waited in quarantine for one of these may be tried now, however often it was tried before. */
  readonly released: boolean;
}

const NEW: Arrival = { is: 'new' };
const HEARD: Arrival = { is: 'heard' };

/**
 * Remembers events, at most one of each aggregate, in the transaction of their effect. One statement decides for all of
 * them: the row of an aggregate moves from n to n + 1 and never otherwise, so two processes that handle the same event at
 * once wait for one another here, and the second finds it heard.
 *
 * An aggregate that was never heard of may begin at any version: what was there before this consumer (bulk-loaded rows,
 * history that the outbox has forgotten) is not told. That is safe because both streams deliver an event only after
 * everything before it was delivered; see README.md.
 *
 * What waited in quarantine for exactly this event is let go in the same statement: a gap closes by itself.
 */
export async function arrive(tx: Tx, group: string, events: readonly Envelope[]): Promise<Arrivals> {
  const moved = await tx.query<{ aggregate: string; released: number }>(
    `WITH moved AS (INSERT INTO inbox AS last (consumer, aggregate, aggregate_version, event_id)
     SELECT $1, came.aggregate, came.version, came.id
     FROM unnest($2::text[], $3::int[], $4::uuid[]) AS came (aggregate, version, id)
     WHERE coalesce(${FIRST_HELD} > came.version, true)
     ORDER BY came.aggregate COLLATE "C"
     ON CONFLICT (consumer, aggregate) DO UPDATE
       SET aggregate_version = excluded.aggregate_version, event_id = excluded.event_id, handled_at = now()
       WHERE last.aggregate_version = excluded.aggregate_version - 1
     RETURNING aggregate, aggregate_version AS version), released AS (
     UPDATE quarantine AS held SET tries = 0, due_at = now() FROM moved
     WHERE held.consumer = $1 AND held.aggregate = moved.aggregate AND held.aggregate_version = moved.version + 1
     RETURNING held.aggregate)
     SELECT aggregate, (SELECT count(*)::int FROM released) AS released FROM moved`,
    [group, ...columns(events), events.map((event) => event.id)],
  );
  const news = new Set(moved.map((row) => row.aggregate));
  const others = events.filter((event) => !news.has(event.aggregate));
  const why = others.length === 0 ? new Map<string, Arrival>() : await whyNot(tx, group, others);
  const arrivals = new Map(events.map((event) => [event, why.get(event.aggregate) ?? NEW]));
  return { arrivals, released: moved.some((row) => row.released > 0) };
}

/**
 * As NOT EXISTS it is planned as a join, and PostgreSQL keeps the plan that it made while the quarantine was empty: then each event
 * cost 6.9 ms beside a quarantine of 15,000, and 0.45 this way.
 */
const FIRST_HELD = `(
  SELECT held.aggregate_version FROM quarantine AS held
  WHERE held.consumer = $1 AND held.aggregate = came.aggregate ORDER BY held.aggregate_version LIMIT 1)`;

/** Of these, those that took effect before. Nothing is remembered. */
export async function heardBefore(tx: Tx, group: string, events: readonly Envelope[]): Promise<Set<Envelope>> {
  if (events.length === 0) return new Set();
  const why = await whyNot(tx, group, events);
  return new Set(events.filter(({ aggregate }) => why.get(aggregate)?.is === 'heard'));
}

/**
 * What is loaded in bulk comes without events, and its copy with it: so it counts as heard with the version that it is loaded with, and the
 * next event of it is the next here too, whichever way it comes. What was heard of it already stays as it is.
 */
export async function countAsHeard(
  database: Statements,
  group: string,
  aggregates: readonly string[],
  version: number,
): Promise<void> {
  await database.query(
    `INSERT INTO inbox (consumer, aggregate, aggregate_version, event_id)
     SELECT $1, aggregate, $3, $4 FROM unnest($2::text[]) AS aggregate
     ORDER BY aggregate COLLATE "C" ON CONFLICT (consumer, aggregate) DO NOTHING`,
    [group, aggregates, version, NO_EVENT],
  );
}

const NO_EVENT = '00000000-0000-0000-0000-000000000000';

/** The last version of each of these aggregates that was heard; none of what was never heard of. */
export async function lastHeard(
  database: Statements,
  group: string,
  aggregates: readonly string[],
): Promise<ReadonlyMap<string, number>> {
  const rows = await database.query<{ aggregate: string; version: number }>(
    'SELECT aggregate, aggregate_version AS version FROM inbox WHERE consumer = $1 AND aggregate = ANY($2::text[])',
    [group, aggregates],
  );
  return new Map(rows.map(({ aggregate, version }) => [aggregate, version]));
}

async function whyNot(tx: Tx, group: string, events: readonly Envelope[]): Promise<Map<string, Arrival>> {
  const rows = await tx.query<{ aggregate: string; came: number; last: number | null }>(
    `SELECT came.aggregate, came.version AS came, last.aggregate_version AS last
     FROM unnest($2::text[], $3::int[]) AS came (aggregate, version)
     LEFT JOIN inbox AS last ON last.consumer = $1 AND last.aggregate = came.aggregate`,
    [group, ...columns(events)],
  );
  return new Map(
    rows.map(({ aggregate, came, last }): [string, Arrival] => {
      if (last !== null && last >= came) return [aggregate, HEARD];
      return [aggregate, { is: 'waits', why: `version ${came} came; handled so far: ${last ?? 'none'}` }];
    }),
  );
}

function columns(events: readonly Envelope[]): [string[], number[]] {
  return [events.map((event) => event.aggregate), events.map((event) => event.aggregateVersion)];
}
