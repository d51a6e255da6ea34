import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Posts whose author deleted them: see notifications/gone-posts.ts. */
export class GonePosts1764633600004 implements MigrationInterface {
  name = 'GonePosts1764633600004';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE gone_posts (
        post_id uuid CONSTRAINT gone_posts_pk PRIMARY KEY,
        gone_at timestamptz(3) NOT NULL DEFAULT now()
      )`);
    await runner.query('CREATE INDEX gone_posts_by_age ON gone_posts (gone_at)');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE gone_posts');
  }
}
