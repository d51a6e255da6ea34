import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Log-ins that end before their tokens run out: one of them by its `jti`, or all of a person whose `sessions` was lower. A row is
 * kept until the last such token has run out.
 */
export class EndedSessions1763800000004 implements MigrationInterface {
  name = 'EndedSessions1763800000004';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`ALTER TABLE users ADD COLUMN sessions integer NOT NULL DEFAULT 0`);
    await runner.query(`
      CREATE TABLE ended_sessions (
        id uuid CONSTRAINT ended_sessions_pkey PRIMARY KEY,
        user_id uuid NOT NULL,
        session text,
        generation integer,
        at timestamptz(3) NOT NULL,
        until timestamptz(3) NOT NULL,
        CONSTRAINT ended_sessions_one_or_all CHECK ((session IS NULL) <> (generation IS NULL))
      )`);
    await runner.query(`CREATE INDEX ended_sessions_at ON ended_sessions (at)`);
    await runner.query(`CREATE INDEX ended_sessions_until ON ended_sessions (until)`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`DROP TABLE ended_sessions`);
    await runner.query(`ALTER TABLE users DROP COLUMN sessions`);
  }
}
