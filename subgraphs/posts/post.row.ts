import { wholeCount } from './post.counts.js';
import type { CountedPost } from './post.js';

/** The columns of `posts p` as a `PostRow`. */
export const POST_COLUMNS = `p.id, p.author_id AS "authorId", p.body, p.created_at AS "createdAt", p.edited_at AS "editedAt",
  p.in_reply_to_id AS "inReplyToId", p.version, p.state, greatest(0, ${wholeCount('likes', 'p')}) AS "likeCount",
  greatest(0, ${wholeCount('replies', 'p')}) AS "replyCount"`;

export interface PostRow extends Omit<CountedPost, 'createdAt' | 'editedAt'> {
  readonly createdAt: Date;
  readonly editedAt: Date | null;
}

export function postOf(row: PostRow): CountedPost {
  const { id, authorId, body, createdAt, editedAt, inReplyToId, version, state, likeCount, replyCount } = row;
  const times = { createdAt: createdAt.toISOString(), editedAt: editedAt?.toISOString() ?? null };
  return { id, authorId, body, ...times, inReplyToId, version, state, likeCount, replyCount };
}

/**
 * The SQL condition that no block stands between two people, in either direction; both are SQL expressions. Always true for
 * a viewer of NULL, who is nobody. Two conditions, not one with OR: PostgreSQL makes an anti join of each.
 */
export function noBlockBetween(viewer: string, person: string): string {
  return `NOT EXISTS (SELECT FROM block_edges b WHERE b.blocker_id = ${viewer} AND b.blocked_id = ${person})
    AND NOT EXISTS (SELECT FROM block_edges b WHERE b.blocker_id = ${person} AND b.blocked_id = ${viewer})`;
}
