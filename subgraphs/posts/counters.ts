import type { Counted } from '#libs/read-model';

/** What posts counts beside the rows, and what each must equal: `npm run reconcile`. */
export const postsCounted: readonly Counted[] = [
  {
    table: 'posts',
    key: 'id',
    counts: {
      likeCount: {
        column: 'like_count',
        rows: 'SELECT count(*) FROM likes l WHERE l.post_id = t.id AND l.liked',
      },
      replyCount: {
        column: 'reply_count',
        rows: `SELECT count(*) FROM posts r WHERE r.in_reply_to_id = t.id AND r.state = 'published'`,
      },
    },
  },
  {
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
