import type { MigrationInterface, QueryRunner } from 'typeorm';
import { PARTS_PROGRESS, PARTS_PROGRESS_BACK } from './part.js';

/** A long step of a deletion can say that it goes on. For a service that had `deletion_parts` before. */
export class StepsGoOnMigration implements MigrationInterface {
  readonly name = 'StepsGoOn1764547199000';

  async up(runner: QueryRunner): Promise<void> {
    for (const statement of PARTS_PROGRESS) await runner.query(statement);
  }

  async down(runner: QueryRunner): Promise<void> {
    for (const statement of PARTS_PROGRESS_BACK) await runner.query(statement);
  }
}
