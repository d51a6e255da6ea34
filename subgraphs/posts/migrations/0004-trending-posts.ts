import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * What is talked about: the posts of the last seven days that somebody liked or answered, at most 500, an answer worth two likes, and
 * all of it less with every hour (the exponent is Hacker News'). The ids sort by time, so the week is a range of the primary key.
 */
export class TrendingPosts1763680000002 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE MATERIALIZED VIEW trending_posts AS
      SELECT p.id, p.author_id,
        (p.like_count + 2 * p.reply_count)::float8
          / power(greatest(0, extract(epoch FROM now() - p.created_at)::float8) / 3600 + 2, 1.8) AS score
      FROM posts p
      WHERE p.state = 'published' AND p.like_count + p.reply_count > 0
        AND p.id >= (lpad(to_hex((extract(epoch FROM now() - interval '7 days') * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
      ORDER BY score DESC, p.id DESC LIMIT 500`);
    // REFRESH … CONCURRENTLY compares by it.
    await runner.query('CREATE UNIQUE INDEX trending_posts_by_id ON trending_posts (id)');
    await runner.query('CREATE INDEX trending_posts_by_score ON trending_posts (score, id)');
    await runner.query(`INSERT INTO read_models (name, refreshed_at) VALUES ('trending', now())`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`DELETE FROM read_models WHERE name = 'trending'`);
    await runner.query('DROP MATERIALIZED VIEW trending_posts');
  }
}
