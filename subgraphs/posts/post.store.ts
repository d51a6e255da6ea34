import type { Tx } from '#libs/database';
import { Failure } from '#libs/failure';
import { recordEvents, type NewEvent } from '#libs/outbox';
import { evolve, type CountedPost, type Post, type PostFact } from './post.js';
import { POST_COLUMNS, postOf, type PostRow } from './post.row.js';
import { isKept, SNAPSHOT_SHAPE } from './snapshot.js';
import { FACT_VERSIONS } from './stored-fact.js';

export interface NextFact {
  readonly id: string;
  /** The post as this transaction holds it locked; undefined when the fact is its first. */
  readonly before: Post | undefined;
  readonly fact: PostFact;
  /** Of a reply's publication: who wrote what it replies to. */
  readonly parentAuthorId?: string | null;
}

/**
 * Appends one fact to each post: to `post_events`, which is the truth, and, folded, to the current row; and tells it. The
 * version after `before` is the expected one: whoever appends it second is answered CONFLICT by the key (post_id, version), also
 * where nothing was locked. A fact is later than the one before it, whatever the clocks of those who wrote them say: by their times
 * is asked what a post was at a moment. Answers the current rows, in the order of the facts.
 */
export async function appendFacts(tx: Tx, actor: string | null, next: readonly NextFact[]): Promise<CountedPost[]> {
  const facts = await inOrderOfTime(tx, next);
  const after = facts.map(({ id, before, fact }) => evolve(id, before, fact));
  await append(tx, actor, facts, after);
  const rows = await tx.query<PostRow>(
    `INSERT INTO posts AS p (id, author_id, body, created_at, edited_at, in_reply_to_id, version, state)
     SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::uuid[], $7::int[], $8::text[])
     ON CONFLICT (id) DO UPDATE
     SET body = excluded.body, edited_at = excluded.edited_at, version = excluded.version, state = excluded.state
     RETURNING ${POST_COLUMNS}`,
    [
      after.map((post) => post.id),
      after.map((post) => post.authorId),
      after.map((post) => post.body),
      after.map((post) => post.createdAt),
      after.map((post) => post.editedAt),
      after.map((post) => post.inReplyToId),
      after.map((post) => post.version),
      after.map((post) => post.state),
    ],
  );
  await recordEvents(
    tx,
    facts.map(({ fact, parentAuthorId }, nth) => eventOf(after[nth] as Post, fact, actor, parentAuthorId ?? null)),
  );
  const byId = new Map(rows.map((row) => [row.id, postOf(row)]));
  return after.map((post) => byId.get(post.id) as CountedPost);
}

/** By a statement of its own: that which has locked the post may not see what it has waited for. */
async function inOrderOfTime(tx: Tx, next: readonly NextFact[]): Promise<readonly NextFact[]> {
  const before = next.flatMap((one) => (one.before === undefined ? [] : [one.before]));
  if (before.length === 0) return next;
  const rows = await tx.query<{ id: string; at: string }>(
    `SELECT post_id AS id, fact ->> 'at' AS at FROM unnest($1::uuid[], $2::int[]) AS b (post_id, version)
     JOIN post_events USING (post_id, version)`,
    [before.map(({ id }) => id), before.map(({ version }) => version)],
  );
  const last = new Map(rows.map(({ id, at }) => [id, at]));
  return next.map((one) => {
    const after = last.get(one.id);
    if (after === undefined || after < one.fact.at) return one;
    return { ...one, fact: { ...one.fact, at: new Date(Date.parse(after) + 1).toISOString() } };
  });
}

async function append(tx: Tx, actor: string | null, facts: readonly NextFact[], after: readonly Post[]): Promise<void> {
  const kept = facts
    .map(({ fact }, nth) => ({ post: after[nth] as Post, at: fact.at }))
    .filter(({ post }) => isKept(post));
  try {
    await tx.query(
      `WITH snapshots AS (
         INSERT INTO post_snapshots (post_id, version, at, shape, post)
         SELECT post_id, version, at, ${SNAPSHOT_SHAPE}, post
         FROM unnest($6::uuid[], $7::int[], $8::timestamptz[], $9::jsonb[]) AS s (post_id, version, at, post)
         -- An orphan of another shape, or of a history that was restored from a backup.
         ON CONFLICT (post_id, version) DO UPDATE SET at = excluded.at, shape = excluded.shape, post = excluded.post
       )
       INSERT INTO post_events (post_id, version, fact, fact_version, actor)
       SELECT post_id, version, fact, fact_version, $5::uuid
       FROM unnest($1::uuid[], $2::int[], $3::jsonb[], $4::int[]) AS f (post_id, version, fact, fact_version)`,
      [
        after.map((post) => post.id),
        after.map((post) => post.version),
        facts.map(({ fact }) => JSON.stringify(fact)),
        facts.map(({ fact }) => FACT_VERSIONS[fact.type]),
        actor,
        kept.map(({ post }) => post.id),
        kept.map(({ post }) => post.version),
        kept.map(({ at }) => at),
        kept.map(({ post }) => JSON.stringify(post)),
      ],
    );
  } catch (error) {
    if (!isSecondOfItsVersion(error)) throw error;
    throw new Failure('CONFLICT', 'The post was changed in between; read it again.', { cause: error });
  }
}

/** PostgreSQL's unique_violation. */
function isSecondOfItsVersion(error: unknown): boolean {
  return (
    error instanceof Error &&
    'code' in error &&
    error.code === '23505' &&
    'constraint' in error &&
    error.constraint === 'post_events_pk'
  );
}

/**
 * The posts, held until the end of the transaction. Everybody who changes posts, their counts or their likes locks in one
 * order, so there is no deadlock: first the person who acts, then posts by id, then likes.
 */
export async function lockPosts(tx: Tx, ids: readonly string[]): Promise<Map<string, CountedPost>> {
  const rows = await tx.query<PostRow>(
    `SELECT ${POST_COLUMNS} FROM posts p WHERE p.id = ANY($1::uuid[]) ORDER BY p.id FOR NO KEY UPDATE`,
    [ids],
  );
  return new Map(rows.map((row) => [row.id, postOf(row)]));
}

export interface LikeChange {
  readonly postId: string;
  readonly userId: string;
  /** Of the post; said of a like, not of its end. */
  readonly authorId?: string;
  /** Of the aggregate like:<postId>:<userId>. */
  readonly version: number;
}

export async function recordLikes(
  tx: Tx,
  type: 'post-liked' | 'post-unliked',
  actor: string | null,
  at: string,
  likes: readonly LikeChange[],
): Promise<void> {
  await recordEvents(
    tx,
    likes.map(({ postId, userId, authorId, version }) => ({
      type,
      aggregate: likeAggregate(postId, userId),
      aggregateVersion: version,
      actor,
      at,
      payload: { postId, userId, ...(authorId === undefined ? {} : { authorId }) },
    })),
  );
}

export function likeAggregate(postId: string, userId: string): string {
  return `like:${postId}:${userId}`;
}

function eventOf(post: Post, fact: PostFact, actor: string | null, inReplyToAuthorId: string | null): NewEvent {
  const { id: postId, authorId, inReplyToId } = post;
  const common = { aggregate: `post:${postId}`, aggregateVersion: post.version, actor, at: fact.at };
  switch (fact.type) {
    case 'published':
      return {
        ...common,
        type: 'post-published',
        payload: { postId, authorId, body: fact.body, inReplyToId, inReplyToAuthorId, createdAt: fact.at },
      };
    case 'edited':
      return { ...common, type: 'post-edited', payload: { postId, authorId, body: fact.body, editedAt: fact.at } };
    case 'deleted':
      return { ...common, type: 'post-deleted', payload: { postId, authorId, inReplyToId, reason: fact.reason } };
    case 'restored': {
      const { createdAt, editedAt } = post;
      return {
        ...common,
        type: 'post-restored',
        payload: { postId, authorId, body: fact.body, inReplyToId, createdAt, editedAt },
      };
    }
  }
}
