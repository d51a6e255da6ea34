import type { MigrationInterface, QueryRunner } from 'typeorm';
import { PARTS_INDEXES, PARTS_TABLE } from '#libs/saga';

/** A frozen account's follows and blocks are ended in slices and kept in `parted`, from where they come back or are erased. */
export class DeletionParts1763740000001 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const statement of [PARTS_TABLE, ...PARTS_INDEXES, ...UP]) await runner.query(statement);
  }

  async down(runner: QueryRunner): Promise<void> {
    for (const statement of DOWN) await runner.query(statement);
  }
}

const UP = [
  `CREATE TABLE parted (
     owner_id uuid NOT NULL,
     kind text NOT NULL CONSTRAINT parted_kind CHECK (kind IN ('follow', 'block')),
     from_id uuid NOT NULL,
     to_id uuid NOT NULL,
     at timestamptz(3) NOT NULL,
     CONSTRAINT parted_pk PRIMARY KEY (owner_id, kind, from_id, to_id)
   )`,
  'ALTER TABLE people DROP CONSTRAINT people_state',
  `ALTER TABLE people ADD CONSTRAINT people_state CHECK (state IN ('active', 'frozen', 'leaving', 'gone'))`,
  // Whoever an older program was parting from the others goes the rest of the way as a deletion that is past its return.
  `INSERT INTO deletion_parts (deletion_id, user_id, saga, step, state)
     SELECT user_id, user_id, 'choreographed', 'erase-follows', 'working' FROM people WHERE state = 'leaving'`,
  `UPDATE people SET state = 'frozen' WHERE state = 'leaving'`,
  'DROP INDEX people_leaving',
];
const DOWN = [
  `CREATE INDEX people_leaving ON people (user_id) WHERE state = 'leaving'`,
  `UPDATE people SET state = 'leaving' WHERE state = 'frozen'`,
  'ALTER TABLE people DROP CONSTRAINT people_state',
  `ALTER TABLE people ADD CONSTRAINT people_state CHECK (state IN ('active', 'leaving', 'gone'))`,
  'DROP TABLE parted',
  'DROP TABLE deletion_parts',
];
