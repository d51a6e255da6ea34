import type { MigrationInterface, QueryRunner } from 'typeorm';
import { PARTS_PROGRESS, PARTS_PROGRESS_BACK } from '#libs/saga';

/** A long step of a deletion can say that it goes on. */
export class StepsGoOn1764547199001 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const statement of PARTS_PROGRESS) await runner.query(statement);
  }

  async down(runner: QueryRunner): Promise<void> {
    for (const statement of PARTS_PROGRESS_BACK) await runner.query(statement);
  }
}

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
