import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Trending posts go by the counts that answer. Made beside the view that is read, and put in its place by two renames. */
export class TrendingCounts1764633600002 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await replaceView(
      runner,
      `SELECT p.id, p.author_id, p.created_at,
         CASE WHEN s.second THEN p.like_count_2 ELSE p.like_count END AS likes,
         CASE WHEN s.second THEN p.reply_count_2 ELSE p.reply_count END AS replies
       FROM posts p CROSS JOIN (SELECT coalesce((SELECT serving = 2 FROM read_models WHERE name = 'post-counts'), false) AS second) s
       WHERE p.state = 'published'`,
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await replaceView(
      runner,
      `SELECT id, author_id, created_at, like_count AS likes, reply_count AS replies FROM posts WHERE state = 'published'`,
    );
  }
}

async function replaceView(runner: QueryRunner, posts: string): Promise<void> {
  await runner.query(`
    CREATE MATERIALIZED VIEW trending_posts_anew AS
    SELECT p.id, p.author_id,
      (p.likes + 2 * p.replies)::float8
        / power(greatest(0, extract(epoch FROM now() - p.created_at)::float8) / 3600 + 2, 1.8) AS score
    FROM (${posts}) p
    WHERE p.likes + p.replies > 0
      AND p.id >= (lpad(to_hex((extract(epoch FROM now() - interval '7 days') * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
    ORDER BY score DESC, p.id DESC LIMIT 500`);
  await runner.query('CREATE UNIQUE INDEX trending_posts_anew_by_id ON trending_posts_anew (id)');
  await runner.query('CREATE INDEX trending_posts_anew_by_score ON trending_posts_anew (score, id)');
  await runner.query('DROP MATERIALIZED VIEW trending_posts');
  await runner.query('ALTER MATERIALIZED VIEW trending_posts_anew RENAME TO trending_posts');
  await runner.query('ALTER INDEX trending_posts_anew_by_id RENAME TO trending_posts_by_id');
  await runner.query('ALTER INDEX trending_posts_anew_by_score RENAME TO trending_posts_by_score');
  await runner.query(`UPDATE read_models SET refreshed_at = now() WHERE name = 'trending'`);
}
