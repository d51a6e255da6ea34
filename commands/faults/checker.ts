import type { Database } from '#libs/database';
import { reconcile } from '#libs/read-model';
import { followersCounted } from '../../subgraphs/followers/counters.js';
import { postsCounted } from '../../subgraphs/posts/counters.js';
import type { Crowd } from './crowd.js';
import { SERVICES, type ServiceName } from './town.js';

export type Databases = Readonly<Record<ServiceName | 'admin', Database>>;

/** How often each invariant was found broken. */
export type Violations = Readonly<Record<'I1' | 'I2' | 'I3' | 'I4' | 'I5' | 'I6' | 'I7' | 'I8', number>>;

export const INVARIANTS: Readonly<Record<keyof Violations, string>> = {
  I1: 'every acknowledged write is there',
  I2: 'each has exactly one event, a refused one has none',
  I3: 'every event has reached the stream',
  I4: 'every event took effect exactly once',
  I5: 'in order, and nothing of an aggregate is missing',
  I6: 'every count is the number of its rows',
  I7: 'what nobody knows the outcome of happened whole or not at all',
  I8: 'nobody was told what belongs to somebody else',
};

/** What is still on its way: events that wait for the stream, are held back, or were not heard by somebody who hears them. */
export async function underWay(databases: Databases): Promise<number> {
  const waiting = await Promise.all(
    SERVICES.map((service) =>
      one(
        databases[service],
        `SELECT (SELECT count(*) FROM outbox WHERE published_at IS NULL) + (SELECT count(*) FROM quarantine) AS n`,
      ),
    ),
  );
  return waiting.reduce((sum, n) => sum + n, 0) + (await unheard(databases));
}

/** After everything has settled. */
export async function check(databases: Databases, crowd: Crowd): Promise<Violations> {
  const { posts } = databases;
  const published = crowd.ops.filter(({ kind }) => kind === 'publish');
  const bodies = (outcome: string): string[] =>
    published.flatMap((op) => (op.outcome === outcome && op.body !== undefined ? [op.body] : []));
  const rows = await posts.query<{ body: string; events: number }>(
    `SELECT fact.body, (SELECT count(*)::int FROM outbox
       WHERE outbox.type = 'post-published' AND outbox.payload->>'postId' = fact.id::text) AS events
     FROM posts AS fact WHERE body = ANY($1::text[])`,
    [published.map(({ body }) => body)],
  );
  const eventsOf = new Map(rows.map(({ body, events }) => [body, events]));
  const counted = [
    ...(await Promise.all(postsCounted.map((counter) => reconcile(posts, counter, { mend: false })))),
    ...(await Promise.all(followersCounted.map((counter) => reconcile(databases.followers, counter, { mend: false })))),
  ];
  const doubled = await Promise.all(
    SERVICES.map((service) =>
      one(databases[service], `SELECT count(*) - count(DISTINCT (consumer, event_id)) AS n FROM inbox`),
    ),
  );
  const unpublished = await Promise.all(
    SERVICES.map((service) => one(databases[service], `SELECT count(*) AS n FROM outbox WHERE published_at IS NULL`)),
  );
  const halves = await one(
    posts,
    `SELECT (SELECT count(*) FROM posts WHERE NOT EXISTS (
       SELECT FROM outbox WHERE type = 'post-published' AND payload->>'postId' = posts.id::text))
     + (SELECT count(*) FROM outbox WHERE type = 'post-published' AND NOT EXISTS (
       SELECT FROM posts WHERE posts.id::text = outbox.payload->>'postId')) AS n`,
  );
  return {
    I1: bodies('ok').filter((body) => !eventsOf.has(body)).length,
    I2:
      bodies('ok').filter((body) => eventsOf.has(body) && eventsOf.get(body) !== 1).length +
      bodies('fail').filter((body) => eventsOf.has(body)).length,
    I3: sum(unpublished),
    I4: sum(doubled),
    I5: await unheard(databases),
    I6: counted.flat().length,
    I7: halves,
    I8: crowd.foreign,
  };
}

/** Aggregates of which a service that hears them has not taken the last event; its inbox moves by one version at a time. */
async function unheard(databases: Databases): Promise<number> {
  let missing = 0;
  for (const source of SERVICES) {
    const told = await databases[source].query<{ aggregate: string; version: number }>(
      'SELECT aggregate, max(aggregate_version) AS version FROM outbox GROUP BY aggregate',
    );
    for (const hearer of SERVICES) {
      const [row] = await databases[hearer].query<{ n: number }>(
        `SELECT count(*)::int AS n FROM unnest($1::text[], $2::int[]) AS told (aggregate, version)
         JOIN inbox USING (aggregate) WHERE inbox.aggregate_version <> told.version`,
        [told.map(({ aggregate }) => aggregate), told.map(({ version }) => version)],
      );
      missing += row?.n ?? 0;
    }
  }
  return missing;
}

async function one(database: Database, text: string): Promise<number> {
  const [row] = await database.query<{ n: string | number }>(text);
  return Number(row?.n ?? 0);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((all, n) => all + n, 0);
}
