import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What `trending_now` goes by are whole counts, as a page shows them: with what is not in the posts' rows yet (`count_deltas`). */
export class TrendingWholeCounts1764892800001 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(nowBy('+ coalesce(w.likes, 0)', '+ coalesce(w.replies, 0)', WAITING));
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(nowBy('', '', ''));
  }
}

/** Mostly nothing, so it is joined as one and not looked for beside each post. */
const WAITING = `LEFT JOIN (
        SELECT post_id, sum(likes) AS likes, sum(replies) AS replies FROM count_deltas GROUP BY post_id
      ) w ON w.post_id = p.id`;

const firstIdOf = (ms: string): string => `(lpad(to_hex((${ms})::bigint), 12, '0') || repeat('0', 20))::uuid`;

/** Otherwise as 0010-trending-slices.ts has it; the columns stay, so what is made of it does. */
const nowBy = (likes: string, replies: string, waiting: string): string => `
  CREATE OR REPLACE VIEW trending_now AS
  SELECT d.slice, t.id, t.author_id, t.score
  FROM (
    SELECT slice, today, today - (today + 1 - slice) % 8 AS day
    FROM generate_series(1, 8) AS slice, (SELECT floor(extract(epoch FROM now()) / 86400)::int AS today) n
  ) d
  CROSS JOIN LATERAL (
    SELECT p.id, p.author_id,
      (p.likes + 2 * p.replies)::float8
        / power(greatest(0, extract(epoch FROM now() - p.created_at)::float8) / 3600 + 2, 1.8) AS score
    FROM (
      SELECT p.id, p.author_id, p.created_at,
        CASE WHEN s.second THEN p.like_count_2 ELSE p.like_count END ${likes} AS likes,
        CASE WHEN s.second THEN p.reply_count_2 ELSE p.reply_count END ${replies} AS replies
      FROM posts p
      CROSS JOIN (SELECT coalesce((SELECT serving = 2 FROM read_models WHERE name = 'post-counts'), false) AS second) s
      ${waiting}
      WHERE p.state = 'published'
    ) p
    WHERE p.likes + p.replies > 0
      AND p.id >= ${firstIdOf(`greatest(d.day * 86400000.0, extract(epoch FROM now() - interval '7 days') * 1000)`)}
      AND p.id < CASE WHEN d.day = d.today THEN 'ffffffff-ffff-ffff-ffff-ffffffffffff' ELSE ${firstIdOf('(d.day + 1) * 86400000.0')} END
    ORDER BY score DESC, p.id DESC LIMIT 500
  ) t`;
