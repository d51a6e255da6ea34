import type { Database } from '#libs/database';
import { LISTENERS } from '#libs/events';
import { reconcile } from '#libs/read-model';
import { followersCounted } from '../../subgraphs/followers/counters.js';
import { postsCounted } from '../../subgraphs/posts/counters.js';
import type { Crowd, Op } from './crowd.js';
import { otherCopies, otherNotifications, type Stores } from './drift.js';
import { SERVICES } from './town.js';

export type Databases = Stores & { readonly admin: Database };

/** How often each invariant was found broken. */
export type Violations = Readonly<Record<'I1' | 'I2' | 'I3' | 'I4' | 'I5' | 'I6' | 'I7' | 'I8', number>>;

export const INVARIANTS: Readonly<Record<keyof Violations, string>> = {
  I1: 'every acknowledged write is there',
  I2: 'each has exactly one event, also where it was repeated with its key; a refused one has none',
  I3: 'every event is marked as given to the stream; that it came is I5',
  I4: 'every event took effect exactly once: copies, timelines and notifications are what their owners have',
  I5: 'everybody who hears an aggregate has heard all of it, in order',
  I6: 'every count is the number of its rows',
  I7: 'what nobody knows the outcome of happened whole or not at all: no row without its event, no event without its row',
  I8: 'nobody was told what belongs to somebody else',
};

/** What is still on its way: events that wait for the stream, are held back, or were not heard by somebody who hears them; home timelines. */
export async function underWay(stores: Stores): Promise<number> {
  const waiting = await Promise.all(
    SERVICES.map((service) =>
      one(
        stores[service],
        `SELECT (SELECT count(*) FROM outbox WHERE published_at IS NULL) + (SELECT count(*) FROM quarantine) AS n`,
      ),
    ),
  );
  const timelines = await one(
    stores.posts,
    'SELECT (SELECT count(*) FROM timeline_work) + (SELECT count(*) FROM follow_edges WHERE NOT pushed) AS n',
  );
  return sum(waiting) + timelines + (await unheard(stores));
}

/** After everything has settled. */
export async function check(stores: Stores, { ops, foreign }: Pick<Crowd, 'ops' | 'foreign'>): Promise<Violations> {
  const { posts, followers } = stores;
  const [published, liked] = [await publishes(posts, ops), await likes(posts, ops)];
  const counted = [
    ...(await Promise.all(postsCounted.map((counter) => reconcile(posts, counter, { mend: false })))),
    ...(await Promise.all(followersCounted.map((counter) => reconcile(followers, counter, { mend: false })))),
  ];
  const each = (text: string): Promise<number[]> => Promise.all(SERVICES.map((service) => one(stores[service], text)));
  const effects = [...(await otherCopies(stores)), ...(await otherNotifications(stores))];
  return {
    I1: published.lost + liked.lost + (await lostFollows(followers, ops)),
    I2: published.events + liked.events + sum(await each(GAPS)),
    I3: sum(await each('SELECT count(*) AS n FROM outbox WHERE published_at IS NULL')),
    I4: effects.length,
    I5: await unheard(stores),
    I6: counted.flat().length,
    I7:
      (await one(posts, HALVES_OF_POSTS)) +
      (await one(posts, HALVES_OF_LIKES)) +
      (await one(followers, HALVES_OF_FOLLOWS)),
    I8: foreign,
  };
}

/** Of those that were acknowledged: how many are not there. And how many have not one event, or have one and were refused. */
interface Written {
  readonly lost: number;
  readonly events: number;
}

async function publishes(posts: Database, ops: readonly Op[]): Promise<Written> {
  const bodies = (outcome: Op['outcome']): string[] =>
    ops.flatMap((op) => (op.kind === 'publish' && op.outcome === outcome && op.body !== undefined ? [op.body] : []));
  const [ok, refused, unknown] = [bodies('ok'), bodies('fail'), bodies('info')];
  // A body is written once: two posts of it are one that was repeated and done again.
  const rows = await posts.query<{ body: string; events: number }>(
    `SELECT fact.body, sum((SELECT count(*) FROM outbox
       WHERE outbox.type = 'post-published' AND outbox.payload->>'postId' = fact.id::text))::int AS events
     FROM posts AS fact WHERE body = ANY($1::text[]) GROUP BY body`,
    [[...ok, ...refused, ...unknown]],
  );
  const eventsOf = new Map(rows.map(({ body, events }) => [body, events]));
  return {
    lost: ok.filter((body) => !eventsOf.has(body)).length,
    events:
      [...ok, ...unknown].filter((body) => eventsOf.has(body) && eventsOf.get(body) !== 1).length +
      refused.filter((body) => eventsOf.has(body)).length,
  };
}

/** Nobody takes a like back, and to like twice is to like once. */
async function likes(posts: Database, ops: readonly Op[]): Promise<Written> {
  const keys = (outcome: Op['outcome']): string[] =>
    ops.flatMap(({ outcome: came, like }) => (came === outcome && like ? [`like:${like.postId}:${like.userId}`] : []));
  const ok = [...new Set(keys('ok'))];
  const others = new Set([...ok, ...keys('info')]);
  const refused = [...new Set(keys('fail'))].filter((key) => !others.has(key));
  const rows = await posts.query<{ key: string; liked: boolean; events: number }>(
    `SELECT key, EXISTS (SELECT FROM likes WHERE liked AND post_id::text = split_part(key, ':', 2) AND user_id::text = split_part(key, ':', 3)) AS liked,
       (SELECT count(*)::int FROM outbox WHERE aggregate = key) AS events FROM unnest($1::text[]) AS key`,
    [[...ok, ...refused]],
  );
  const found = new Map(rows.map((row) => [row.key, row]));
  const isThere = (key: string): boolean => found.get(key)?.liked === true;
  return {
    lost: ok.filter((key) => !isThere(key)).length,
    events:
      ok.filter((key) => isThere(key) && found.get(key)?.events !== 1).length +
      refused.filter((key) => (found.get(key)?.events ?? 0) > 0).length,
  };
}

/** Where the outcome of one of them is known to nobody, it may come late: of such a pair only the events can say what is right (I7). */
async function lostFollows(followers: Database, ops: readonly Op[]): Promise<number> {
  const last = new Map<string, boolean | undefined>();
  for (const { outcome, follow } of ops) {
    if (follow === undefined || outcome === 'fail') continue;
    const pair = `${follow.followerId} ${follow.followeeId}`;
    const isKnown = outcome === 'ok' && !(last.has(pair) && last.get(pair) === undefined);
    last.set(pair, isKnown ? follow.begins : undefined);
  }
  const known = [...last].filter(([, follows]) => follows !== undefined);
  return one(
    followers,
    `SELECT count(*) AS n FROM unnest($1::text[], $2::boolean[]) AS told (pair, follows)
     WHERE follows <> EXISTS (SELECT FROM follows WHERE follower_id || ' ' || followee_id = pair)`,
    [known.map(([pair]) => pair), known.map(([, follows]) => follows)],
  );
}

/**
 * Aggregates of which a service that hears them has not taken the last event, or never heard. An inbox moves by one version at a time, so
 * who has the last one has had them all, in order.
 */
async function unheard(stores: Stores): Promise<number> {
  let missing = 0;
  for (const source of SERVICES) {
    const told = await stores[source].query<{ aggregate: string; version: number }>(
      'SELECT aggregate, max(aggregate_version) AS version FROM outbox GROUP BY aggregate',
    );
    for (const hearer of SERVICES.filter((service) => LISTENERS[source].includes(service)))
      missing += await one(
        stores[hearer],
        `SELECT count(*) AS n FROM unnest($1::text[], $2::int[]) AS told (aggregate, version)
         LEFT JOIN inbox ON inbox.aggregate = told.aggregate AND inbox.consumer = $3
         WHERE coalesce(inbox.aggregate_version, 0) <> told.version`,
        [told.map(({ aggregate }) => aggregate), told.map(({ version }) => version), hearer],
      );
  }
  return missing;
}

/** Aggregates that do not have one event for each of their versions. */
const GAPS = `SELECT count(*) AS n FROM (
  SELECT FROM outbox GROUP BY aggregate HAVING max(aggregate_version) <> count(*) OR min(aggregate_version) <> 1) AS gaps`;

const HALVES_OF_POSTS = `
  SELECT (SELECT count(*) FROM posts WHERE NOT EXISTS (
    SELECT FROM outbox WHERE type = 'post-published' AND payload->>'postId' = posts.id::text))
  + (SELECT count(*) FROM outbox WHERE type = 'post-published' AND NOT EXISTS (
    SELECT FROM posts WHERE posts.id::text = outbox.payload->>'postId')) AS n`;

const HALVES_OF_LIKES = `
  SELECT count(*) AS n FROM likes FULL JOIN (
    SELECT DISTINCT ON (aggregate) aggregate, type FROM outbox WHERE type IN ('post-liked', 'post-unliked')
    ORDER BY aggregate, aggregate_version DESC
  ) AS last ON last.aggregate = 'like:' || likes.post_id || ':' || likes.user_id
  WHERE coalesce(likes.liked, false) <> coalesce(last.type = 'post-liked', false)`;

const HALVES_OF_FOLLOWS = `
  SELECT count(*) AS n FROM follows FULL JOIN (
    SELECT DISTINCT ON (pair) pair, type FROM (
      SELECT (payload->>'followerId') || ' ' || (payload->>'followeeId') AS pair, type, aggregate_version FROM outbox
      WHERE type IN ('follow-started', 'follow-ended')
    ) AS all_of_them ORDER BY pair, aggregate_version DESC
  ) AS last ON last.pair = follows.follower_id || ' ' || follows.followee_id
  WHERE (follows.follower_id IS NOT NULL) <> coalesce(last.type = 'follow-started', false)`;

async function one(database: Database, text: string, values: readonly unknown[] = []): Promise<number> {
  const [row] = await database.query<{ n: string | number }>(text, [...values]);
  return Number(row?.n ?? 0);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((all, n) => all + n, 0);
}
