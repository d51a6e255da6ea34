import type { Statements } from '#libs/database';
import type { CountedPost } from '../post.js';
import { noBlockBetween, POST_COLUMNS, postOf, type PostRow } from '../post.row.js';

/** One page of one list of posts: `take` posts behind the post `after`. */
export interface PageKey {
  /** The author, or the post that is replied to. */
  readonly of: string;
  readonly after: string | undefined;
  readonly take: number;
}

export function textOf({ of, after, take }: PageKey): string {
  return `${of}:${after ?? ''}:${take}`;
}

type Pages = Map<string, CountedPost[]>;

/** Newest first. A page is empty for a viewer who has a block with the author, as if there were no posts. */
export function pagesByAuthor(database: Statements, viewer: string | null, keys: readonly PageKey[]): Promise<Pages> {
  return pages(database, viewer, keys, 'p.author_id = k.of_id AND p.id < k.after', 'p.id DESC', LAST_ID);
}

/** Replies, oldest first, without those that a block hides; the page is full all the same. */
export function pagesByParent(database: Statements, viewer: string | null, keys: readonly PageKey[]): Promise<Pages> {
  return pages(database, viewer, keys, 'p.in_reply_to_id = k.of_id AND p.id > k.after', 'p.id', FIRST_ID);
}

/** All pages by one statement, each an index range of its own. A sentinel and not NULL for the start: it keeps the range. */
async function pages(
  database: Statements,
  viewer: string | null,
  keys: readonly PageKey[],
  where: string,
  order: string,
  start: string,
): Promise<Pages> {
  const rows = await database.query<PostRow & { n: number }>(
    `SELECT k.n::int AS n, p.*
     FROM unnest($1::uuid[], $2::uuid[], $3::int[]) WITH ORDINALITY AS k (of_id, after, take, n)
     CROSS JOIN LATERAL (
       SELECT ${POST_COLUMNS} FROM posts p
       WHERE ${where} AND p.state = 'published' AND ${noBlockBetween('$4::uuid', 'p.author_id')}
       ORDER BY ${order} LIMIT k.take
     ) p
     ORDER BY k.n, ${order}`,
    [keys.map((key) => key.of), keys.map((key) => key.after ?? start), keys.map((key) => key.take), viewer],
  );
  const found: Pages = new Map(keys.map((key) => [textOf(key), []]));
  for (const row of rows) found.get(textOf(keys[row.n - 1] as PageKey))?.push(postOf(row));
  return found;
}

const FIRST_ID = '00000000-0000-0000-0000-000000000000';
const LAST_ID = 'ffffffff-ffff-ffff-ffff-ffffffffffff';
