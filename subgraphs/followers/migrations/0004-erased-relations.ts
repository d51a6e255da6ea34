import type { MigrationInterface, QueryRunner } from 'typeorm';
import { PARTS_PROGRESS, PARTS_PROGRESS_BACK } from '#libs/saga';

/** What an account that is gone left in pairs with others is found and dropped; and a long step can say that it goes on. */
export class ErasedRelations1764547200000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const statement of [...PARTS_PROGRESS, ...UP]) await runner.query(statement);
  }

  async down(runner: QueryRunner): Promise<void> {
    for (const statement of [...DOWN, ...PARTS_PROGRESS_BACK]) await runner.query(statement);
  }
}

const UP = [
  'CREATE INDEX relations_of_high ON relations (high_id)',
  'CREATE INDEX parted_from ON parted (from_id)',
  'CREATE INDEX parted_to ON parted (to_id)',
];
const DOWN = ['DROP INDEX parted_to', 'DROP INDEX parted_from', 'DROP INDEX relations_of_high'];
