import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * A stored fact says the version of its shape; those that are there, and those that a program of before this migration still
 * writes beside a newer one, are version 1. And what a post was at some of its versions, so that nothing is folded from its
 * beginning.
 */
export class PostHistory1763670000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE post_events ADD COLUMN fact_version integer NOT NULL DEFAULT 1');
    await runner.query(
      `CREATE TABLE post_snapshots (
         post_id uuid NOT NULL,
         version integer NOT NULL,
         at timestamptz(3) NOT NULL,
         shape integer NOT NULL,
         post jsonb NOT NULL,
         CONSTRAINT post_snapshots_pk PRIMARY KEY (post_id, version)
       )`,
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE post_snapshots');
    await runner.query('ALTER TABLE post_events DROP COLUMN fact_version');
  }
}
