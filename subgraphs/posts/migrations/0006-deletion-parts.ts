import type { MigrationInterface, QueryRunner } from 'typeorm';
import { PARTS_INDEXES, PARTS_TABLE } from '#libs/saga';

/** A frozen account's posts and likes are withdrawn in slices and can be brought back, until they are erased. */
export class DeletionParts1763740000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const statement of [PARTS_TABLE, ...PARTS_INDEXES, ...UP]) await runner.query(statement);
  }

  async down(runner: QueryRunner): Promise<void> {
    for (const statement of DOWN) await runner.query(statement);
  }
}

const UP = [
  'ALTER TABLE likes ADD COLUMN withdrawn boolean NOT NULL DEFAULT false',
  'CREATE INDEX likes_withdrawn ON likes (user_id, post_id) WHERE withdrawn',
  // What is not to be seen is found by its author: to be brought back, or to be erased.
  `CREATE INDEX posts_gone_by_author ON posts (author_id, id) WHERE state <> 'published'`,
  'ALTER TABLE people DROP CONSTRAINT people_state',
  `ALTER TABLE people ADD CONSTRAINT people_state CHECK (state IN ('registered', 'frozen', 'deleted'))`,
];
const DOWN = [
  'ALTER TABLE people DROP CONSTRAINT people_state',
  `ALTER TABLE people ADD CONSTRAINT people_state CHECK (state IN ('registered', 'deleted'))`,
  'DROP INDEX posts_gone_by_author',
  'DROP INDEX likes_withdrawn',
  'ALTER TABLE likes DROP COLUMN withdrawn',
  'DROP TABLE deletion_parts',
];
