import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * A second version of every count beside the first: filled by `npm run rebuild -- counters`, changed by whoever changes the first, and
 * answering when `read_models` says so. NULL in the rows that are there, which costs nothing and stays NULL until it is built; exact in
 * those that come. A version that is wrong and does not answer forbids nothing, so a check looks at the higher of the two. It is not
 * validated: what is there has passed the one before.
 */
export class CountVersions1764633600000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const statement of UP) await runner.query(statement);
  }

  async down(runner: QueryRunner): Promise<void> {
    for (const statement of DOWN) await runner.query(statement);
  }
}

const UP = [
  // People first, as whoever publishes.
  'ALTER TABLE people ADD COLUMN post_count_2 integer',
  'ALTER TABLE people ALTER COLUMN post_count_2 SET DEFAULT 0',
  'ALTER TABLE people DROP CONSTRAINT people_post_count',
  `ALTER TABLE people ADD CONSTRAINT people_post_count CHECK (greatest(post_count, post_count_2) >= 0) NOT VALID`,
  'ALTER TABLE posts ADD COLUMN like_count_2 integer, ADD COLUMN reply_count_2 integer',
  'ALTER TABLE posts ALTER COLUMN like_count_2 SET DEFAULT 0, ALTER COLUMN reply_count_2 SET DEFAULT 0',
  'ALTER TABLE posts DROP CONSTRAINT posts_counts',
  `ALTER TABLE posts ADD CONSTRAINT posts_counts CHECK (greatest(like_count, like_count_2) >= 0 AND greatest(reply_count, reply_count_2) >= 0) NOT VALID`,
  `INSERT INTO read_models (name) VALUES ('post-counts'), ('author-counts')`,
  // How far `rebuild -- counters` of before had come, which counted in place.
  `DELETE FROM read_models WHERE name IN ('counters:posts', 'counters:people')`,
];
const DOWN = [
  'ALTER TABLE people DROP CONSTRAINT people_post_count',
  `UPDATE people SET post_count = coalesce(post_count_2, post_count) WHERE (SELECT serving FROM read_models WHERE name = 'author-counts') = 2`,
  'ALTER TABLE people DROP COLUMN post_count_2',
  'ALTER TABLE people ADD CONSTRAINT people_post_count CHECK (post_count >= 0)',
  'ALTER TABLE posts DROP CONSTRAINT posts_counts',
  `UPDATE posts SET like_count = coalesce(like_count_2, like_count), reply_count = coalesce(reply_count_2, reply_count) WHERE (SELECT serving FROM read_models WHERE name = 'post-counts') = 2`,
  'ALTER TABLE posts DROP COLUMN like_count_2, DROP COLUMN reply_count_2',
  'ALTER TABLE posts ADD CONSTRAINT posts_counts CHECK (like_count >= 0 AND reply_count >= 0)',
  `DELETE FROM read_models WHERE name IN ('post-counts', 'author-counts')`,
];
