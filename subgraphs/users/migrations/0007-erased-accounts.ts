import type { MigrationInterface, QueryRunner } from 'typeorm';
import { buildIndex } from '#libs/database';
import { PARTS_INDEXES, PARTS_PROGRESS, PARTS_TABLE } from '#libs/saga';

/** What users keeps of an account besides its row is erased in slices too; and a step of another service can be heard to go on. */
export class ErasedAccounts1764633600006 implements MigrationInterface {
  name = 'ErasedAccounts1764633600006';

  async up(runner: QueryRunner): Promise<void> {
    for (const statement of [PARTS_TABLE, ...PARTS_INDEXES, ...PARTS_PROGRESS, ...UP]) await runner.query(statement);
  }

  async down(runner: QueryRunner): Promise<void> {
    for (const statement of DOWN) await runner.query(statement);
  }
}

const UP = [
  // When the step's service last said that it is at it.
  'ALTER TABLE account_deletion_steps ADD COLUMN heard_at timestamptz(3)',
];
const DOWN = ['ALTER TABLE account_deletion_steps DROP COLUMN heard_at', 'DROP TABLE deletion_parts'];

/** Blocks are found by who is blocked. */
export class BlocksByBlocked1764633600007 implements MigrationInterface {
  name = 'BlocksByBlocked1764633600007';
  readonly transaction = false;

  async up(runner: QueryRunner): Promise<void> {
    await buildIndex(runner, 'block_edges_by_blocked', 'block_edges (blocked_id)');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP INDEX block_edges_by_blocked');
  }
}
