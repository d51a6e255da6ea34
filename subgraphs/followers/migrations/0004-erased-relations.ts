import type { MigrationInterface, QueryRunner } from 'typeorm';
import { buildIndex } from '#libs/database';

/** What an account that is gone left in pairs with others is found and dropped. */
export class ErasedRelations1764547200000 implements MigrationInterface {
  readonly transaction = false;

  async up(runner: QueryRunner): Promise<void> {
    for (const [name, on] of INDEXES) await buildIndex(runner, name, on);
  }

  async down(runner: QueryRunner): Promise<void> {
    for (const [name] of INDEXES.toReversed()) await runner.query(`DROP INDEX ${name}`);
  }
}

const INDEXES = [
  ['relations_of_high', 'relations (high_id)'],
  ['parted_from', 'parted (from_id)'],
  ['parted_to', 'parted (to_id)'],
] as const;
