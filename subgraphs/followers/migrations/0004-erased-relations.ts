import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * What an account that is gone left in pairs with others is found and dropped. A transaction of its own: while the indexes are built
 * nobody waits for more than these tables.
 */
export class ErasedRelations1764547200000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const statement of UP) await runner.query(statement);
  }

  async down(runner: QueryRunner): Promise<void> {
    for (const statement of DOWN) await runner.query(statement);
  }
}

const UP = [
  'CREATE INDEX relations_of_high ON relations (high_id)',
  'CREATE INDEX parted_from ON parted (from_id)',
  'CREATE INDEX parted_to ON parted (to_id)',
];
const DOWN = ['DROP INDEX parted_to', 'DROP INDEX parted_from', 'DROP INDEX relations_of_high'];
