import type { Counted } from '#libs/read-model';
import { FOLLOW_COUNTS, pendingCount } from './relation.counts.js';

/** What followers counts beside the rows, and what each must equal: `npm run reconcile`. */
export const followersCounted: readonly Counted[] = [
  {
    model: FOLLOW_COUNTS,
    table: 'people',
    key: 'user_id',
    counts: {
      followerCount: {
        column: 'follower_count',
        pending: pendingCount('followers', 't'),
        rows: 'SELECT count(*) FROM follows WHERE followee_id = t.user_id',
      },
      followingCount: {
        column: 'following_count',
        pending: pendingCount('following', 't'),
        rows: 'SELECT count(*) FROM follows WHERE follower_id = t.user_id',
      },
    },
    settle: ['DELETE FROM count_deltas WHERE user_id = ANY($1::uuid[])'],
  },
];
