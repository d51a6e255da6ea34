import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What was counted while somebody else held the person's row: added up with the row's own counts, and into them by whoever counts next. */
export class SpreadFollowCounts1764460800000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      `CREATE TABLE count_deltas (user_id uuid NOT NULL, followers integer NOT NULL, following integer NOT NULL)`,
    );
    await runner.query('CREATE INDEX count_deltas_of_person ON count_deltas (user_id)');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(
      `UPDATE people p SET follower_count = follower_count + d.followers, following_count = following_count + d.following
       FROM (SELECT user_id, sum(followers) AS followers, sum(following) AS following FROM count_deltas GROUP BY user_id) d
       WHERE p.user_id = d.user_id`,
    );
    await runner.query('DROP TABLE count_deltas');
  }
}
