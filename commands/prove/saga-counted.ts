import type { Database } from '#libs/database';
import { wholeCount } from '../../subgraphs/followers/relation.counts.js';
import { postCountOf, wholeCount as wholePostCount } from '../../subgraphs/posts/post.counts.js';
import type { Stores } from './saga-people.js';

/** Counts, of any post or anybody, that are not the number of their rows. */
export type Miscounted = Readonly<Record<'likes' | 'replies' | 'posts' | 'followers' | 'following', number>>;

export async function miscountedIn({ posts, followers }: Stores): Promise<Miscounted> {
  return {
    likes: await wrong(posts, 'posts p', wholePostCount('likes', 'p'), 'likes WHERE post_id = p.id AND liked'),
    replies: await wrong(
      posts,
      'posts p',
      wholePostCount('replies', 'p'),
      `posts r WHERE r.in_reply_to_id = p.id AND r.state = 'published'`,
    ),
    posts: await wrong(
      posts,
      'people',
      postCountOf('people'),
      `posts WHERE author_id = people.id AND posts.state = 'published'`,
    ),
    followers: await wrong(
      followers,
      'people',
      wholeCount('followers', 'people'),
      'follows WHERE followee_id = people.user_id',
    ),
    following: await wrong(
      followers,
      'people',
      wholeCount('following', 'people'),
      'follows WHERE follower_id = people.user_id',
    ),
  };
}

/** A count that is not there is wrong, too. */
async function wrong(store: Database, table: string, says: string, rows: string): Promise<number> {
  const [row] = await store.query<{ wrong: number }>(
    `SELECT count(*)::int AS wrong FROM ${table} WHERE ${says} IS DISTINCT FROM (SELECT count(*)::int FROM ${rows})`,
  );
  return row!.wrong;
}
