import type { Counted } from '#libs/read-model';
import { AUTHOR_COUNTS, pendingCount, POST_COUNTS } from './post.counts.js';

/** What posts counts beside the rows, and what each must equal: `npm run reconcile`. */
export const postsCounted: readonly Counted[] = [
  {
    model: POST_COUNTS,
    table: 'posts',
    key: 'id',
    counts: {
      likeCount: {
        column: 'like_count',
        pending: pendingCount('likes', 't'),
        rows: 'SELECT count(*) FROM likes l WHERE l.post_id = t.id AND l.liked',
      },
      replyCount: {
        column: 'reply_count',
        pending: pendingCount('replies', 't'),
        rows: `SELECT count(*) FROM posts r WHERE r.in_reply_to_id = t.id AND r.state = 'published'`,
      },
    },
    settle: ['DELETE FROM count_deltas WHERE post_id = ANY($1::uuid[])'],
  },
  {
    model: AUTHOR_COUNTS,
    table: 'people',
    key: 'id',
    counts: {
      postCount: {
        column: 'post_count',
        rows: `SELECT count(*) FROM posts p WHERE p.author_id = t.id AND p.state = 'published'`,
      },
    },
  },
];
