import type { MigrationInterface, QueryRunner } from 'typeorm';

export class CreateRelations1763600000001 implements MigrationInterface {
  name = 'CreateRelations1763600000001';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE people (
        user_id uuid CONSTRAINT people_pkey PRIMARY KEY,
        state text NOT NULL DEFAULT 'active' CONSTRAINT people_state CHECK (state IN ('active', 'leaving', 'gone')),
        follower_count integer NOT NULL DEFAULT 0,
        following_count integer NOT NULL DEFAULT 0,
        CONSTRAINT people_counts CHECK (follower_count >= 0 AND following_count >= 0)
      )`);
    await runner.query(`CREATE INDEX people_leaving ON people (user_id) WHERE state = 'leaving'`);
    await runner.query(`
      CREATE TABLE follows (
        follower_id uuid NOT NULL,
        followee_id uuid NOT NULL,
        followed_at timestamptz(3) NOT NULL,
        CONSTRAINT follows_pkey PRIMARY KEY (follower_id, followee_id)
      )`);
    // A page of 21 followers of somebody who has 100,000 reads 21 index entries, wherever the page begins.
    await runner.query('CREATE INDEX follows_of_followee ON follows (followee_id, followed_at DESC, follower_id DESC)');
    await runner.query('CREATE INDEX follows_of_follower ON follows (follower_id, followed_at DESC, followee_id DESC)');
    await runner.query(`
      CREATE TABLE blocks (
        blocker_id uuid NOT NULL,
        blocked_id uuid NOT NULL,
        at timestamptz(3) NOT NULL,
        CONSTRAINT blocks_pkey PRIMARY KEY (blocker_id, blocked_id)
      )`);
    await runner.query('CREATE INDEX blocks_of_blocked ON blocks (blocked_id)');
    await runner.query(`
      CREATE TABLE relations (
        low_id uuid NOT NULL,
        high_id uuid NOT NULL,
        version integer NOT NULL,
        CONSTRAINT relations_pkey PRIMARY KEY (low_id, high_id),
        CONSTRAINT relations_order CHECK (low_id < high_id)
      )`);
  }

  async down(runner: QueryRunner): Promise<void> {
    for (const table of ['relations', 'blocks', 'follows', 'people']) await runner.query(`DROP TABLE ${table}`);
  }
}
