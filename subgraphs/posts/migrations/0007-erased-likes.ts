import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * The likes of an account that is gone are found and dropped, those too that it had taken back. A transaction of its own: while the
 * index is built nobody waits for more than this table.
 */
export class ErasedLikes1764547200001 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('CREATE INDEX likes_undone ON likes (user_id, post_id) WHERE NOT liked AND NOT withdrawn');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP INDEX likes_undone');
  }
}
