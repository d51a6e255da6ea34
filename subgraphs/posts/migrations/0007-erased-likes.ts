import type { MigrationInterface, QueryRunner } from 'typeorm';
import { buildIndex } from '#libs/database';

/**
 * The likes of an account that is gone are found and dropped, those too that it had taken back.
 */
export class ErasedLikes1764547200001 implements MigrationInterface {
  readonly transaction = false;

  async up(runner: QueryRunner): Promise<void> {
    await buildIndex(runner, 'likes_undone', 'likes (user_id, post_id) WHERE NOT liked AND NOT withdrawn');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP INDEX likes_undone');
  }
}
