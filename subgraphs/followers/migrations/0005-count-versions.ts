import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * A second version of every count beside the first: filled by `npm run rebuild -- counters`, changed by whoever changes the first, and
 * answering when `read_models` says so. NULL in the rows that are there, which costs nothing and stays NULL until it is built; exact in
 * those that come. A version that is wrong and does not answer forbids nothing, so a check looks at the higher of the two. It is not
 * validated: what is there has passed the one before.
 */
export class FollowCountVersions1764633600001 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const statement of UP) await runner.query(statement);
  }

  async down(runner: QueryRunner): Promise<void> {
    for (const statement of DOWN) await runner.query(statement);
  }
}

const UP = [
  'ALTER TABLE people ADD COLUMN follower_count_2 integer, ADD COLUMN following_count_2 integer',
  'ALTER TABLE people ALTER COLUMN follower_count_2 SET DEFAULT 0, ALTER COLUMN following_count_2 SET DEFAULT 0',
  'ALTER TABLE people DROP CONSTRAINT people_counts',
  `ALTER TABLE people ADD CONSTRAINT people_counts CHECK (greatest(follower_count, follower_count_2) >= 0 AND greatest(following_count, following_count_2) >= 0) NOT VALID`,
  `INSERT INTO read_models (name) VALUES ('follow-counts')`,
  // How far `rebuild -- counters` of before had come, which counted in place.
  `DELETE FROM read_models WHERE name = 'counters:people'`,
];
const DOWN = [
  'ALTER TABLE people DROP CONSTRAINT people_counts',
  `UPDATE people SET follower_count = coalesce(follower_count_2, follower_count), following_count = coalesce(following_count_2, following_count) WHERE (SELECT serving FROM read_models WHERE name = 'follow-counts') = 2`,
  'ALTER TABLE people DROP COLUMN follower_count_2, DROP COLUMN following_count_2',
  'ALTER TABLE people ADD CONSTRAINT people_counts CHECK (follower_count >= 0 AND following_count >= 0)',
  `DELETE FROM read_models WHERE name = 'follow-counts'`,
];
