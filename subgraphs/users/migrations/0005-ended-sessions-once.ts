import type { MigrationInterface, QueryRunner } from 'typeorm';

/** A log-in ends once, and of the generations of a person only the last one says something: how often somebody logs out fills nothing. */
export class EndedSessionsOnce1764547200004 implements MigrationInterface {
  name = 'EndedSessionsOnce1764547200004';

  async up(runner: QueryRunner): Promise<void> {
    // A program of before may add one between the two statements.
    await runner.query(`LOCK TABLE ended_sessions IN SHARE ROW EXCLUSIVE MODE`);
    await runner.query(`
      DELETE FROM ended_sessions e USING (
        SELECT id, row_number() OVER (
          PARTITION BY user_id, session ORDER BY generation DESC, until DESC, id DESC
        ) AS nth FROM ended_sessions
      ) ranked WHERE ranked.id = e.id AND ranked.nth > 1`);
    await runner.query(`CREATE UNIQUE INDEX ended_sessions_once ON ended_sessions (user_id, session)`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`DROP INDEX ended_sessions_once`);
  }
}
