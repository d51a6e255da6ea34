import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What was liked or answered while somebody else held the post: added up with the post's own counts, and into them by whoever holds it next. */
export class SpreadCounts1763680000004 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      `CREATE TABLE count_deltas (post_id uuid NOT NULL, likes integer NOT NULL DEFAULT 0, replies integer NOT NULL DEFAULT 0)`,
    );
    await runner.query('CREATE INDEX count_deltas_of_post ON count_deltas (post_id)');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(
      `UPDATE posts p SET like_count = like_count + d.likes, reply_count = reply_count + d.replies
       FROM (SELECT post_id, sum(likes) AS likes, sum(replies) AS replies FROM count_deltas GROUP BY post_id) d
       WHERE p.id = d.post_id`,
    );
    await runner.query('DROP TABLE count_deltas');
  }
}
