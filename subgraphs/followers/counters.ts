import type { Counted } from '#libs/read-model';

/** What followers counts beside the rows, and what each must equal: `npm run reconcile`. */
export const followersCounted: readonly Counted[] = [
  {
    table: 'people',
    key: 'user_id',
    counts: {
      followerCount: {
        column: 'follower_count',
        rows: 'SELECT count(*) FROM follows WHERE followee_id = t.user_id',
      },
      followingCount: {
        column: 'following_count',
        rows: 'SELECT count(*) FROM follows WHERE follower_id = t.user_id',
      },
    },
  },
];
