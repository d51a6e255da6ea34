import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * The home timeline as a list of each person's own, in two versions of which one answers (`read_models.serving`). A person without a
 * row in `home_timelines` has no list yet and is answered from the source, so everybody who is here already is until `npm run
 * rebuild -- home-timeline`, or the next start, has written theirs.
 */
export class HomeTimeline1763680000001 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const statement of UP) await runner.query(statement);
  }

  async down(runner: QueryRunner): Promise<void> {
    for (const statement of DOWN) await runner.query(statement);
  }
}

const UP = [
  `INSERT INTO read_models (name) VALUES ('home-timeline')`,

  // What a person has been given. It may hold more than may be shown (what was deleted, unfollowed or blocked since): a read
  // looks. It never lacks anything newer than the floor, except what is still in timeline_work.
  `CREATE TABLE home_entries (
     slot smallint NOT NULL,
     user_id uuid NOT NULL,
     post_id uuid NOT NULL,
     CONSTRAINT home_entries_pk PRIMARY KEY (user_id, post_id, slot)
   ) PARTITION BY LIST (slot)`,
  `CREATE TABLE home_entries_1 PARTITION OF home_entries FOR VALUES IN (1)`,
  `CREATE TABLE home_entries_2 PARTITION OF home_entries FOR VALUES IN (2)`,

  // Who has a list, and below which post it ends; the nil uuid: it has everything.
  `CREATE TABLE home_timelines (
     slot smallint NOT NULL,
     user_id uuid NOT NULL,
     floor uuid NOT NULL,
     CONSTRAINT home_timelines_pk PRIMARY KEY (user_id, slot)
   ) PARTITION BY LIST (slot)`,
  `CREATE TABLE home_timelines_1 PARTITION OF home_timelines FOR VALUES IN (1)`,
  `CREATE TABLE home_timelines_2 PARTITION OF home_timelines FOR VALUES IN (2)`,

  // Posts on their way into the lists of their authors' followers, and how far each has come.
  `CREATE TABLE timeline_work (
     post_id uuid CONSTRAINT timeline_work_pk PRIMARY KEY,
     author_id uuid NOT NULL,
     cursor uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
     since timestamptz(3) NOT NULL DEFAULT now(),
     served_at timestamptz(6) NOT NULL DEFAULT clock_timestamp()
   )`,
  `CREATE INDEX timeline_work_next ON timeline_work (served_at, post_id)`,

  // So many followers that their posts are merged in by those who read, not pushed.
  `ALTER TABLE people ADD COLUMN pulled boolean NOT NULL DEFAULT false`,
  `CREATE INDEX people_pulled ON people (id) WHERE pulled`,

  // A new edge is read from its followee until the followee's posts are in the follower's list. Whoever follows now has no list,
  // so nothing is read by these flags before it is written.
  `ALTER TABLE follow_edges ADD COLUMN pushed boolean NOT NULL DEFAULT true`,
  `ALTER TABLE follow_edges ALTER COLUMN pushed SET DEFAULT false`,
  `CREATE INDEX follow_edges_unpushed ON follow_edges (follower_id, followee_id) WHERE NOT pushed`,
  // A slice of somebody's followers, in order.
  `CREATE INDEX follow_edges_of_followee ON follow_edges (followee_id, follower_id)`,
  `DROP INDEX follow_edges_by_followee`,
];

const DOWN = [
  `CREATE INDEX follow_edges_by_followee ON follow_edges (followee_id)`,
  `DROP INDEX follow_edges_of_followee`,
  `ALTER TABLE follow_edges DROP COLUMN pushed`,
  `ALTER TABLE people DROP COLUMN pulled`,
  `DROP TABLE timeline_work`,
  `DROP TABLE home_timelines`,
  `DROP TABLE home_entries`,
  `DELETE FROM read_models WHERE name = 'home-timeline'`,
];
