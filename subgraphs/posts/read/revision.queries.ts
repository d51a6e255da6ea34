import type { Statements } from '#libs/database';
import type { PostFact } from '../post.js';
import { replay } from '../replay.js';
import { factOf } from '../stored-fact.js';

/** A post at one of its versions, as it is shown. */
export interface Revision {
  readonly version: number;
  readonly change: 'PUBLISHED' | 'EDITED' | 'DELETED' | 'RESTORED';
  readonly at: string;
  readonly body: string | null;
  readonly basedOn: number | null;
}

export interface HistoryKey {
  readonly postId: string;
  /** 0: from the start. */
  readonly afterVersion: number;
  readonly take: number;
}

export interface MomentKey {
  readonly postId: string;
  readonly at: string;
}

export function historyText({ postId, afterVersion, take }: HistoryKey): string {
  return `${postId}:${afterVersion}:${take}`;
}

export function momentText({ postId, at }: MomentKey): string {
  return `${postId}:${at}`;
}

/** All pages by one statement, each a range of the key; one without anything is absent. A post that was deleted since it was read shows nothing. */
export async function historyPages(
  database: Statements,
  keys: readonly HistoryKey[],
): Promise<Map<string, Revision[]>> {
  const rows = await database.query<{
    n: number;
    version: number;
    factVersion: number;
    fact: Record<string, unknown>;
  }>(
    `SELECT k.n::int AS n, e.version, e.fact_version AS "factVersion", e.fact
     FROM unnest($1::uuid[], $2::int[], $3::int[]) WITH ORDINALITY AS k (post_id, after, take, n)
     JOIN posts p ON p.id = k.post_id AND p.state = 'published'
     CROSS JOIN LATERAL (
       SELECT e.version, e.fact_version, e.fact FROM post_events e
       WHERE e.post_id = k.post_id AND e.version > k.after ORDER BY e.version LIMIT k.take
     ) e
     ORDER BY k.n, e.version`,
    [keys.map((key) => key.postId), keys.map((key) => key.afterVersion), keys.map((key) => key.take)],
  );
  const found = new Map<string, Revision[]>();
  for (const { n, version, factVersion, fact } of rows) {
    const text = historyText(keys[n - 1] as HistoryKey);
    const page = found.get(text) ?? [];
    page.push(revisionOf(version, factOf(fact, factVersion)));
    found.set(text, page);
  }
  return found;
}

/** One statement for all posts and times. Nothing of a post that is gone by now, nor of a time at which it was. */
export async function revisionsAt(database: Statements, keys: readonly MomentKey[]): Promise<Map<string, Revision>> {
  const replayed = await replay(
    database,
    keys.map(({ postId, at }) => ({ id: postId, at })),
    'published',
  );
  return new Map(
    replayed.flatMap((was, nth) =>
      was?.post.state === 'published'
        ? [[momentText(keys[nth] as MomentKey), revisionOf(was.post.version, was.fact)]]
        : [],
    ),
  );
}

function revisionOf(version: number, fact: PostFact): Revision {
  return {
    version,
    change: CHANGES[fact.type],
    at: fact.at,
    body: fact.type === 'deleted' ? null : fact.body,
    basedOn: fact.type === 'edited' ? fact.basedOn : null,
  };
}

const CHANGES = { published: 'PUBLISHED', edited: 'EDITED', deleted: 'DELETED', restored: 'RESTORED' } as const;
