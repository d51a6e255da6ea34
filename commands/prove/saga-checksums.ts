import type { Stores } from './saga-people.js';

/**
 * By the id of each account that has posts: what it and its posts say, all that a reader sees, as one text. Without the versions, which a
 * deletion raises, also one that is taken back.
 */
export async function checksumsOf({ users, posts }: Pick<Stores, 'users' | 'posts'>): Promise<Map<string, string>> {
  const own = await users.query<Checksum>(
    `SELECT id, md5(ROW(handle, display_name, bio, avatar_url, email, password_hash, joined_at,
       (SELECT user_id FROM handles WHERE handles.handle = users.handle))::text) AS sum FROM users`,
  );
  const written = await posts.query<Checksum>(
    `SELECT author_id AS id, md5(string_agg(
       ROW(id, body, created_at, edited_at, in_reply_to_id)::text, ' ' ORDER BY id)) AS sum
     FROM posts WHERE state = 'published' GROUP BY author_id`,
  );
  const sums = new Map(own.map(({ id, sum }) => [id, sum]));
  return new Map(written.map(({ id, sum }) => [id, `${sums.get(id) ?? ''} ${sum}`]));
}

interface Checksum {
  readonly id: string;
  readonly sum: string;
}
